"""Where a graph's populations and connections lie in a machine's memories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backspike.compile.cut import Cut
from backspike.compile.liveness import Life, place_lives
from backspike.gen.machine import Machine
from backspike.ir.connection import Dense
from backspike.ir.constants import ceil_div
from backspike.ir.graph import Connection, Graph, Population


@dataclass(frozen=True)
class PopulationPlace:
    """Where a population lies: tiles of P neurons, of which each has a unit for every block.

    base: its first unit, of spikes, and of codes but for inputs. gradients: the first unit of its
    gradients, if it learns; after: populations whose gradients they take the place of. errors: the
    first unit of what the host writes as errors of every step, if it does. logits: of a read-out
    that does not spike, the first unit of its logits.
    """

    size: int
    tiles: int
    base: int
    gradients: int = 0
    after: frozenset[str] = frozenset()
    errors: int | None = None
    logits: int | None = None


@dataclass(frozen=True)
class ConnectionPlace:
    """Where a connection's weights lie, and both its ends."""

    size: int
    sources: int
    bias: bool
    tiles: int
    source_tiles: int
    weights: int  # first block of P x P
    source_base: int
    output_base: int
    gradient_base: int
    diagonal: bool

    @property
    def rows(self) -> int:
        """Rows of P weights that are used."""
        return (self.sources + self.bias) * self.tiles

    @property
    def weight_blocks(self) -> int:
        """Blocks of P x P weights that they lie in."""
        return 1 if self.diagonal else self.source_tiles * self.tiles


@dataclass(frozen=True)
class Placement:
    """Everything's place, by name."""

    populations: Mapping[str, PopulationPlace]
    connections: Mapping[str, ConnectionPlace]
    identity: int | None  # the block of weights that brings errors of every step, if there is one


ERRORS = "errors of "
"""Before a read-out's name: the units that the host writes its errors into."""


def stepped(population: Population, every: bool) -> bool:
    """Whether the host writes a population's errors step by step: as units of gradients."""
    return population.role == "readout" and (every or population.spikes)


def place(graph: Graph, machine: Machine, cut: Cut, every: bool) -> Placement:
    """Spikes and codes from unit 0 up, in the order of computation, then the inputs' spikes;
    gradients by liveness."""
    order = [name for stage in graph.stages for name in stage]
    ordered = [graph.by_name[name] for name in order]
    populations = _populations(graph, ordered, machine, cut, every)
    places = {}
    block = 0
    for connection in _into_order(graph, order):
        there = _connection(graph, connection, populations, machine, block)
        places[connection.name] = there
        block += there.weight_blocks
    some = any(there.errors is not None for there in populations.values())
    return Placement(
        populations,
        {c.name: places[c.name] for c in graph.connections},
        block if some else None,
    )


def _populations(
    graph: Graph, ordered: list[Population], machine: Machine, cut: Cut, every: bool
) -> dict[str, PopulationPlace]:
    tiles = {p.name: ceil_div(p.size, machine.lanes) for p in ordered}
    bases, logits = dict.fromkeys(tiles, 0), {}
    unit = first_logits = 0
    for population in sorted(ordered, key=lambda p: p.role == "input"):
        if population.spikes:
            bases[population.name] = unit
            unit += tiles[population.name] * cut.blocks
        else:
            logits[population.name] = first_logits
            first_logits += tiles[population.name] * (cut.blocks if every else cut.sets)
    places = place_lives(_lives(graph, ordered, tiles, cut, every), machine.gradients)
    return {
        p.name: PopulationPlace(
            size=p.size,
            tiles=tiles[p.name],
            base=bases[p.name],
            gradients=places[p.name].first if p.name in places else 0,
            after=places[p.name].after if p.name in places else frozenset(),
            errors=places[ERRORS + p.name].first if ERRORS + p.name in places else None,
            logits=logits.get(p.name),
        )
        for p in ordered
    }


def _lives(
    graph: Graph, ordered: list[Population], tiles: Mapping[str, int], cut: Cut, every: bool
) -> list[Life]:
    """Of gradients, and of errors that the host writes; moments are populations, in the order of
    back-propagation. A stage is one moment: in a circle all are needed to its end."""
    stages = [n for stage in reversed(graph.stages) for n in [set(stage) & graph.learning] if n]
    moment = {name: n for n, stage in enumerate(stages) for name in stage}
    lives = []
    for population in reversed(ordered):
        name = population.name
        if name not in moment:
            continue
        below = [c.source for c in graph.into(name) if c in graph.errors_into(c.source)]
        last = max([moment[name], *(moment[source] for source in below if source in moment)])
        units = tiles[name] * cut.blocks
        if stepped(population, every):
            lives.insert(0, Life(ERRORS + name, units, -1, moment[name]))
        lives.append(Life(name, units, moment[name], last))
    return lives


def _into_order(graph: Graph, order: list[str]) -> Iterator[Connection]:
    for name in order:
        yield from graph.into(name)


def _connection(
    graph: Graph,
    connection: Connection,
    populations: Mapping[str, PopulationPlace],
    machine: Machine,
    block: int,
) -> ConnectionPlace:
    source, target = populations[connection.source], populations[connection.target]
    bias = isinstance(connection.kind, Dense) and connection.kind.bias
    return ConnectionPlace(
        size=target.size,
        sources=source.size,
        bias=bias,
        tiles=target.tiles,
        source_tiles=ceil_div(source.size + bias, machine.lanes),
        weights=block,
        source_base=source.base,
        output_base=target.base,
        gradient_base=target.gradients,
        diagonal=not isinstance(connection.kind, Dense),
    )
