"""Where a graph's populations and connections lie in a machine's memories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backspike.compile.cut import Cut
from backspike.gen.machine import Machine
from backspike.ir.connection import Dense
from backspike.ir.constants import ceil_div
from backspike.ir.graph import Connection, Graph, Population


@dataclass(frozen=True)
class PopulationPlace:
    """Where a population lies: tiles of P neurons, of which each has a unit for every block.

    base: its first unit, of spikes, and of codes and gradients but for inputs. errors: the first
    unit of what the host writes as errors of every step, if it does. logits: of a read-out that
    does not spike, the first unit of its logits.
    """

    size: int
    tiles: int
    base: int
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


def stepped(graph: Graph, population: Population, every: bool) -> bool:
    """Whether the host writes a population's errors step by step: as units of gradients."""
    return population.role == "readout" and (every or population.spikes)


def place(graph: Graph, machine: Machine, cut: Cut, every: bool) -> Placement:
    """Units of all but inputs from 0 up, in the order of computation; then errors, which have
    gradients only, and inputs, which have spikes only."""
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
    bases, errors, logits = {}, {}, {}
    unit = first_logits = 0
    inner = [p for p in ordered if p.role != "input"]
    # What has no spikes comes after what has, so inputs may take its place in the spike memory.
    inner.sort(key=lambda p: not p.spikes)
    for population in inner:
        bases[population.name] = unit
        unit += tiles[population.name] * cut.blocks
        if not population.spikes:
            logits[population.name] = first_logits
            first_logits += tiles[population.name] * (cut.blocks if every else cut.sets)
    inputs_at = sum(tiles[p.name] for p in inner if p.spikes) * cut.blocks
    for population in inner:
        if stepped(graph, population, every):
            errors[population.name] = unit
            unit += tiles[population.name] * cut.blocks
    for population in ordered:
        if population.role == "input":
            bases[population.name] = inputs_at
            inputs_at += tiles[population.name] * cut.blocks
    return {
        p.name: PopulationPlace(
            p.size, tiles[p.name], bases[p.name], errors.get(p.name), logits.get(p.name)
        )
        for p in ordered
    }


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
        diagonal=not isinstance(connection.kind, Dense),
    )
