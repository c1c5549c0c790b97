"""What each engine has to add: expected events of a plan's tasks, tile by tile."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from backspike.compile.compiler import Plan
from backspike.compile.drain import span_steps
from backspike.gen.core.engines import FORWARD, UPDATE
from backspike.gen.machine import DEPTH
from backspike.ir.graph import Connection


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares 0..1 of populations and, met and updated, of connections, by name.

    spikes: of (step, sample, neuron) that spike; gradients: of these with a gradient that is not
    zero; errors: of a read-out, with an error that the host writes and that is not zero. rows: of
    (step, sample, tile of P neurons) with any gradient; needed: with any neuron that lets errors
    through. met: of (step, sample, source, target's tile), where a spike meets a gradient; updated:
    of (source, target's tile), where any does in the batch. Of errors and needed tiles that are not
    given all are there; other shares follow as if all fell independently.
    """

    spikes: Mapping[str, float]
    gradients: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, float] = field(default_factory=dict)
    needed: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    met: Mapping[str, float] = field(default_factory=dict)
    updated: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tile:
    """A scanned tile: expected events, and lines that have some.

    empty: the probability that a sum ends with it and it has none; what ends the sum then counts as
    an event and as a line. reads: tiles that are read for it.
    """

    events: float
    lines: float
    reads: int = 1
    empty: float = 0.0

    def ending(self) -> "Tile":
        """As the last one of a sum."""
        empty = math.exp(-self.events)
        return Tile(self.events + empty, self.lines + empty, self.reads, empty)


@dataclass(frozen=True)
class Sum:
    """What is drained at once.

    tiles: of each connection in turn. steps: of the span, for neurons. touched: entries with an
    event, or for wg rows with one. opens: its neurons begin the batch with it.
    """

    tiles: tuple[tuple[Tile, ...], ...]
    steps: int
    touched: float
    opens: bool = True


class Loads:
    """The sums of a plan's tasks, of a full batch that does not go on with another."""

    def __init__(self, plan: Plan, shares: Shares):
        self.plan, self.shares = plan, shares
        self._lanes = plan.machine.lanes
        self._spans = list(span_steps(plan.cut))
        batch, each = plan.learning.batch, plan.cut.samples
        self._samples = [min(each, batch - n * each) for n in range(plan.cut.sets)]
        self._connections = {c.name: c for c in plan.graph.connections}
        self._made: dict[tuple, Sum] = {}

    def sums(self, engine: str, name: str, tile: int, span: int | None) -> Iterator[Sum]:
        """Of a task, in order: of a tile of a population, or for wg of a connection.

        span: in the engine's order, the one that a task of a loop is about; None: all of them.
        """
        if engine == UPDATE.name:
            yield from self._groups(self._connections[name], tile)
            return
        sets, spans = list(self._samples), list(range(len(self._spans)))
        if engine != FORWARD.name:
            sets, spans = sets[::-1], spans[::-1]
        for samples in sets:
            for n in spans if span is None else [spans[span]]:
                # Most tiles and blocks are like others.
                own = tile if self._own(name) else tile == self.plan.populations[name].tiles - 1
                key = engine, name, own, samples, n
                if key not in self._made:
                    self._made[key] = self._block(engine, name, tile, samples, n, n == spans[0])
                yield self._made[key]

    def _own(self, name: str) -> bool:
        """Whether each tile of a population has sources of its own."""
        at = self.plan.connections
        return any(at[c.name].diagonal for c in self._connections.values()
                   if name in (c.source, c.target))  # fmt: skip

    def _block(
        self, engine: str, name: str, tile: int, samples: int, span: int, opens: bool
    ) -> Sum:
        """Of a tile of neurons: so many samples in that span."""
        forward, graph, shares = engine == FORWARD.name, self.plan.graph, self.shares
        needed = 1.0 if forward else shares.needed.get(name, 1.0)
        entries = samples * self._spans[span]
        untouched = 1.0  # the probability that an entry has no event
        parts: list[list[Tile]] = []
        for connection in graph.into(name) if forward else graph.errors_into(name):
            at = self.plan.connections[connection.name]
            other = connection.source if forward else connection.target
            density = (shares.spikes if forward else shares.gradients).get(other, 0.0)
            if connection.delay and opens:
                density = 0.0
            count = at.source_tiles if forward else at.tiles
            numbers = range(tile, tile + 1) if at.diagonal else range(count)
            tiles = [self._tile(other, n, density * needed, entries) for n in numbers]
            if forward and at.bias:
                tiles[-1] = Tile(tiles[-1].events + entries, tiles[-1].lines + 1)
            parts.append(tiles)
            untouched *= (1 - density) ** sum(self._in_tile(other, n) for n in numbers)
        if not forward and self.plan.populations[name].errors is not None:
            density = shares.errors.get(name, 1.0)
            parts.append([self._tile(name, tile, density * needed, entries)])
            untouched *= (1 - density) ** self._in_tile(name, tile)
        if parts:
            parts[-1][-1] = parts[-1][-1].ending()
        touched = entries * needed * (1 - untouched)
        return Sum(tuple(map(tuple, parts)), self._spans[span], touched, opens)

    def _tile(self, name: str, number: int, density: float, entries: int) -> Tile:
        lanes = self._in_tile(name, number)
        return Tile(entries * lanes * density, lanes * some(density, entries))

    def _in_tile(self, name: str, number: int) -> int:
        """Neurons of a tile; behind the last one none."""
        size = self.plan.populations[name].size
        return max(0, min(self._lanes, size - number * self._lanes))

    def _groups(self, connection: Connection, tile: int) -> Iterator[Sum]:
        """Of a connection: DEPTH sources through the whole batch; a line is an entry."""
        at = self.plan.connections[connection.name]
        rows = self.shares.rows.get(connection.target)
        if rows is None:
            density = self.shares.gradients.get(connection.target, 0.0)
            rows = some(density, self._in_tile(connection.target, tile))
        # Of the spikes of entries that have a gradient.
        density = self.shares.spikes.get(connection.source, 0.0)
        if connection.name in self.shares.met:
            density = min(1.0, self.shares.met[connection.name] / rows) if rows else 0.0
        updated = self.shares.updated.get(connection.name)
        every = self.plan.descriptors[UPDATE.name].layers[connection.name]["all"]
        group = DEPTH // self._lanes
        for first in range(0, at.source_tiles, group):
            there = range(first, min(first + group, at.source_tiles))
            sources = sum(self._in_tile(connection.source, n) for n in there)
            bias = at.bias and there[-1] == at.source_tiles - 1
            blocks, meeting = [], 0.0
            for samples in self._samples:
                for span, steps in enumerate(self._spans):
                    entries = samples * steps * rows
                    spikes = 0.0 if connection.delay and span == 0 else density
                    lines = entries * (1.0 if bias else some(spikes, sources))
                    blocks.append(Tile(entries * (sources * spikes + bias), lines, group))
                    meeting += entries * (spikes > 0)
            blocks[-1] = blocks[-1].ending()
            touched = sources * (some(density, meeting) if updated is None else updated)
            touched += bias and min(1.0, meeting)
            if every:
                touched = len(there) * self._lanes
            yield Sum((tuple(blocks),), 1, touched)


def some(share: float, count: float) -> float:
    """The probability that one or more of `count` have what that share has."""
    return 1.0 - (1.0 - min(share, 1.0)) ** count if count else 0.0
