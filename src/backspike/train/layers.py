"""Networks in a line of text: `64,128r,10`, `1x8x8,16c3,32c3s2,32c3,10`; what a graph is in words.

The first is a number of inputs, or their planes CxHxW. Then come layers: `N` dense, `Nr` recurrent,
`NcK` a convolution to N channels with kernel K, `sS` with stride S, `pP` with padding P (K // 2
unless given); the last one is the read-out. `aK` before a layer averages its source over KxK
pixels. `+` after two layers adds what enters them to what enters the second one's neurons.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backspike.ir.builder import Network
from backspike.ir.connection import MAX_STRIDE, Conv2d, Dense, Identity, Kind
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import LIF
from backspike.ir.window import conv_window

LAYERS = "64,128,10"
"""Unless others are asked for."""
PLANES = "1x8x8,16c3,32c3s2,a2,32c3,10"
NUMBER = r"(\d{1,9})"
INPUT = re.compile(f"{NUMBER}(?:x{NUMBER}x{NUMBER})?")
CONV = re.compile(f"{NUMBER}c{NUMBER}(?:s{NUMBER})?(?:p{NUMBER})?")
DENSE = re.compile(f"{NUMBER}(r?)")
POOL = re.compile(f"a{NUMBER}")
RECURRENT, AROUND = "r", "+"


@dataclass(frozen=True)
class Layer:
    """One of the text. size: neurons, channels of a convolution (then it has a kernel), or, of the
    first, all inputs. pool: averaged before it. around: what enters the layer before is added."""

    size: int
    planes: tuple[int, int, int] | None = None
    recurrent: bool = False
    kernel: int | None = None
    stride: int = 1
    padding: int = 0
    pool: int = 1
    around: bool = False


def parse_layers(text: str) -> list[Layer]:
    """Inputs, hidden layers and the read-out. Raises UserError with the text."""
    first, *rest = (part.strip() for part in text.split(","))
    pool, layers = 1, [_input(text, first)]
    for part in rest:
        if part == AROUND:
            if len(layers) < 3 or layers[-1].around or pool > 1:
                raise UserError(f"layers is {text!r}, must have {AROUND} only after two layers")
            layers[-1] = replace(layers[-1], around=True)
        elif found := POOL.fullmatch(part):
            if pool > 1 or int(found[1]) < 2:
                raise UserError(f"layers is {text!r}, must have {part} once, and with 2 or more")
            pool = int(found[1])
        else:
            layers.append(replace(_layer(text, part), pool=pool))
            pool = 1
    if len(layers) < 2:
        raise _wrong(text)
    if pool > 1 or layers[-1].around:
        raise UserError(f"layers is {text!r}, must end in its read-out, as {PLANES}")
    if layers[-1].recurrent:
        _refuse_recurrent("last", layers[-1].size)
    return layers


def _input(text: str, part: str) -> Layer:
    if found := INPUT.fullmatch(part):
        if found[2] is None:
            return Layer(int(found[1]))
        channels, rows, columns = map(int, found.groups())
        return Layer(channels * rows * columns, planes=(channels, rows, columns))
    if (dense := DENSE.fullmatch(part)) is not None:
        _refuse_recurrent("first", int(dense[1]))
    raise _wrong(text)


def _layer(text: str, part: str) -> Layer:
    if found := CONV.fullmatch(part):
        kernel, stride = int(found[2]), int(found[3] or 1)
        padding = kernel // 2 if found[4] is None else int(found[4])
        return Layer(int(found[1]), kernel=kernel, stride=stride, padding=padding)
    if (dense := DENSE.fullmatch(part)) is None:
        raise _wrong(text)
    return Layer(int(dense[1]), recurrent=bool(dense[2]))


def _wrong(text: str) -> UserError:
    return UserError(
        f"layers is {text!r}, must be two or more sizes with commas between, as {LAYERS}; "
        f"{RECURRENT} after a hidden one makes it recurrent, as 64,128{RECURRENT},10; planes and "
        f"convolutions are {PLANES}"
    )


def _refuse_recurrent(what: str, size: int) -> None:
    raise UserError(
        f"the {what} of layers is {size}{RECURRENT}, must be without {RECURRENT}: only hidden "
        "layers can be recurrent"
    )


def chain(layers: Sequence[Layer], neuron: LIF, bias: bool = False) -> Graph:
    """As `Sequential` makes it, each hidden layer of that neuron model; a recurrent one has a
    connection to itself more, of delay 1, and a residual one what is around it. UserError."""
    net = Network()
    first, *rest = layers
    found = [net.input("input", first.size if first.planes is None else first.planes)]
    for n, layer in enumerate(rest, 1):
        kind = _kind(f"layer {n}", layer, found[-1], bias)
        shape: tuple[int, ...] = (layer.size,)
        if layer.kernel is not None and isinstance(kind, Conv2d):
            window = conv_window(f"layer {n}", kind, found[-1].shape, layer.size)
            if n < len(rest) or window.pixels != (1, 1):
                shape = layer.size, *window.pixels
        if n < len(rest):
            now = net.population(f"hidden{n}", shape, neuron)
        else:
            now = net.readout("readout", shape)
        net.connect(found[-1], now, kind, name=now.name)
        if layer.recurrent:
            net.connect(now, now, Dense(), delay=1)
        if layer.around:
            net.connect(found[-2], now, _shortcut(n, found[-2], now))
        found.append(now)
    return net.graph


def _kind(what: str, layer: Layer, source: Population, bias: bool) -> Kind:
    """What leads to a layer: a dense one over averages has a kernel as large as they."""
    pool: Any = {"pool": layer.pool, "average": True} if layer.pool > 1 else {}
    if layer.kernel is not None:
        return Conv2d(
            None, layer.kernel, stride=layer.stride, padding=layer.padding, bias=bias, **pool
        )
    if layer.pool == 1:
        return Dense(bias=bias)
    pixels = conv_window(what, Conv2d(None, 1, **pool), source.shape, layer.size).pixels
    return Conv2d(None, pixels, bias=bias, **pool)


def _shortcut(number: int, source: Population, target: Population) -> Kind:
    """One to one, or a convolution of 1x1 whose stride leads to as many pixels."""
    if source.shape == target.shape:
        return Identity()
    if len(source.shape) == len(target.shape) == 3:
        for stride in range(1, MAX_STRIDE + 1):
            kind = Conv2d(None, 1, stride=stride)
            pixels = conv_window(AROUND, kind, source.shape, target.shape[0]).pixels
            if pixels == target.shape[1:]:
                return kind
    raise UserError(
        f"{AROUND} after layer {number} leads from {source.shape} to {target.shape}, must lead to "
        f"an equal shape, or to planes that a stride of up to {MAX_STRIDE} makes of them"
    )


def layers_of(graph: Graph) -> str | None:
    """The text of `parse_layers`, if the graph is such a chain; else None."""
    order = [graph.by_name[name] for stage in graph.stages for name in stage]
    parts = ["x".join(map(str, order[0].shape))]
    for n in range(1, len(order)):
        part = _part(graph, order, n)
        if part is None:
            return None
        parts.append(part)
    text = ",".join(parts)
    try:
        again = chain(parse_layers(text), LIF())
    except UserError:
        return None
    return text if _structure(graph) == _structure(again) else None


def _part(graph: Graph, order: list[Population], n: int) -> str | None:
    """What makes the population of that number in the text; none if nothing does."""
    into = graph.into(order[n].name)
    main = [c for c in into if c.source == order[n - 1].name and not c.delay]
    window = graph.windows.get(main[0].name) if main else None
    if window is None:
        return None
    (k, _), (s, _), (p, _) = window.kernel, window.stride, window.padding
    averaged = window.pool_size > 1 and len(order[n].shape) == 1
    dense = averaged or isinstance(main[0].kind, Dense)
    part = f"a{window.pool[0]}," if window.average else ""
    part += f"{window.channels}" if dense else f"{window.channels}c{k}"
    if not dense:
        part += (f"s{s}" if s > 1 else "") + (f"p{p}" if p != k // 2 else "")
    part += RECURRENT if any(c.source == c.target for c in into) else ""
    around = n > 1 and any(c.source == order[n - 2].name for c in into)
    return f"{part},{AROUND}" if around else part


def _structure(graph: Graph) -> Any:
    """Shapes, roles and connections, whatever their names, neurons and biases are."""
    order = [name for stage in graph.stages for name in stage]

    def about(c: Connection) -> Any:
        window = graph.windows.get(c.name)
        kind = c.kind if window is None else replace(window, bias=False)
        return order.index(c.source), order.index(c.target), c.delay, kind

    populations = [graph.by_name[name] for name in order]
    return (
        [(p.shape, p.role, p.spikes) for p in populations],
        sorted((about(c) for c in graph.connections), key=repr),
    )


def hidden(graph: Graph) -> tuple[Population, ...]:
    """The populations with a neuron model."""
    return tuple(p for p in graph.populations if p.neuron is not None)


def in_words(graph: Graph) -> str:
    """`64-128-10` of a chain, and else its populations by name, with their sizes."""
    layers = layers_of(graph)
    if layers is not None:
        return layers.replace(",", "-")
    return " ".join(f"{p.name}:{'x'.join(map(str, p.shape))}" for p in graph.populations)
