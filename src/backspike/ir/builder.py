"""Two ways to write a graph: population by population, and as a chain of layers."""

import math
from dataclasses import dataclass, replace

from backspike.ir.connection import Conv2d, Dense, Identity, Kind
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import LIF
from backspike.ir.window import conv_window

Shape = int | tuple[int, ...]


class Network:
    """A graph that grows: populations first, then connections between them; `graph` is it.

        net = Network()
        x = net.input("x", 64)
        h = net.population("h", 128, LIF(leak=0.75))
        y = net.readout("y", 10)
        net.connect(x, h, Dense(bias=True))
        net.connect(h, h, Dense(), delay=1)
        net.connect(h, y)

    Shapes are a number of neurons, or (channels, rows, columns). Raises UserError for what no graph
    has, here or in `graph`.
    """

    def __init__(self) -> None:
        self._populations: list[Population] = []
        self._connections: list[Connection] = []

    def input(
        self, name: str, shape: Shape, *, bits: int = 1, fraction: int | None = None
    ) -> Population:
        """A population whose spikes, or numbers of `bits`, the user brings; see `Population`."""
        return self._add(Population(name, _shape(shape), None, "input", bits, fraction))

    def population(self, name: str, shape: Shape, neuron: LIF) -> Population:
        """A hidden population."""
        return self._add(Population(name, _shape(shape), neuron))

    def readout(self, name: str, shape: Shape, neuron: LIF | None = None) -> Population:
        """A population whose potentials are logits; with a neuron model, its numbers of spikes."""
        return self._add(Population(name, _shape(shape), neuron, role="readout"))

    def connect(
        self,
        source: Population | str,
        target: Population | str,
        kind: Kind | None = None,
        *,
        delay: int = 0,
        frozen: bool = False,
        stop_gradient: bool = False,
        name: str | None = None,
    ) -> Connection:
        """A connection; kind: `Dense()` unless another is given. name: SOURCE-TARGET, and -2, -3
        after it if there are more between the same two, unless another is given.
        """
        ends = [end.name if isinstance(end, Population) else end for end in (source, target)]
        connection = Connection(
            name=self._free("-".join(map(str, ends))) if name is None else name,
            source=ends[0],
            target=ends[1],
            kind=self._settled(ends[1], Dense() if kind is None else kind),
            delay=delay,
            frozen=frozen,
            stop_gradient=stop_gradient,
        )
        self._connections.append(connection)
        return connection

    @property
    def graph(self) -> Graph:
        """What has been added up to now, checked, and immutable."""
        return Graph(tuple(self._populations), tuple(self._connections))

    def _add(self, population: Population) -> Population:
        if any(each.name == population.name for each in self._populations):
            raise UserError(
                f"population {population.name} is there already, must have a name of its own"
            )
        self._populations.append(population)
        return population

    def _free(self, name: str) -> str:
        taken = {connection.name for connection in self._connections}
        numbers = (f"{name}-{n}" for n in range(2, len(taken) + 3))
        return name if name not in taken else next(n for n in numbers if n not in taken)

    def _settled(self, target: str, kind: Kind) -> Kind:
        """A Dense that was given its size has its target's, a Conv2d its channels."""
        shapes = {population.name: population.shape for population in self._populations}
        shape = shapes.get(target)
        if isinstance(kind, Dense) and kind.size is not None:
            if shape is not None and math.prod(shape) != kind.size:
                raise UserError(
                    f"a Dense into {target} has size {kind.size}, must have {math.prod(shape)} or "
                    "none"
                )
            return replace(kind, size=None)
        if isinstance(kind, Conv2d) and kind.channels is not None:
            if shape is not None and shape[0] != kind.channels:
                raise UserError(
                    f"a Conv2d into {target} has {kind.channels} channels, must have {shape[0]} or "
                    "none"
                )
            return replace(kind, channels=None)
        return kind


@dataclass(frozen=True)
class Input:
    """The first layer of a chain: its number of inputs, or (channels, rows, columns).

    bits, fraction: of a graded one; see `Population`.
    """

    shape: Shape
    bits: int = 1
    fraction: int | None = None

    def __repr__(self) -> str:
        graded = "" if self.bits == 1 else f", bits={self.bits}, fraction={self.fraction}"
        return f"Input(shape={self.shape}{graded})"


def Sequential(*layers: Input | Kind | LIF) -> Graph:
    """A chain as it is written in PyTorch: an Input, then connections, each with its neurons.

        Sequential(Input(64), Dense(128), LIF(leak=0.75), Dense(10))

    A Dense has its size here, a Conv2d its channels; planes have as many pixels as
    windows fit their source. A last connection without neurons leads to a read-out of potentials,
    one with neurons to a read-out of numbers of spikes. Populations are `input`, `hidden1` and on,
    `readout`; connections go by their targets. Raises UserError.
    """
    if not layers or not isinstance(layers[0], Input):
        raise UserError(
            f"a chain begins with {layers[0] if layers else 'nothing'}, must begin with an Input"
        )
    net, before, rest, hidden = Network(), layers[0], list(layers[1:]), 0
    source = net.input("input", before.shape, bits=before.bits, fraction=before.fraction)
    while rest:
        kind = rest.pop(0)
        if not isinstance(kind, Kind):
            raise UserError(
                f"in a chain {kind} is after {before}, must be a Dense, a Conv2d or an Identity"
            )
        neuron = rest.pop(0) if rest and isinstance(rest[0], LIF) else None
        if rest and neuron is None:
            raise UserError(f"in a chain {rest[0]} is after {kind}, must be a neuron model")
        shape = _target(kind, source)
        if rest:
            assert isinstance(neuron, LIF)
            hidden += 1
            target = net.population(f"hidden{hidden}", shape, neuron)
        else:
            assert neuron is None or isinstance(neuron, LIF)
            whole = isinstance(kind, Conv2d) and _shape(shape)[1:] == (1, 1)
            target = net.readout("readout", _shape(shape)[0] if whole else shape, neuron)
        net.connect(source, target, kind, name=target.name)
        source, before = target, neuron or kind
    return net.graph


def _target(kind: Kind, source: Population) -> Shape:
    """The shape of the population that a layer leads to."""
    if isinstance(kind, Identity):
        return source.shape
    if isinstance(kind, Dense):
        if kind.size is None:
            raise UserError("a Dense in a chain has no size, must have one, as Dense(128)")
        return kind.size
    if kind.channels is None:
        raise UserError("a Conv2d in a chain has no channels, must have some, as Conv2d(16, 3)")
    window = conv_window(f"{kind} after {source.name}", kind, source.shape, kind.channels)
    return kind.channels, *window.pixels


def _shape(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else shape
