"""How long drains take at the least: it follows from a machine's structure."""

from collections.abc import Iterator, Mapping

from backspike.compile.compiler import Plan
from backspike.compile.cut import Cut
from backspike.gen.core.backward.unit import BackwardUnit
from backspike.gen.core.engines import BACKWARD, FORWARD, UPDATE
from backspike.gen.core.forward.unit import ForwardUnit
from backspike.gen.core.shared.block_drain import UNIT_AT
from backspike.gen.core.shared.sum_buffer import SUM_LATENCY
from backspike.gen.core.update.drain import ADDRESS_AT, sum_at
from backspike.gen.core.update.row_sequencer import phases
from backspike.gen.core.update.unit import SUM_TO_W, later_by
from backspike.gen.machine import Machine

UNITS: dict[str, type[ForwardUnit] | type[BackwardUnit]] = {
    FORWARD.name: ForwardUnit,
    BACKWARD.name: BackwardUnit,
}
"""Of the engines that run neurons."""
ROW_AND_TILE = 2
"""Cycles from a unit's result to its tile: a row's register, and the tile's."""


def span_steps(cut: Cut) -> Iterator[int]:
    """Steps of each span."""
    yield from [cut.steps] * (cut.spans - 1)
    yield cut.last_steps


def waits(engine: str, config: Mapping[str, int]) -> bool:
    """Whether a step of a population's neurons has to wait for the one before; else, but for a
    loss, an entry without an event takes one slot in the drain. config: its descriptor."""
    if engine == FORWARD.name:
        return True
    return not config["loss"] and bool(
        config["temporal"] or config["current"] or config["integrate"]
    )


def drain_slots(plan: Plan, engine: str, name: str) -> int:
    """Cycles that a drain needs for a population and a full batch, if sums are always there: for
    every pixel of it.

    A drain unit takes a sum a cycle and serves `reuse` lanes, so a step of a set takes samples *
    reuse slots; twice as many with a synaptic current, whose sums pass twice. And a neuron's state
    can be used again after `recurrence` cycles, so its next step, or second pass, begins no sooner;
    blocks of a set follow each other, so this holds from block to block. No order of events makes
    it less: it is a bound, as the number of events is. The run ends when the last result is
    written, so once the pipeline from sum to tile is added.

    Where a loop brings other tiles between a tile's spans, these do not wait for each other; where
    no step waits (see `waits`), an entry takes one slot at the least. 0 for wg: see `row_slots`.
    """
    if engine not in UNITS:
        return 0
    unit, machine, cut = UNITS[engine], plan.machine, plan.cut
    config = plan.descriptors[engine].layers[name]
    reuse = getattr(machine, f"{engine}_reuse")
    passes = 1 + config["current"]
    waiting = waits(engine, config)
    each = cut.samples * (reuse if waiting or config["loss"] else 1)
    step = max(each, unit.recurrence) if waiting else each
    number = plan.descriptors[engine].number(name)
    looped = any(t.layer == number and t.step for t in plan.queues[engine].tasks)
    slots = 0
    for span, steps in enumerate(span_steps(cut)):
        last = looped or span == cut.spans - 1
        slots += step * (steps * passes - 1) + (each if last else step)
    tiles = config["tiles"] * plan.populations[name].pixels
    return tiles * cut.sets * slots + pipeline_cycles(machine, engine)


def row_slots(machine: Machine, rows: int) -> int:
    """Likewise of wg, for so many rows of weights that are updated: each is read and written
    through one port, and a unit takes one of its `wg_reuse` lanes a cycle."""
    return rows * phases(machine.wg_reuse) + pipeline_cycles(machine, UPDATE.name)


def pipeline_cycles(machine: Machine, engine: str) -> int:
    """Cycles from the last sum's slot until its tile, or row of weights, is written."""
    if engine in UNITS:
        return UNIT_AT + UNITS[engine].latency + ROW_AND_TILE
    later, reuse = later_by(bool(machine.momentum)), machine.wg_reuse
    weight = sum_at(machine) + SUM_TO_W + later
    request = ADDRESS_AT + sum_at(machine) - SUM_LATENCY + later
    meets = (weight + reuse - request) % phases(reuse) == 0
    return weight + meets + 1 + reuse
