"""Random networks of planes: convolutions of every geometry, pools, skips, shortcuts, circles."""

import numpy as np

from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity, Kind, both
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.window import conv_window
from backspike.train.random_graphs import THRESHOLDS, random_neuron

TRIES = 40
"""Convolutions that are drawn until one leads from planes of one shape to those of another."""


def random_planes(
    rng: np.random.Generator,
    largest: int = 7,
    channels: int = 3,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> Graph:
    """1 or 2 inputs, 1 to 4 hidden populations, 1 or 2 read-outs: planes of up to `largest` rows
    and columns, some of one row, and up to so many channels."""
    draw = _Draw(rng, largest, channels, thresholds)
    inputs = [
        Population(f"x{n}", draw.planes(), None, "input", *draw.grades())
        for n in range(1 + (rng.random() < 0.2))
    ]
    hidden: list[Population] = []
    for n in range(rng.integers(1, 5)):
        source = draw.one_of(inputs + hidden[-2:])
        kind, shape = draw.onwards(source)
        hidden.append(Population(f"h{n}", shape, random_neuron(rng, thresholds)))
        draw.connect(source, hidden[-1], kind)
    readouts = [draw.readout(n) for n in range(1 + (rng.random() < 0.3))]
    for n, readout in enumerate(readouts):
        source = hidden[-1] if n == 0 else draw.one_of(hidden)
        draw.connect(source, readout, draw.last(source, readout))
    for n, population in enumerate([*inputs, *hidden]):
        if not any(c.source == population.name for c in draw.found):
            later = hidden[max(0, n - len(inputs) + 1) :] + readouts
            target = draw.one_of(later)
            draw.connect(population, target, draw.between(population, target))
    for _ in range(rng.integers(0, 3)):
        source = draw.one_of(inputs + hidden)
        target = draw.one_of(hidden)
        onwards = source in inputs or source.name < target.name
        delay = 0 if onwards and rng.random() < 0.6 else 1
        draw.connect(source, target, draw.between(source, target), delay)
    return Graph((*inputs, *hidden, *readouts), tuple(draw.found))


class _Draw:
    """What is drawn of a network, and the connections that it has up to now."""

    def __init__(
        self, rng: np.random.Generator, largest: int, channels: int, thresholds: tuple[float, ...]
    ) -> None:
        self.rng, self.largest, self.channels, self.thresholds = rng, largest, channels, thresholds
        self.found: list[Connection] = []

    def number(self, most: int) -> int:
        return int(self.rng.integers(1, most + 1))

    def one_of(self, populations: list[Population]) -> Population:
        return populations[self.rng.integers(len(populations))]

    def planes(self) -> tuple[int, int, int]:
        rows = 1 if self.rng.random() < 0.1 else self.number(self.largest)
        return self.number(self.channels), rows, self.number(self.largest)

    def grades(self) -> tuple[int, int]:
        """Bits and fraction of an input; mostly it has spikes."""
        if self.rng.random() < 0.7:
            return 1, 0
        return self.number(8), int(self.rng.integers(0, 9))

    def readout(self, n: int) -> Population:
        neuron = random_neuron(self.rng, self.thresholds) if self.rng.random() < 0.3 else None
        return Population(f"y{n}", (self.number(5),), neuron, role="readout")

    def onwards(self, source: Population) -> tuple[Kind, tuple[int, ...]]:
        """A kind that leaves a population, and a shape that it leads to."""
        if self.rng.random() < 0.1:
            return Identity(float(self.rng.choice([1.0, -0.5]))), source.shape
        kind = None
        while kind is None:
            kind = self.conv(source.shape)
        channels = self.number(self.channels)
        return kind, (channels, *conv_window("c", kind, source.shape, channels).pixels)

    def between(self, source: Population, target: Population) -> Kind:
        """Of equal shapes perhaps an identity; a convolution that fits, if one is found; a dense
        one."""
        if source.shape == target.shape and self.rng.random() < 0.4:
            return Identity(float(self.rng.choice([1.0, -0.5, 3.0])))
        for _ in range(TRIES):
            kind = self.conv(source.shape)
            if kind is None:
                continue
            window = conv_window("c", kind, source.shape, target.shape[0])
            if target.shape[1:] == window.pixels:
                return kind
        return Dense(bias=bool(self.rng.random() < 0.3))

    def last(self, source: Population, readout: Population) -> Kind:
        """Into a read-out: dense, over averages, or of a kernel as large as the planes."""
        rows, columns = source.shape[1:]
        bias = bool(self.rng.random() < 0.3)
        draw = self.rng.random()
        if draw < 0.3 and (rows * columns) & (rows * columns - 1) == 0 and rows * columns > 1:
            return GlobalAverage(bias=bias)
        if draw < 0.5:
            return Conv2d(None, (rows, columns), bias=bias)
        if draw < 0.6:
            return Conv2d(None, 1, pool="all", bias=bias)
        return Dense(bias=bias)

    def conv(self, shape: tuple[int, ...]) -> Conv2d | None:
        """A convolution over planes of that shape; none if it has no window that fits."""
        kernel = self.number(5), self.number(5)
        if self.rng.random() < 0.5:
            kernel = both(self.number(3))
        pool = (1, 1)
        if self.rng.random() < 0.3:
            pool = self.number(3), self.number(3)
        pixels = pool[0] * pool[1]
        average = bool(self.rng.random() < 0.7) and pixels in (2, 4)
        stride = (self.number(3), self.number(3)) if self.rng.random() < 0.4 else 1
        padding = (int(self.rng.integers(0, kernel[0])), int(self.rng.integers(0, kernel[1])))
        if self.rng.random() < 0.5:  # the same size, of an odd kernel
            padding = kernel[0] // 2, kernel[1] // 2
        bias = bool(self.rng.random() < 0.3)
        kind = Conv2d(
            None, kernel, stride=stride, padding=padding, pool=pool, average=average, bias=bias
        )
        try:
            conv_window("c", kind, shape, 1)
        except UserError:
            return None
        return kind

    def connect(self, source: Population, target: Population, kind: Kind, delay: int = 0) -> None:
        self.found.append(
            Connection(
                name=f"c{len(self.found)}", source=source.name, target=target.name, kind=kind,
                delay=delay, frozen=bool(self.rng.random() < 0.1),
                stop_gradient=bool(self.rng.random() < 0.1),
            )
        )  # fmt: skip
