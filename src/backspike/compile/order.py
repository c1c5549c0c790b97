"""Compiled programs: tasks that can be under way at the same time never meet in a memory's row.

A proof by exhaustion, not by a solver: a program is finite, and what its tokens order can be
computed. The queues' rules, which `queues` proves of the hardware, are all that it assumes:

- an engine issues its tasks in order, and completes them in order; those of a loop once for each
  span;
- a task is issued when the others have completed as many as it waits for; a task of a loop counts
  in the last span;
- before another layer's first task, and before each span of a loop, the engine has completed all
  that it was given.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from backspike.compile.compiler import Plan
from backspike.compile.placement import PopulationPlace, connection_of
from backspike.compile.schedule import Queue, Range
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Connection, Population

ORDER = ("bp", "wg", "fp")
"""Of the engines in the sequential program."""
Row = tuple[str, int, int]
"""A memory, which half of it (of spikes there are two), and a row; a unit where tasks use units."""
Uses = tuple[set[Row], set[Row]]
"""Rows read, and rows written."""


@dataclass(frozen=True)
class Step:
    """A task of a run, in a loop's one span: its engine, how many steps of the engine come before
    it, and what it works on.

    task: its place in the run's queue. span: in the engine's order; none outside loops. fence: the
    engine has completed all that came before.
    """

    engine: str
    number: int
    task: int
    layer: int
    tile: int
    span: int | None
    fence: bool

    def __str__(self) -> str:
        span = "" if self.span is None else f" span {self.span}"
        return f"{self.engine} layer {self.layer} tile {self.tile}{span}"


def steps(
    queues: Mapping[str, Queue], ranges: Mapping[str, Range], spans: int
) -> dict[str, list[Step]]:
    """Each engine's steps of a run of batches of so many spans."""
    return {name: list(_steps(queues[name], ranges[name], name, spans)) for name in ENGINES}


def _steps(queue: Queue, tasks: Range, engine: str, spans: int) -> Iterator[Step]:
    chosen = queue.tasks[slice(*tasks)]
    at = begin = span = number = 0
    layer = None
    while at < len(chosen):
        task = chosen[at]
        if task.loop:
            begin = at
        fence = task.loop or task.layer != layer
        there = span if task.step else None
        yield Step(engine, number, at, task.layer, task.tile, there, fence)
        layer, number = task.layer, number + 1
        again = task.again and span < spans - 1
        at = begin if again else at + 1
        if task.again:
            span = span + 1 if again else 0


def complete(
    queues: Mapping[str, Queue], ranges: Mapping[str, Range], spans: int = 1
) -> dict[Step, dict[str, int]]:
    """How many steps of each engine are certainly complete when a step is issued.

    The least solution of the queues' rules: what is complete when a step is issued is complete
    when it ends, and when the next of its engine is issued. Raises ValueError if the tasks wait
    for each other for ever.
    """
    run = steps(queues, ranges, spans)
    counted = {name: {step.task: step.number for step in run[name]} for name in ENGINES}
    known: dict[Step, dict[str, int]] = {}
    at = dict.fromkeys(ENGINES, 0)
    while left := [run[name][at[name]] for name in ENGINES if at[name] < len(run[name])]:
        progress = False
        for step in left:
            tasks = queues[step.engine].tasks[slice(*ranges[step.engine])]
            # The last span's step of the last task that is waited for, and all before it.
            waits = {
                name: counted[name][count - 1] + 1
                for name, count in tasks[step.task].waits.items()
                if count
            }
            if any(run[name][count - 1] not in known for name, count in waits.items()):
                continue
            done = dict.fromkeys(ENGINES, 0)
            if step.number:
                _merge(done, known[run[step.engine][step.number - 1]])
                if step.fence:
                    done[step.engine] = step.number
            _merge(done, waits)
            # All that was complete when a completed step was issued.
            for name in ENGINES:
                if done[name]:
                    _merge(done, known[run[name][done[name] - 1]])
            known[step] = done
            at[step.engine] += 1
            progress = True
        if not progress:
            raise ValueError(f"{left[0]} waits for ever")
    return known


def _merge(into: dict[str, int], other: Mapping[str, int]) -> None:
    for name, count in other.items():
        into[name] = max(into[name], count)


