"""Compiled programs: tasks that can be under way at the same time never meet in a memory's row.

A proof by exhaustion, not by a solver: a program is finite, and what its tokens order can be
computed. The queues' rules, which `queues` proves of the hardware, are all that it assumes:

- an engine issues its tasks in order, and completes them in order;
- a task is issued when the others have completed as many as it waits for;
- before another layer's first task the engine has completed all that it was given.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from backspike.compile.compiler import Plan
from backspike.compile.schedule import Queue, Range
from backspike.gen.machine import DEPTH
from backspike.ir.constants import ENGINES, ceil_div

Row = tuple[str, int, int]
"""A memory, which half of it (of spikes and labels there are two), and a row."""


@dataclass(frozen=True)
class Step:
    """A task of a run: its engine, its number in the run's queue, and what it works on."""

    engine: str
    number: int
    layer: int
    tile: int

    def __str__(self) -> str:
        return f"{self.engine} layer {self.layer} tile {self.tile}"


def steps(queues: Mapping[str, Queue], ranges: Mapping[str, Range]) -> dict[str, list[Step]]:
    """Each engine's tasks of a run."""
    return {
        name: [
            Step(name, n, task.layer, task.tile)
            for n, task in enumerate(queues[name].tasks[slice(*ranges[name])])
        ]
        for name in ENGINES
    }


def complete(
    queues: Mapping[str, Queue], ranges: Mapping[str, Range]
) -> dict[Step, dict[str, int]]:
    """How many tasks of each engine are certainly complete when a task is issued.

    The least solution of the queues' rules: what is complete when a task is issued is complete
    when it ends, and when the next of its engine is issued. Raises ValueError if the tasks wait
    for each other for ever.
    """
    run = steps(queues, ranges)
    known: dict[Step, dict[str, int]] = {}
    while left := [step for name in ENGINES for step in run[name] if step not in known]:
        progress = False
        for step in left:
            tasks = queues[step.engine].tasks[slice(*ranges[step.engine])]
            waits = dict(tasks[step.number].waits)
            before = run[step.engine][step.number - 1] if step.number else None
            needs = [run[name][count - 1] for name, count in waits.items() if count]
            if before is not None:
                needs.append(before)
            if any(other not in known for other in needs):
                continue
            done = dict.fromkeys(ENGINES, 0)
            if before is not None:
                _merge(done, known[before])
                if before.layer != step.layer:
                    done[step.engine] = step.number
            for name, count in waits.items():
                done[name] = max(done[name], count)
            # All that was complete when a completed task was issued.
            for name in ENGINES:
                if done[name]:
                    _merge(done, known[run[name][done[name] - 1]])
            known[step] = done
            progress = True
        if not progress:
            raise ValueError(f"{left[0]} waits for ever")
    return known


def _merge(into: dict[str, int], other: Mapping[str, int]) -> None:
    for name, count in other.items():
        into[name] = max(into[name], count)


def footprint(plan: Plan, step: Step, *, forward: int, backward: int) -> tuple[set[Row], set[Row]]:
    """(read, written): rows that a task uses, of the memories that engines share.

    Padding that is addressed but not used is left out: the simulations spoil it (docs/proofs.md).
    forward, backward: the halves of the spike and label memories.
    """
    at, n, blocks = plan.layers[step.layer], step.layer, plan.cut.blocks
    last = n == len(plan.layers) - 1
    lanes = plan.machine.lanes

    def units(memory: str, first: int, tiles: range, half: int = 0, rows: int = 1) -> set[Row]:
        """Rows of units, of which each has so many."""
        return {
            (memory, half, (first + tile * blocks + block) * rows + row)
            for tile in tiles
            for block in range(blocks)
            for row in range(rows)
        }

    def weights(layer: int, sources: range, tiles: range) -> set[Row]:
        there = plan.layers[layer]
        return {
            ("weights", 0, (there.weights + tile * there.source_tiles) * lanes + source)
            for source in sources
            for tile in tiles
        }

    def logits() -> set[Row]:
        sets = plan.cut.sets
        first, rows = step.tile * sets * DEPTH, sets * DEPTH
        return {("logits", 0, row) for row in range(first, first + rows)}

    own = range(step.tile, step.tile + 1)
    sources = range(ceil_div(at.sources, lanes))
    rows = range(at.sources + at.bias)
    if step.engine == "fp":
        read = units("spikes", at.source_base, sources, forward) | weights(n, rows, own)
        if last:
            return read, logits()
        return read, (
            units("spikes", at.output_base, own, forward)
            | units("codes", at.output_base, own, rows=DEPTH)
            | units("active", at.output_base, own)
        )
    if step.engine == "bp":
        written = units("gradients", at.output_base, own, rows=DEPTH)
        written |= units("masks", at.output_base, own)
        if last:
            return logits(), written
        after = plan.layers[n + 1]
        every = range(after.tiles)
        neurons = range(step.tile * lanes, min((step.tile + 1) * lanes, at.size))
        return (
            units("codes", at.output_base, own, rows=DEPTH)
            | units("active", at.output_base, own)
            | units("gradients", after.output_base, every, rows=DEPTH)
            | units("masks", after.output_base, every)
            | weights(n + 1, neurons, every)
        ), written
    own_weights = weights(n, rows, own)
    return (
        units("spikes", at.source_base, sources, backward)
        | units("gradients", at.output_base, own, rows=DEPTH)
        | units("masks", at.output_base, own)
        | own_weights
    ), own_weights


def conflicts(plan: Plan, program: str, queues: Mapping[str, Queue] | None = None) -> Iterator[str]:
    """Pairs of tasks that meet in a row, one of them writing, and are not ordered as in the
    sequential program: all of `bp`, then all of `wg`, then all of `fp`.

    queues: instead of the plan's.
    """
    queues = queues or plan.queues
    ranges = plan.programs[program]
    known = complete(queues, ranges)
    order = ("bp", "wg", "fp")
    every = sorted(known, key=lambda step: (order.index(step.engine), step.number))
    used = {step: footprint(plan, step, forward=1, backward=0) for step in every}
    for step in every:
        read, written = used[step]
        # The weights' rows are read and written through one port, which does either.
        if meet := {row for row in read & written if row[0] != "weights"}:
            yield f"{step} reads and writes {_name(meet)}"
    for first, then in combinations(every, 2):
        (read, written), (reads, writes) = used[first], used[then]
        meet = (written & (reads | writes)) | (read & writes)
        if meet and known[then][first.engine] <= first.number:
            yield f"{first} and {then} are not ordered, and meet in {_name(meet)}"


def _name(rows: set[Row]) -> str:
    memory, _, row = min(rows)
    return f"row {row} of the {memory}"
