"""Where a graph's populations and connections lie in a machine's memories."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backspike.compile.cut import Cut
from backspike.compile.liveness import Life, place_lives
from backspike.compile.planes import in_planes
from backspike.gen.machine import Machine
from backspike.ir.connection import Dense
from backspike.ir.constants import ceil_div
from backspike.ir.graph import Connection, Graph, Population


@dataclass(frozen=True)
class PopulationPlace:
    """Where a population lies: tiles of P neurons (in planes of P channels), of which each has a
    unit for every pixel and block.

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
    plane: tuple[int, int] = (1, 1)  # rows and columns; size is that of a pixel
    coded: bool = True  # it has codes: it spikes, and is no input
    learns: bool = False  # it has gradients
    bits: int = 1  # of a graded input's numbers

    @property
    def pixels(self) -> int:
        """Of its plane, each bit of a number one."""
        return math.prod(self.plane) * self.bits


@dataclass(frozen=True)
class ConnectionPlace:
    """Where a connection's weights lie, and both its ends.

    size, sources: neurons, and sources of each tap. tiles, source_tiles: likewise. taps: pixels of
    its window.
    """

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
    taps: int = 1
    bias_block: int | None = None  # of a bias that has blocks of its own: a window's

    @property
    def rows(self) -> int:
        """Rows of P weights that are used."""
        return (self.sources * self.taps + self.bias) * self.tiles

    @property
    def tile_rows(self) -> int:
        """Blocks of P x P weights of a tile of neurons."""
        return self.source_tiles * self.taps

    @property
    def weight_blocks(self) -> int:
        """Blocks of P x P weights that they lie in."""
        return 1 if self.diagonal else self.tile_rows * self.tiles + self.bias_blocks

    @property
    def bias_blocks(self) -> int:
        """Of these those of a bias, behind all others: one for each tile of neurons."""
        return 0 if self.bias_block is None else self.tiles


@dataclass(frozen=True)
class Placement:
    """Everything's place, by name."""

    populations: Mapping[str, PopulationPlace]
    connections: Mapping[str, ConnectionPlace]
    identity: int | None  # the block of weights that brings errors of every step, if there is one


BIAS = ":bias"
"""Behind a connection's name: the weight gradients of a bias that has blocks of its own."""


def bias_of(name: str) -> str:
    """What wg calls a connection's bias."""
    return name + BIAS


def connection_of(layer: str) -> str:
    """The name of a connection of which wg works on a layer."""
    return layer.removesuffix(BIAS)


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
    planes = in_planes(graph)
    plane = {p.name: _plane(p) if p.name in planes else (1, 1) for p in ordered}
    size = {p.name: p.size // math.prod(plane[p.name]) for p in ordered}
    tiles = {name: ceil_div(channels, machine.lanes) for name, channels in size.items()}
    pixels = {p.name: tiles[p.name] * math.prod(plane[p.name]) * p.bits for p in ordered}
    bases, logits = dict.fromkeys(tiles, 0), {}
    unit = first_logits = 0
    for population in sorted(ordered, key=lambda p: p.role == "input"):
        if population.spikes:
            bases[population.name] = unit
            unit += pixels[population.name] * cut.blocks
        else:
            logits[population.name] = first_logits
            first_logits += pixels[population.name] * (cut.blocks if every else cut.sets)
    places = place_lives(_lives(graph, ordered, pixels, cut, every), machine.gradients)
    return {
        p.name: PopulationPlace(
            size=size[p.name],
            tiles=tiles[p.name],
            plane=plane[p.name],
            coded=p.spikes and p.role != "input",
            learns=p.name in places,
            bits=p.bits,
            base=bases[p.name],
            gradients=places[p.name].first if p.name in places else 0,
            after=places[p.name].after if p.name in places else frozenset(),
            errors=places[ERRORS + p.name].first if ERRORS + p.name in places else None,
            logits=logits.get(p.name),
        )
        for p in ordered
    }


def _plane(population: Population) -> tuple[int, int]:
    """Rows and columns; a row of neurons is one pixel."""
    return population.shape[1:] if len(population.shape) == 3 else (1, 1)


def _lives(
    graph: Graph, ordered: list[Population], pixels: Mapping[str, int], cut: Cut, every: bool
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
        units = pixels[name] * cut.blocks
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
    window = graph.windows.get(connection.name)
    bias = window is not None and window.bias
    taps = 1
    planes = in_planes(graph)
    if connection.source in planes and window is not None:
        dense = isinstance(connection.kind, Dense)
        taps = math.prod(source.plane if dense else window.kernel)
    apart = bias and (connection.source in planes or graph.by_name[connection.source].graded)
    source_tiles = ceil_div(source.size + (bias and not apart), machine.lanes)
    return ConnectionPlace(
        size=target.size,
        sources=source.size,
        bias=bias,
        tiles=target.tiles,
        source_tiles=source_tiles,
        weights=block,
        source_base=source.base,
        output_base=target.base,
        gradient_base=target.gradients,
        diagonal=window is None,
        taps=taps,
        bias_block=block + source_tiles * taps * target.tiles if apart else None,
    )