@dataclass(frozen=True)
class Footprints:
    """(read, written): rows that a step uses, of the memories that engines share.

    Padding that is addressed but not used is left out: the simulations spoil it (docs/proofs.md).
    forward, backward: the halves of the spike memory. carry: the batch goes on with the one before.
    """

    plan: Plan
    forward: int = 1
    backward: int = 0
    carry: bool = False

    def of(self, step: Step) -> Uses:
        """Of that step."""
        graph, tile = self.plan.graph, step.tile
        name = list(self.plan.descriptors[step.engine].layers)[step.layer]
        if step.engine == "wg":
            connection = next(c for c in graph.connections if c.name == connection_of(name))
            return self._update(connection, tile, bias=name != connection.name)
        spans = self._spans(step)
        if step.engine == "fp":
            return self._forward(graph.by_name[name], tile, spans)
        return self._backward(graph.by_name[name], tile, spans)

    def _forward(self, population: Population, tile: int, spans: range) -> Uses:
        place, name = self.plan.populations[population.name], population.name
        read: set[Row] = set()
        for connection in self.plan.graph.into(name):
            sources = self._far(connection, connection.source, tile)
            read |= self._sources(connection, sources, spans, self.forward)
            read |= self._weight_rows(connection, self._rows(connection), [tile])
            read |= self._bias_rows(connection, tile)
        if place.logits is not None:
            return read, self._logits(population, tile)
        return read, (
            self._units("spikes", place, [tile], spans, half=self.forward)
            | self._units("codes", place, [tile], spans)
            | self._units("active", place, [tile], spans)
        )

    def _backward(self, population: Population, tile: int, spans: range) -> Uses:
        plan, name = self.plan, population.name
        place, lanes = plan.populations[name], plan.machine.lanes
        written = self._gradients(name, [tile], spans)
        if place.logits is not None and not plan.every:
            return self._logits(population, tile), written
        read: set[Row] = set()
        if population.spikes:
            read |= self._units("codes", place, [tile], spans)
            read |= self._units("active", place, [tile], spans)
        neurons = range(tile * lanes, min((tile + 1) * lanes, place.size))
        for connection in plan.graph.errors_into(name):
            tiles = self._far(connection, connection.target, tile)
            read |= self._gradients(connection.target, tiles, spans, by=connection.delay)
            read |= self._weight_rows(connection, neurons, tiles)
        if place.errors is not None:
            assert plan.places.identity is not None
            read |= self._gradients(name, [tile], spans, errors=True)
            read |= {("weights", 0, plan.places.identity * lanes + n) for n in range(lanes)}
        return read, written

    def _update(self, connection: Connection, tile: int, *, bias: bool) -> Uses:
        spans = range(self.plan.cut.spans)
        sources = range(self.plan.populations[connection.source].tiles)
        weights = self._weight_rows(connection, self._rows(connection), [tile])
        if bias:
            weights = self._bias_rows(connection, tile)
            return self._gradients(connection.target, [tile], spans) | weights, weights
        return (
            self._sources(connection, sources, spans, self.backward)
            | self._gradients(connection.target, [tile], spans)
            | weights
        ), weights

    def _spans(self, step: Step) -> range:
        """Those of the batch that a step works on."""
        spans = self.plan.cut.spans
        if step.span is None:
            return range(spans)
        at = spans - 1 - step.span if step.engine == "bp" else step.span
        return range(at, at + 1)

    def _far(self, connection: Connection, end: str, tile: int) -> Iterable[int]:
        """The tiles of a connection's other end that a tile's sums come from."""
        if self.plan.connections[connection.name].diagonal:
            return [tile]
        return range(self.plan.populations[end].tiles)

    def _rows(self, connection: Connection) -> range:
        """Sources, and the bias."""
        place = self.plan.connections[connection.name]
        if place.taps > 1:
            return range(place.tile_rows * self.plan.machine.lanes)
        return range(place.sources + (place.bias and place.bias_block is None))

    def _units(
        self,
        memory: str,
        place: PopulationPlace,
        tiles: Iterable[int],
        spans: Iterable[int],
        *,
        half: int = 0,
        base: int | None = None,
    ) -> set[Row]:
        """Units of tiles, in those spans of every set. base: if not that of spikes and codes."""
        cut, first = self.plan.cut, place.base if base is None else base
        return {
            (memory, half, first + unit * cut.blocks + at * cut.spans + span)
            for tile in tiles
            for unit in range(tile * place.pixels, (tile + 1) * place.pixels)
            for at in range(cut.sets)
            for span in spans
        }

    def _gradients(
        self, name: str, tiles: Iterable[int], spans: range, *, by: int = 0, errors: bool = False
    ) -> set[Row]:
        """And their masks, so many spans later: none after the last. The half is whose they are:
        a number in the order in which they are made, those that the host writes first."""
        place = self.plan.populations[name]
        base = place.errors if errors else place.gradients
        assert base is not None
        order = list(self.plan.descriptors["bp"].layers)[::-1]
        owner = order.index(name) + (0 if errors else len(order))
        later = [span + by for span in spans if span + by < self.plan.cut.spans]
        return self._units("gradients", place, tiles, later, half=owner, base=base) | self._units(
            "masks", place, tiles, later, half=owner, base=base
        )

    def _sources(
        self, connection: Connection, tiles: Iterable[int], spans: range, half: int
    ) -> set[Row]:
        """Spikes of those spans; delayed, of the ones before, of which the first comes after the
        last one of the batch before, if this one goes on."""
        place, last = self.plan.populations[connection.source], self.plan.cut.spans - 1
        if not connection.delay:
            return self._units("spikes", place, tiles, spans, half=half)
        before = [span - 1 for span in spans if span]
        read = self._units("spikes", place, tiles, before, half=half)
        if 0 in spans and self.carry:
            read |= self._units("spikes", place, tiles, [last], half=1 - half)
        return read

    def _weight_rows(
        self, connection: Connection, sources: Iterable[int], tiles: Iterable[int]
    ) -> set[Row]:
        place, lanes = self.plan.connections[connection.name], self.plan.machine.lanes
        if place.diagonal:
            return {("weights", 0, place.weights * lanes + n) for n in range(lanes)}
        return {
            ("weights", 0, (place.weights + tile * place.tile_rows) * lanes + source)
            for source in sources
            for tile in tiles
        }

    def _bias_rows(self, connection: Connection, tile: int) -> set[Row]:
        """Of a bias that has blocks of its own."""
        block = self.plan.connections[connection.name].bias_block
        return (
            set() if block is None else {("weights", 0, (block + tile) * self.plan.machine.lanes)}
        )

    def _logits(self, population: Population, tile: int) -> set[Row]:
        first = self.plan.populations[population.name].logits
        assert first is not None
        each = self.plan.cut.blocks if self.plan.every else self.plan.cut.sets
        return {("logits", 0, first + tile * each + n) for n in range(each)}


