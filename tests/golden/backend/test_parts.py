"""The golden backend: a batch in parts has the bits of the batch in one."""

import itertools

import numpy as np
import pytest
import torch

from backspike.golden.backend import GoldenBackend
from backspike.golden.half import random_halves, to_bits
from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF

SAMPLES, STEPS = 12, 3
CUTS = ([12], [5, 7], [1, 1, 10], [4, 3, 4, 1])


def network() -> Graph:
    """x -> h, which listens to itself -> y, and z, which spikes; a frozen connection."""
    net = Network()
    x, h = net.input("x", 6), net.population("h", 7, CubaLIF())
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 3))
    net.connect(h, net.readout("z", 2, LIF()))
    net.connect(x, "y", frozen=True)
    return net.graph


NET = network()


def arrays(seed: int) -> tuple[dict, dict, dict]:
    """Weights, inputs, errors: halves of any size, so that sums cancel, and some saturate."""
    g = torch.Generator().manual_seed(seed)
    weights = {
        n: to_bits(torch.randn(s, generator=g).double().half()) for n, s in NET.shapes.items()
    }
    inputs = torch.randint(0, 2, (SAMPLES, STEPS, 6), generator=g).numpy().astype(np.uint8)
    errors = {n: to_bits(random_halves((SAMPLES, STEPS, s), g)) for n, s in (("y", 3), ("z", 2))}
    return weights, {"x": inputs}, errors


def updated(learning: Learning, sizes: list[int]) -> list[dict[str, np.ndarray]]:
    """Tensors of the updates of two batches, each in parts of those sizes."""
    backend = GoldenBackend(NET, learning)
    found = []
    for n in range(2):
        weights, inputs, errors = arrays(n)
        if n == 0:
            backend.load_weights(weights)
        elif learning.updates == "host":
            backend.set_weights(weights)
        ends = np.cumsum([0, *sizes])
        gradients = []
        for begin, end in itertools.pairwise(ends):
            backend.forward({name: x[begin:end] for name, x in inputs.items()})
            part = {name: x[begin:end] for name, x in errors.items()}
            backend.update(part, n, first=begin == 0, last=end == SAMPLES)
            tensors = backend.update_tensors()
            gradients.append({k: x for k, x in tensors.items() if k.startswith("gradients.")})
            if end < SAMPLES:
                assert tensors.keys() == gradients[0].keys()
                assert backend.weight_gradients() == {}
        whole = {k: np.concatenate([part[k] for part in gradients]) for k in gradients[0]}
        found.append(tensors | whole)
    assert backend.saturated()
    return found


@pytest.mark.parametrize(
    "options",
    [{}, {"rounding": "stochastic"}, {"momentum": 0.75}, {"updates": "host"}],
    ids=["nearest", "stochastic", "momentum", "host"],
)
def test_the_same_bits(options):
    """However it is cut."""
    learning = Learning(batch=SAMPLES, rate=2.0**-6, **options)
    want = updated(learning, CUTS[0])
    for sizes in CUTS[1:]:
        got = updated(learning, sizes)
        for one, other in zip(got, want, strict=True):
            assert one.keys() == other.keys()
            for name, bits in other.items():
                assert np.array_equal(one[name], bits), (sizes, name)


def test_a_first_part_forgets_others():
    """A batch that was never ended has no effect; nor has it after new weights, which end it."""
    weights, inputs, errors = arrays(3)
    found = []
    for ended in (True, False):
        backend = GoldenBackend(NET, Learning(batch=SAMPLES))
        backend.load_weights(weights)
        if not ended:
            backend.forward(inputs)
            backend.update(errors, 0, last=False)
        backend.forward(inputs)
        backend.update(errors, 0)
        found.append(backend.weights())
    assert all(np.array_equal(found[0][name], w) for name, w in found[1].items())

    backend.forward(inputs)
    backend.update(errors, 0, last=False)
    backend.load_weights(weights)
    backend.forward(inputs)
    with pytest.raises(RuntimeError, match="update of a further part without a first one"):
        backend.update(errors, 0, first=False)


def test_update_forward_of_a_part():
    """As the two calls in turn."""
    weights, inputs, errors = arrays(4)
    found = []
    for together in (False, True):
        backend = GoldenBackend(NET, Learning(batch=SAMPLES))
        backend.load_weights(weights)
        backend.forward(inputs)
        if together:
            backend.update_forward(errors, 0, inputs, last=False)
        else:
            backend.update(errors, 0, last=False)
            backend.forward(inputs)
        backend.update(errors, 0, first=False)
        found.append(backend.weights())
    assert all(np.array_equal(found[0][name], w) for name, w in found[1].items())
