"""How many cycles a batch should take, from a compiled network and densities."""

from dataclasses import dataclass

from backspike.compile.compiler import Plan
from backspike.compile.loads import Loads, Shares
from backspike.compile.placement import bias_of
from backspike.compile.timeline import run, steps_of
from backspike.gen.core.engines import FORWARD, UPDATE
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Densities:
    """Shares 0..1 of spikes in inputs, of spikes and of gradients that are not zero in hidden
    populations.

    By default what digits have after some epochs. Read-outs' gradients are never zero.
    """

    input: float = 0.32
    spikes: float = 0.09
    gradients: float = 0.15

    def shares(self, graph: Graph) -> Shares:
        """Of every population, if all of a kind are alike."""
        inputs = [p.name for p in graph.populations if p.role == "input"]
        readouts = [p.name for p in graph.populations if p.role == "readout"]
        everywhere = [p.name for p in graph.populations]
        return Shares(
            spikes=dict.fromkeys(everywhere, self.spikes) | dict.fromkeys(inputs, self.input),
            gradients=dict.fromkeys(everywhere, self.gradients) | dict.fromkeys(readouts, 1.0),
        )


PROGRAMS = "forward", "update"
"""Of a batch, one after the other; fp has its tasks in the first, the others in the second."""
Cycles = dict[str, dict[str, float]]
"""Cycles by engine, and by population, or for wg by connection, and by its bias if that has blocks
of its own."""


def update_cycles(cycles: Cycles, connection: str) -> float:
    """Of wg, for a connection and its bias."""
    found = cycles[UPDATE.name]
    return found.get(connection, 0.0) + found.get(bias_of(connection), 0.0)


def predict(plan: Plan, shares: Shares) -> Cycles:
    """Busy cycles of each engine, as its counter has them, for a full batch: run forward, then
    updated, the engines' waiting for the drain included.

    Spikes and gradients are taken to fall evenly, and independently of each other; real ones
    cluster, so engines have a little less to do, and are a little less even. That a request for
    weights is refused, which happens where fp and wg work at the same time, is left out; so is a
    batch that goes on with the one before.
    """
    loads = Loads(plan, shares)
    forward, update = (run(plan, program, loads) for program in PROGRAMS)
    return {
        name: dict((forward if name == FORWARD.name else update)[name].busy) for name in ENGINES
    }


def bounds(plan: Plan, shares: Shares) -> Cycles:
    """The bound of each engine, as its counter has it, for the same batch: events; or of wg for
    each layer these, or two cycles for each row that is updated, whichever is more.

    Of shares that were measured these are the counters', exactly: see `measured_shares`.
    """
    loads, found = Loads(plan, shares), {}
    for engine in ENGINES:
        names = list(plan.descriptors[engine].layers)
        events, rows = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        for step in steps_of(plan, engine, PROGRAMS[engine != FORWARD.name]):
            name = names[step.task.layer]
            for each in loads.sums(engine, name, step.task.tile, step.span):
                events[name] += sum(t.events - t.empty for part in each.tiles for t in part)
                rows[name] += each.touched
        least = 2 if engine == UPDATE.name else 0
        found[engine] = {name: float(max(events[name], least * rows[name])) for name in names}
    return found


def cycles_a_batch(plan: Plan, shares: Shares) -> float:
    """Cycles from doorbell to end of a batch's update beside the next batch's forward pass, as
    training goes if the core updates. See `predict` for what is left out."""
    engines = run(plan, "both", Loads(plan, shares)).values()
    return max(engine.completed[-1] for engine in engines if engine.completed)
