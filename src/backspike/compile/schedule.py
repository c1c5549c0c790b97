"""Schedules: the order of each engine's tasks, and the tokens that they wait for.

Three programs: `forward` runs a batch forward; `update` runs its backward pass and updates the
weights; `both` does `update` of one batch and `forward` of the next at the same time. In `both`,
tile by tile: back-propagation makes a tile of gradients, then the weight-gradient engine updates
the weights of these neurons, then the feed-forward engine runs them on the next batch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from backspike.compile.placement import bias_of, connection_of
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Connection, Graph

PROGRAMS = ("forward", "update", "both")


class Range(NamedTuple):
    """Tasks begin .. end - 1 of a queue."""

    begin: int
    end: int


@dataclass(frozen=True)
class Task:
    """Work on a tile of a layer after `waits` tasks of each named engine are complete.

    layer: a population's number, or for wg a connection's. place, keep: where its neurons keep what
    goes on. step: one span only, that of the loop, which `loop` begins and `again` ends.
    """

    layer: int
    tile: int
    waits: Mapping[str, int] = field(default_factory=dict)
    place: int = 0
    keep: bool = False
    step: bool = False
    loop: bool = False
    again: bool = False


@dataclass(frozen=True)
class Queue:
    """All programs' tasks of one engine."""

    tasks: tuple[Task, ...]


Tile = tuple[str, int]
"""A tile of a population, or for wg of a connection, by name."""


class Scheduler:
    """Makes the queues of a graph.

    tiles: of each population. numbers: of layers, by engine and name. sets: of a batch, times the
    population's pixels (1 unless given), each of which keeps its own. stateful: what neurons keep
    goes on from batch to batch. after: populations
    whose gradients' place a population's take.
    """

    def __init__(
        self,
        graph: Graph,
        tiles: Mapping[str, int],
        numbers: Mapping[str, Mapping[str, int]],
        *,
        sets: Mapping[str, int] | None = None,
        stateful: bool = False,
        after: Mapping[str, frozenset[str]] | None = None,
    ):
        self.graph, self.tiles, self.numbers = graph, tiles, numbers
        self.sets = sets or dict.fromkeys(tiles, 1)
        self._after = after or {}
        self.forward = list(self._populations("fp", graph.stages, keep_all=stateful))
        stages = [tuple(reversed(stage)) for stage in reversed(graph.stages)]
        self.backward = list(self._populations("bp", stages, keep_all=False))
        self._bp_done = {at: n + 1 for n, (at, _) in enumerate(self.backward)}
        self.gradient = [
            (layer, tile)
            for c in self._gradient_order()
            for layer in self._layers(c.name)
            for tile in range(tiles[c.target])
        ]
        self._wg_done = {at: n + 1 for n, at in enumerate(self.gradient)}

    @property
    def places(self) -> int:
        """Places that what neurons keep needs."""
        tasks = (*self.forward, *self.backward)
        return max(task.place + (self.sets[name] if task.keep else 1) for (name, _), task in tasks)

    def queues(self) -> tuple[dict[str, Queue], dict[str, dict[str, Range]]]:
        """Queues, and ranges of the programs."""
        free = [task for _, task in self.forward]
        following = [replace(task, waits=self._following(at)) for at, task in self.forward]
        bp_tasks = [
            replace(task, waits=self._overwrites(name)) for (name, _), task in self.backward
        ]
        connections = {c.name: c for c in self.graph.trained}
        wg_tasks = [
            Task(
                self.numbers["wg"][layer],
                tile,
                self._gradient_waits(connections[connection_of(layer)], tile),
            )
            for layer, tile in self.gradient
        ]
        queues = {
            "fp": Queue((*free, *following)),
            "bp": Queue(tuple(bp_tasks)),
            "wg": Queue(tuple(wg_tasks)),
        }
        nothing, first = Range(0, 0), Range(0, len(free))
        second = Range(len(free), 2 * len(free))
        back, gradient = Range(0, len(bp_tasks)), Range(0, len(wg_tasks))
        ranges = {
            "forward": (first, nothing, nothing),
            "update": (nothing, back, gradient),
            "both": (second, back, gradient),
        }
        return queues, {name: dict(zip(ENGINES, ranges[name], strict=True)) for name in PROGRAMS}

    def _populations(
        self, engine: str, stages: Iterable[tuple[str, ...]], *, keep_all: bool
    ) -> Iterator[tuple[Tile, Task]]:
        """The tasks of populations, in order. A circle of connections makes a loop: its tasks take
        a span one after the other, then the next one. Outside, all that a tile keeps is dead when
        the next one begins, unless all is kept."""
        number = self.numbers[engine]
        place = 0
        for stage in stages:
            at = [(n, tile) for n in stage if n in number for tile in range(self.tiles[n])]
            loop = self._circular(engine, {name for name, _ in at})
            keep = loop or keep_all
            place = place if keep_all else 0
            for n, (name, tile) in enumerate(at):
                begins, ends = loop and n == 0, loop and n == len(at) - 1
                task = Task(number[name], tile, {}, place, keep, loop, begins, ends)
                yield (name, tile), task
                place += self.sets[name] if keep else 0

    def _circular(self, engine: str, names: set[str]) -> bool:
        """Whether a step of these populations needs another of their steps."""
        return any(
            c.delay and c.source in names and c.target in names
            for c in self.graph.connections
            if engine == "fp" or not c.stop_gradient
        )

    def _gradient_order(self) -> list[Connection]:
        """Connections in the order of their weight update: as soon as they may begin; of those that
        may at the same time, the ones whose gradients come tile by tile first."""
        order = [name for stage in self.graph.stages for name in stage]

        def begins(connection: Connection) -> tuple[int, int]:
            last = self.tiles[connection.target] - 1
            waits = self._gradient_waits(connection, last)
            return waits["bp"], order.index(connection.source)

        return sorted(self.graph.trained, key=begins)

    def _gradient_waits(self, connection: Connection, tile: int) -> dict[str, int]:
        """Its gradients are there, and no error needs the old weights any more."""
        needs = self._bp_done[connection.target, tile]
        if connection in self.graph.errors_into(connection.source):
            last = (connection.source, self.tiles[connection.source] - 1)
            needs = max(needs, self._bp_done.get(last, 0))
        return {"bp": needs}

    def _layers(self, name: str) -> list[str]:
        """A connection's weight gradients: those of a bias with blocks of its own come last."""
        return [layer for layer in (name, bias_of(name)) if layer in self.numbers["wg"]]

    def _updated(self, connection: Connection, tile: int) -> int:
        """Tasks of wg after which a tile of weights is new; 0 if it stays."""
        done = [self._wg_done.get((layer, tile), 0) for layer in self._layers(connection.name)]
        return max(done, default=0)

    def _overwrites(self, name: str) -> dict[str, int]:
        """Gradients in whose place others come have been used up."""
        used = [
            self._updated(c, self.tiles[c.target] - 1)
            for other in self._after.get(name, ())
            for c in self.graph.trained
            if c.target == other
        ]
        return {"wg": max(used)} if used else {}

    def _following(self, at: Tile) -> dict[str, int]:
        """Codes and logits of a tile are overwritten when errors have passed it, and its weights
        are new."""
        name, tile = at
        entering = [self._updated(c, tile) for c in self.graph.into(name)]
        waits = {"bp": self._bp_done.get(at, 0), "wg": max(entering)}
        return {engine: count for engine, count in waits.items() if count}