def conflicts(
    plan: Plan, program: str, queues: Mapping[str, Queue] | None = None, *, carry: bool = False
) -> Iterator[str]:
    """Pairs of steps that meet in a row, one of them writing, and are not ordered as in the
    sequential program: all of `bp`, then all of `wg`, then all of `fp`; of each engine what is
    written before what reads it.

    queues: instead of the plan's. carry: see `Footprints`.
    """
    queues = queues or plan.queues
    ranges = plan.programs[program]
    known = complete(queues, ranges, plan.cut.spans)
    if program == "both":
        footprints = Footprints(plan, forward=1, backward=0, carry=carry)
    else:  # of one batch
        footprints = Footprints(plan, forward=1, backward=1, carry=carry)
    readers: dict[Row, list[Step]] = defaultdict(list)
    writers: dict[Row, list[Step]] = defaultdict(list)
    for step in known:
        read, written = footprints.of(step)
        # The weights' rows are read and written through one port, which does either.
        if meet := {row for row in read & written if row[0] != "weights"}:
            yield f"{step} reads and writes {_name(meet)}"
        for row in read:
            readers[row].append(step)
        for row in written:
            writers[row].append(step)
    meet_in: dict[tuple[Step, Step], set[Row]] = defaultdict(set)
    for row, writing in writers.items():
        for writer in writing:
            for other in (*writing, *readers[row]):
                if writer != other:
                    meet_in[_sequence(writer, other, both_write=other in writing)].add(row)
    for early, late, row in _followed(readers, writers):
        meet_in[early, late].add(row)
    for (first, then), meet in meet_in.items():
        if known[then][first.engine] <= first.number:
            yield f"{first} and {then} are not ordered, and meet in {_name(meet)}"


def _followed(
    readers: Mapping[Row, list[Step]], writers: Mapping[Row, list[Step]]
) -> Iterator[tuple[Step, Step, Row]]:
    """Users of gradients, and who writes others into their place, which must come later."""
    owners: dict[tuple[str, int], set[int]] = defaultdict(set)
    for memory, owner, row in {**readers, **writers}:
        if memory in ("gradients", "masks"):
            owners[memory, row].add(owner)
    for (memory, row), found in owners.items():
        for early, late in pairwise(sorted(found)):
            place = (memory, early, row)
            for user in (*readers.get(place, ()), *writers.get(place, ())):
                for writer in writers.get((memory, late, row), ()):
                    yield user, writer, (memory, late, row)


def _sequence(writer: Step, other: Step, *, both_write: bool) -> tuple[Step, Step]:
    """The one that comes first, and the other."""
    engine, number = ORDER.index(writer.engine), ORDER.index(other.engine)
    if engine == number and both_write:
        engine, number = writer.number, other.number
    return (writer, other) if engine <= number else (other, writer)


def _name(rows: set[Row]) -> str:
    memory, _, row = min(rows)
    return f"row {row} of the {memory}"
