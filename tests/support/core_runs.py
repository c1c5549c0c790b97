"""A small network on a small core, for tests of the core as a whole."""

import numpy as np

from backspike.gen.machine import MACHINES
from backspike.ir.learning import Learning
from backspike.ir.surrogate import arctan, rectangle
from backspike.train.fuzz_training import random_halves
from tests.support.layered import (
    Chain,
    GoldenChain,
    Layer,
    LockstepChain,
    Network,
    RTLChain,
    random_batch,
)

TINY = MACHINES["tiny"]
NETWORK = Network(
    inputs=11,
    steps=5,
    layers=(
        Layer(size=9, bias=True, surrogate=arctan()),
        Layer(size=6, reset="soft", rule="mpd-ed", surrogate=rectangle(2.0), threshold=0.5),
        Layer(size=5, bias=True),
    ),
)
LEARNING = Learning(batch=7, loss="mse", rate=2.0**-5)
"""A set of all samples, in spans of two, two and one steps: three blocks."""
MEMORIES = ("weights", "spikes", "codes", "gradients", "masks", "logits")


def tiny_backend(network: Network = NETWORK, learning: Learning = LEARNING) -> RTLChain:
    return RTLChain(network, learning, TINY)


def random_weights(rng: np.random.Generator, network: Network = NETWORK) -> list[np.ndarray]:
    return [random_halves(rng, shape, "usual") for shape in network.shapes]


def memories(backend: RTLChain) -> dict[str, bytes]:
    """Everything in the core's memories that the host can see."""
    port = backend.simulator
    return {
        name: port.read_block(name, port.registers.window(name).words).tobytes()
        for name in MEMORIES
    }


def check_run(backend: Chain, seed: int = 0) -> None:
    """Train for three batches, the last one smaller; raises Mismatch if a bit differs."""
    rng = np.random.default_rng(seed)
    network, learning = backend.network, backend.plan.learning
    golden = GoldenChain(network, learning)
    lockstep = LockstepChain(backend, golden)
    lockstep.load_weights(random_weights(rng, network))
    samples = (learning.batch, learning.batch, max(1, learning.batch - 3))

    def error(n: int):
        shape = (samples[n], network.sizes[-1])
        return None if learning.loss == "mse" else random_halves(rng, shape, "usual")

    lockstep.forward(*random_batch(rng, network, samples[0]))
    for n in range(2):
        batch = random_batch(rng, network, samples[n + 1])
        lockstep.update_forward(error(n), n, *batch)
    lockstep.update(error(2), 2)
    assert backend.saturated() == golden.saturated()
