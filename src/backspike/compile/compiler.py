"""From a network and a machine to memory placement, descriptors and task queues."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from backspike.compile.cut import Cut, cuts
from backspike.compile.descriptors import Describer, Descriptors, threshold_fields
from backspike.compile.placement import ConnectionPlace, Placement, PopulationPlace, place
from backspike.compile.planes import check_options, check_planes, options_for
from backspike.compile.remedy import remedy
from backspike.compile.schedule import Queue, Range, Scheduler
from backspike.compile.sums import sums_of
from backspike.compile.uses import Use, uses_of
from backspike.compile.windows import Table
from backspike.gen.core.engines import FORWARD, UPDATE
from backspike.gen.machine import DEPTH, Machine
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.half_bits import half_bits
from backspike.ir.learning import Learning


@dataclass(frozen=True)
class Plan:
    """A compiled network: everything that the core must be told before its first batch."""

    graph: Graph
    steps: int
    learning: Learning
    machine: Machine
    every: bool  # errors come for every step, and logits of every step are kept
    stateful: bool  # what neurons keep goes on from batch to batch
    cut: Cut  # of a batch into blocks
    places: Placement
    uses: tuple[Use, ...]
    descriptors: Mapping[str, Descriptors]
    windows: tuple[int, ...]  # rows of the table of windows, of 64 bits
    queues: Mapping[str, Queue]
    programs: Mapping[str, Mapping[str, Range]]

    @property
    def populations(self) -> Mapping[str, PopulationPlace]:
        """Where they lie, by name."""
        return self.places.populations

    @property
    def connections(self) -> Mapping[str, ConnectionPlace]:
        """Where they lie, by name."""
        return self.places.connections

    @property
    def layers(self) -> tuple[ConnectionPlace, ...]:
        """Of a chain: its connections, each with the population that it enters."""
        return tuple(self.connections.values())

    def with_rate(self, rate: float) -> "Plan":
        """The same, but for the rate at which the core updates weights."""
        learning, wg = replace(self.learning, rate=rate), self.descriptors[UPDATE.name]
        layers = {
            name: {**told, "rate": half_bits(learning.rate)} for name, told in wg.layers.items()
        }
        update = replace(wg, layers=layers)
        return replace(
            self, learning=learning, descriptors={**self.descriptors, UPDATE.name: update}
        )

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Plan":
        """The same, but for the thresholds of some populations."""
        graph, fp = self.graph.with_thresholds(thresholds), self.descriptors[FORWARD.name]
        told = {
            name: {**fp.layers[name], **threshold_fields(neuron)}
            for name in thresholds
            if (neuron := graph.by_name[name].neuron) is not None
        }
        forward = replace(fp, layers={**fp.layers, **told})
        return replace(self, graph=graph, descriptors={**self.descriptors, FORWARD.name: forward})


def compile_graph(
    graph: Graph,
    steps: int,
    learning: Learning,
    machine: Machine,
    *,
    every: bool = False,
    stateful: bool = False,
) -> Plan:
    """Compile for that machine, with the fastest cut of the batch that it has room for.

    every: errors come for every step, and logits of every step are kept; else they are of the last
    one. stateful: what neurons keep goes on from batch to batch.
    UserError names the memory that a network does not fit however it is cut.
    """
    check_planes(graph)
    check_options(graph, machine)
    if learning.momentum and learning.updates == "chip" and not machine.momentum:
        raise UserError(
            f"machine {machine.name!r} has no memory of moments, must have one for a momentum of "
            f"{learning.momentum:g}, as {machine.name},momentum=1"
        )

    delayed = any(connection.delay for connection in graph.connections)
    longest = 1 if delayed else DEPTH

    def plan(machine: Machine, cut: Cut, learning: Learning = learning) -> Plan:
        return _compile(graph, steps, learning, machine, cut, every, stateful)

    for cut in cuts(learning.batch, steps, machine, longest=longest):
        found = plan(machine, cut)
        if _fits(found):
            return found

    def uses(machine: Machine) -> Iterator[Sequence[Use]]:
        """With as few blocks as can be, which takes least memory, and so on."""
        if options_for(graph, machine):
            return
        ways = cuts(learning.batch, steps, machine, longest=longest)
        for cut in sorted(ways, key=lambda cut: cut.blocks):
            yield plan(machine, cut).uses

    def in_parts() -> str:
        """What to say of a batch that would fit in parts."""
        if learning.batch == 1 or bool(machine.parts) != stateful:
            return ""
        (cut,) = cuts(1, steps, machine, longest=longest)
        if not _fits(plan(machine, cut, replace(learning, batch=1))):
            return ""
        if stateful:
            return "; and no batch comes in parts whose states go on in the next one"
        return f"; {machine.name},parts=1 has room for it, as such a batch may come in parts"

    use = next(use for use in next(uses(machine)) if not use.fits)
    verb = "need" if use.memory.split()[0].endswith("s") else "needs"
    raise UserError(
        f"the network does not fit machine {machine.name!r}: its {use.memory} "
        f"{verb} {use.needs} {use.unit}, and there are {use.has}"
        + ("" if use.parameter is None else f" (parameter {use.parameter})")
        + remedy(machine, uses)
        + in_parts()
    )


def _fits(plan: Plan) -> bool:
    return all(use.fits for use in plan.uses)


def _compile(
    graph: Graph,
    steps: int,
    learning: Learning,
    machine: Machine,
    cut: Cut,
    every: bool,
    stateful: bool,
) -> Plan:
    places = place(graph, machine, cut, every)
    table = Table(cut.blocks) if machine.windows else None
    descriptors = Describer(graph, learning, places, every, cut, table, machine.scale_down).all()
    tiles = {name: at.tiles for name, at in places.populations.items()}
    numbers = {
        engine: {name: n for n, name in enumerate(found.layers)}
        for engine, found in descriptors.items()
    }
    after = {name: at.after for name, at in places.populations.items()}
    sets = {name: at.pixels * cut.sets for name, at in places.populations.items()}
    scheduler = Scheduler(graph, tiles, numbers, sets=sets, stateful=stateful, after=after)
    queues, programs = scheduler.queues()
    return Plan(
        graph=graph,
        steps=steps,
        learning=learning,
        machine=machine,
        every=every,
        stateful=stateful,
        cut=cut,
        places=places,
        uses=(
            *uses_of(machine, places, descriptors, queues, scheduler.places, cut, every, table),
            *sums_of(graph, places, machine, cut),
        ),
        descriptors=descriptors,
        windows=() if table is None else tuple(table.words),
        queues=queues,
        programs=programs,
    )
