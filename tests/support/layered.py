"""Chains of layers for tests: a short way to write a graph, and to run it by layers' numbers.

A layer is a population and what enters it; in the graph both are called `0` and on. Weights are a
list, logits and errors are of the last step, (B, N).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from backspike.compile.compiler import Plan, compile_graph
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.drive.serial_backend import SerialBackend
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.ir.bits import Bits
from backspike.ir.checks import instance, switch, whole
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, Reset, Rule
from backspike.ir.surrogate import Surrogate, rectangle
from backspike.train import fuzz_training


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


def compile_network(network: Network, learning: Learning, machine: Machine) -> Plan:
    """A plan for the loss of the last step."""
    return compile_graph(network.graph, network.steps, learning, machine)


def chain_weights(network: Network, seed: int) -> list[Bits]:
    """The first weights of that seed, uint16 (K, N) by layer."""
    return list(initial_weights(network.graph, seed).values())


def random_batch(
    rng: np.random.Generator, network: Network, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """(spikes, labels) as `fuzz_training` draws them."""
    inputs, labels = fuzz_training.random_batch(rng, network.graph, network.steps, samples)
    return inputs["input"], labels


class Chain:
    """A backend of a chain, made for the loss of the last step, by layers' numbers."""

    def __init__(self, network: Network, backend: Any) -> None:
        self.network, self.inner = network, backend
        self._names = list(network.graph.shapes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def load_weights(self, weights: list[Bits]) -> None:
        self.inner.load_weights(dict(zip(self._names, weights, strict=True)))

    def weights(self) -> list[Bits]:
        return list(self.inner.weights().values())

    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        return self.inner.forward({"input": spikes}, labels)[self._names[-1]]

    def update(self, error: Bits | None, step: int) -> None:
        self.inner.update(self._errors(error), step)

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        found = self.inner.update_forward(self._errors(error), step, {"input": spikes}, labels)
        return found[self._names[-1]]

    def forward_tensors(self) -> dict[str, Bits]:
        """`logits`, and `spikes.L` and `codes.L`."""
        tensors = self.inner.forward_tensors()
        if not tensors:
            return {}
        return {"logits": tensors.pop(f"logits.{self._names[-1]}")} | tensors

    def _errors(self, error: Bits | None) -> dict[str, Bits] | None:
        return None if error is None else {self._names[-1]: error}


class GoldenChain(Chain):
    """Golden."""

    def __init__(self, network: Network, learning: Learning) -> None:
        super().__init__(network, GoldenBackend(network.graph, learning, every=False))


class RTLChain(Chain):
    """The simulated core."""

    def __init__(
        self, network: Network, learning: Learning, machine: Machine, **options: Any
    ) -> None:
        super().__init__(
            network, RTLBackend(compile_network(network, learning, machine), **options)
        )


class SerialChain(Chain):
    """A core behind a serial port."""

    def __init__(
        self, network: Network, learning: Learning, machine: Machine, *port: Any, **options: Any
    ) -> None:
        plan = compile_network(network, learning, machine)
        super().__init__(network, SerialBackend(plan, *port, **options))


class LockstepChain(Chain):
    """Two chains beside each other; what they compute is compared."""

    def __init__(self, primary: Chain, reference: Chain) -> None:
        super().__init__(primary.network, Lockstep(primary.inner, reference.inner))
        self.primary, self.reference = primary, reference

    @property
    def counts(self) -> Counts:
        return self.inner.counts

    @counts.setter
    def counts(self, counts: Counts) -> None:
        self.inner.counts = counts
