"""A spiking network: what users describe, and what golden and compiler read."""

from dataclasses import dataclass, field
from functools import cached_property

from backspike.ir.checks import instance, switch, whole
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import LIF, Reset, Rule
from backspike.ir.surrogate import Surrogate, rectangle


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One dense layer of leaky integrate-and-fire neurons.

    leak (λ) and threshold (θ) are rounded to FP16 on construction.
    In a read-out layer (the last) only size and bias matter: it integrates without leak or spikes.
    """

    size: int
    leak: float = 0.75
    threshold: float = 1.0
    reset: Reset = "hard"
    bias: bool = False
    surrogate: Surrogate = field(default_factory=rectangle)
    rule: Rule = "bptt"
    temporal: bool = True

    def __post_init__(self) -> None:
        whole("a layer's size", self.size)
        switch("bias", self.bias)
        object.__setattr__(self, "leak", self.neuron.leak)
        object.__setattr__(self, "threshold", self.neuron.threshold)

    @property
    def neuron(self) -> LIF:
        """The model of its neurons, if it is hidden."""
        return LIF(
            leak=self.leak,
            threshold=self.threshold,
            reset=self.reset,
            surrogate=self.surrogate,
            rule=self.rule,
            temporal=self.temporal,
        )


@dataclass(frozen=True, kw_only=True)
class Network:
    """`inputs` spiking inputs, then dense layers; the last layer is the read-out."""

    inputs: int
    layers: tuple[Layer, ...]
    steps: int

    def __post_init__(self) -> None:
        whole("inputs", self.inputs)
        if not self.layers:
            raise UserError("a network has no layers, must have 1 or more")
        for layer in self.layers:
            instance("a layer", layer, Layer)
        whole("steps", self.steps)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of the input and of every layer."""
        return (self.inputs, *(layer.size for layer in self.layers))

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(K, N) of every layer's weights; a bias is the last row."""
        return tuple(
            (k + layer.bias, layer.size)
            for k, layer in zip(self.sizes[:-1], self.layers, strict=True)
        )

    @cached_property
    def graph(self) -> Graph:
        """The same network as a graph. Its layers and what enters them are `0` and on; `input`."""
        names = ["input", *map(str, range(len(self.layers)))]
        last = names[-1]
        return Graph(
            (
                Population("input", (self.inputs,), role="input"),
                *(
                    Population(name, (layer.size,), layer.neuron)
                    for name, layer in zip(names[1:-1], self.layers[:-1], strict=True)
                ),
                Population(last, (self.layers[-1].size,), role="readout"),
            ),
            tuple(
                Connection(name=target, source=source, target=target, kind=Dense(bias=layer.bias))
                for source, target, layer in zip(names[:-1], names[1:], self.layers, strict=True)
            ),
        )
