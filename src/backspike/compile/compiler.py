"""From a network and a machine to memory placement, descriptors and task queues."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from backspike.compile.cut import Cut, cuts
from backspike.compile.descriptors import Describer, Descriptors
from backspike.compile.placement import ConnectionPlace, Placement, PopulationPlace, place
from backspike.compile.schedule import Queue, Range, Scheduler
from backspike.gen.core.engines import (
    CODES_OF,
    GRADIENTS,
    KINDS,
    READOUT,
    SPIKES,
    WEIGHTS,
    EngineKind,
    Extent,
    Memory,
)
from backspike.gen.core.layout import (
    BLOCK_BITS,
    DESCRIPTOR_WORDS,
    RECORD_WORDS,
    TILE_BITS,
    descriptor_words,
)
from backspike.gen.machine import DEPTH, Machine
from backspike.ir.connection import Conv2d
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning

MAX_TILES = 1 << TILE_BITS
"""Tiles of a layer, as many as a task can name."""
MAX_BLOCKS = (1 << BLOCK_BITS) - 1
"""Blocks of a batch, as many as can be counted."""


@dataclass(frozen=True)
class Use:
    """How much of a memory a network needs."""

    memory: str
    unit: str
    needs: int
    has: int
    parameter: str | None = None  # of the machine, which gives it


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
    for population in graph.populations:
        if population.bits > 1 or population.fraction:
            raise UserError(
                f"input {population.name} has numbers of {population.bits} bits, must have spikes: "
                "the core has no graded inputs yet, and --backend golden trains it"
            )
    for connection in graph.connections:
        if isinstance(connection.kind, Conv2d):
            raise UserError(
                f"connection {connection.name} from {connection.source} to {connection.target} is "
                "a convolution, must be dense or one to one: the core has no windows yet, and "
                "--backend golden trains it"
            )
    if learning.momentum and learning.updates == "chip" and not machine.momentum:
        raise UserError(
            f"machine {machine.name!r} has no memory of moments, must have one for a momentum of "
            f"{learning.momentum:g}, as {machine.name},momentum=1"
        )
    delayed = any(connection.delay for connection in graph.connections)
    plans = []
    longest = 1 if delayed else DEPTH
    for cut in cuts(learning.batch, steps, machine, longest=longest):
        plan = _compile(graph, steps, learning, machine, cut, every, stateful)
        if all(use.needs <= use.has for use in plan.uses):
            return plan
        plans.append(plan)
    smallest = min(plans, key=lambda plan: plan.cut.blocks)
    use = next(use for use in smallest.uses if use.needs > use.has)
    verb = "need" if use.memory.split()[0].endswith("s") else "needs"
    raise UserError(
        f"the network does not fit machine {machine.name!r}: its {use.memory} "
        f"{verb} {use.needs} {use.unit}, and there are {use.has}"
        + ("" if use.parameter is None else f" (parameter {use.parameter})")
    )


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
    descriptors = Describer(graph, learning, places, every).all()
    tiles = {name: at.tiles for name, at in places.populations.items()}
    numbers = {
        engine: {name: n for n, name in enumerate(found.layers)}
        for engine, found in descriptors.items()
    }
    after = {name: at.after for name, at in places.populations.items()}
    scheduler = Scheduler(graph, tiles, numbers, sets=cut.sets, stateful=stateful, after=after)
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
        uses=tuple(_uses(machine, places, descriptors, queues, scheduler.places, cut)),
        descriptors=descriptors,
        queues=queues,
        programs=programs,
    )


def _uses(machine, places, descriptors, queues, kept, cut) -> Iterator[Use]:
    """What the network needs of everything that a machine has a limited amount of."""
    extents = [
        extent
        for name, kind in KINDS.items()
        for extent in _extents(kind, descriptors[name], cut)
        if extent.applies
    ]

    def memory(
        name: str, unit: str, kind: Memory, parameter: str, each: int = 1, needs: int = 0
    ) -> Use:
        """What the hardware checks: the end of the extent that reaches furthest."""
        ends = (e.base + e.count * e.times for e in extents if e.memory is kind)
        needs = max(needs, *ends, 0)
        return Use(name, unit, needs * each, kind.size(machine) * each, parameter)

    layers = max(len(found.layers) for found in descriptors.values())
    records = max(len(found.records) for found in descriptors.values())
    room = (descriptor_words(machine) - machine.layers * DESCRIPTOR_WORDS) // RECORD_WORDS
    widest = max(
        *(at.tiles for at in places.populations.values()),
        *(at.source_tiles for at in places.connections.values()),
    )
    identity = 0 if places.identity is None else places.identity + 1
    yield Use("layers", "descriptors", layers, machine.layers, "layers")
    yield Use("connections", "records", records, room)
    yield Use("widest layer", "tiles", widest, MAX_TILES)
    yield Use("batch", "blocks", cut.blocks, MAX_BLOCKS)
    gradients = "gradient_units" if machine.gradient_units else "units"
    yield memory("weight memory", "row tiles", WEIGHTS, "weight_rows", machine.lanes, identity)
    yield memory("spike memory", "tiles", SPIKES, "spike_units")
    yield memory("code memory", "tiles", CODES_OF, "units")
    yield memory("gradient memory", "tiles", GRADIENTS, gradients)
    yield memory("read-out memory", "tiles", READOUT, "readout_units")
    yield Use("state memory", "tiles", kept, machine.states, "states")
    for name in ENGINES:
        yield Use(f"{name} task memory", "tasks", len(queues[name].tasks), machine.tasks, "tasks")


def _extents(kind: EngineKind, found: Descriptors, cut: Cut) -> Iterator[Extent]:
    for values in found.layers.values():
        config = SimpleNamespace(**values)
        yield from kind.extents(config, cut)
        if "record" not in values:
            continue
        records = found.records[values["record"] : values["record"] + values["connections"]]
        for record in records:
            yield from kind.record_extents(config, SimpleNamespace(**record), cut)
