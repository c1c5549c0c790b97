"""Random networks of convolutions: strides, paddings, shortcuts, circles, dense layers behind."""

import numpy as np

from backspike.ir.connection import Conv2d, Dense, Identity, Kind
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.window import conv_window
from backspike.train.random_graphs import THRESHOLDS, random_neuron

Shape = tuple[int, ...]


class PlaneGraph:
    """Grows a graph from a generator: populations in planes, then rows of neurons."""

    def __init__(self, rng: np.random.Generator, thresholds: tuple[float, ...]):
        self.rng, self.thresholds = rng, thresholds
        self.populations: list[Population] = []
        self.connections: list[Connection] = []

    def size(self, largest: int) -> int:
        """From 1 up."""
        return int(self.rng.integers(1, largest + 1))

    def chance(self, share: float) -> bool:
        """True so often."""
        return bool(self.rng.random() < share)

    def add(self, name: str, shape: Shape, role: str = "hidden") -> Population:
        """A population, with a neuron model if it needs one."""
        spikes = role == "hidden" or (role == "readout" and self.chance(0.3))
        neuron = random_neuron(self.rng, self.thresholds) if spikes else None
        self.populations.append(Population(name, shape, neuron, role=role))  # pyright: ignore[reportArgumentType]
        return self.populations[-1]

    def connect(
        self, source: Population, target: Population, kind: Kind, *, delay: int = 0
    ) -> None:
        """A connection that may be frozen, or stop gradients."""
        self.connections.append(
            Connection(
                name=f"c{len(self.connections)}", source=source.name, target=target.name,
                kind=kind, delay=delay, frozen=self.chance(0.1), stop_gradient=self.chance(0.1),
            )
        )  # fmt: skip

    def conv(self, shape: Shape) -> Conv2d:
        """One that such planes have room for."""
        while True:
            kernel = self.size(4), self.size(4)
            padding = tuple(int(self.rng.integers(k)) for k in kernel)
            if all(k <= n + 2 * p for k, n, p in zip(kernel, shape[1:], padding, strict=True)):
                stride = self.size(3), self.size(3)
                return Conv2d(
                    kernel=kernel, stride=stride, padding=(padding[0], padding[1]),
                    bias=self.chance(0.4),
                )  # fmt: skip

    def layer(self, n: int, source: Population, most: int) -> Population:
        """A convolution from planes to new ones, with a shortcut and a circle, perhaps."""
        kind, channels = self.conv(source.shape), self.size(most)
        window = conv_window("a layer", kind, source.shape, channels)
        target = self.add(f"h{n}", (channels, *window.pixels))
        self.connect(source, target, kind)
        for other in list(self.populations[:-1]):
            if other.shape == target.shape and self.chance(0.5):
                scale = float(self.rng.choice([1.0, -0.5, 3.0]))
                self.connect(other, target, Identity(scale))
            elif len(other.shape) == 3 and self.chance(0.2):
                self.shortcut(other, target)
        if self.chance(0.25):
            kernel = int(self.rng.choice([1, 3]))
            around = Conv2d(kernel=kernel, padding=kernel // 2, bias=self.chance(0.2))
            self.connect(target, target, around if self.chance(0.7) else Identity(-0.5), delay=1)
        return target

    def shortcut(self, source: Population, target: Population) -> None:
        """A convolution of one tap, if a stride makes the planes fit."""
        for stride in (1, 2, 3):
            kind = Conv2d(kernel=1, stride=stride)
            window = conv_window("a shortcut", kind, source.shape, target.shape[0])
            if window.pixels == target.shape[1:]:
                self.connect(source, target, kind, delay=int(self.chance(0.3)))
                return


def random_planes(
    rng: np.random.Generator, largest: int = 6, thresholds: tuple[float, ...] = THRESHOLDS
) -> Graph:
    """An input in planes, 1 to 3 convolutions of up to `largest` channels on planes of up to 7 x 7
    pixels, perhaps a dense layer, and 1 or 2 read-outs."""
    made = PlaneGraph(rng, thresholds)
    shape = made.size(min(largest, 5)), made.size(7), made.size(7)
    source = made.add("x", shape, "input")
    for n in range(rng.integers(1, 4)):
        source = made.layer(n, source, largest)
    if made.chance(0.3):
        flat = made.add("flat", (made.size(largest),))
        made.connect(source, flat, Dense(bias=made.chance(0.3)))
        if made.chance(0.3):
            made.connect(flat, flat, Dense(), delay=1)
        source = flat
    for n in range(rng.integers(1, 3)):
        readout = made.add(f"y{n}", (made.size(10),), "readout")
        made.connect(source, readout, Dense(bias=made.chance(0.3)))
    return Graph(tuple(made.populations), tuple(made.connections))
