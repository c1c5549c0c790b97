"""The counters of a run against numbers that NumPy finds in golden's tensors (docs: bounds)."""

import dataclasses

import numpy as np
import pytest

from backspike.gen.machine import MACHINES
from backspike.ir.learning import Learning
from backspike.ir.surrogate import arctan, rectangle
from backspike.train.fuzz_training import random_halves
from tests.support.layered import GoldenChain, Layer, Network, RTLChain

pytestmark = pytest.mark.verilator

NETWORK = Network(
    inputs=21,
    steps=5,
    layers=(
        Layer(size=19, bias=True, rule="mpd-ed", surrogate=rectangle(2.0)),
        Layer(size=13, surrogate=rectangle(0.5), threshold=0.5),
        Layer(size=6, bias=True, surrogate=arctan()),
        Layer(size=11, bias=True),
    ),
)


def tile_any(values: np.ndarray, lanes: int) -> np.ndarray:
    """(..., N) to (..., tiles): whether some neuron of the tile has it."""
    tiles = -(-values.shape[-1] // lanes)
    padded = np.zeros((*values.shape[:-1], tiles * lanes), bool)
    padded[..., : values.shape[-1]] = values
    return padded.reshape(*values.shape[:-1], tiles, lanes).max(-1)


def sources_of(network: Network, inputs: np.ndarray, tensors: dict, n: int) -> np.ndarray:
    """Layer n's sources, bool (B, T, K), with the bias."""
    spikes = (inputs if n == 0 else tensors[f"spikes.{n - 1}"]).astype(bool)
    one = np.ones((*spikes.shape[:2], 1), bool)
    return np.concatenate([spikes, one], -1) if network.layers[n].bias else spikes


def forward_events(network: Network, inputs: np.ndarray, tensors: dict, lanes: int) -> int:
    """Σ nnz(S) * tiles."""
    return sum(
        int(sources_of(network, inputs, tensors, n).sum()) * -(-layer.size // lanes)
        for n, layer in enumerate(network.layers)
    )


def backward_events(network: Network, tensors: dict, lanes: int) -> int:
    """Over hidden layers and their tiles: nnz of the next layer's G where the tile needs it."""
    events = 0
    for n, layer in enumerate(network.layers[:-1]):
        h = np.array(layer.surrogate.values)[tensors[f"codes.{n}"]] != 0
        if layer.rule == "mpd-ed":
            h &= tensors[f"spikes.{n}"] != 0
        present = (tensors[f"gradients.{n + 1}"] != 0).sum(-1)  # (B, T)
        events += int((tile_any(h, lanes) * present[..., None]).sum())
    return events


def gradient_events(network: Network, inputs, tensors: dict, lanes: int) -> tuple[int, int, int]:
    """(matches, rows, bound): Σ over layers of spikes that meet a row tile of G that is not empty,
    of row tiles of weights with a match, and of max(m, 2 n)."""
    matches = rows = bound = 0
    for n in range(len(network.layers)):
        sources = sources_of(network, inputs, tensors, n)
        filled = tile_any(tensors[f"gradients.{n}"] != 0, lanes)
        met = np.einsum("btk,btj->kj", sources.astype(int), filled.astype(int))
        m, touched = int(met.sum()), int((met > 0).sum())
        matches, rows, bound = matches + m, rows + touched, bound + max(m, 2 * touched)
    return matches, rows, bound


@pytest.mark.xdist_group("counters")  # one worker builds for all
@pytest.mark.parametrize("name", ["tiny", "default"])
@pytest.mark.parametrize(
    ("inputs_density", "error_density"), [(0.3, 1.0), (0.02, 0.02), (1.0, 0.1), (0.0, 0.0)]
)
def test_events_and_bounds(name, inputs_density, error_density):
    """The core's counts of events and bounds equal NumPy's from golden's tensors."""
    machine = MACHINES[name]
    learning = Learning(batch=7, rate=2.0**-8)
    rng = np.random.default_rng(int(100 * inputs_density))
    golden, rtl = GoldenChain(NETWORK, learning), RTLChain(NETWORK, learning, machine)
    weights = [random_halves(rng, shape, "usual") for shape in NETWORK.shapes]
    golden.load_weights(weights)
    rtl.load_weights(weights)
    sizes = (7, 5)  # the second batch is not full
    batches = [(rng.random((n, 5, 21)) < inputs_density).astype(np.uint8) for n in sizes]
    labels = [np.zeros(n, np.int64) for n in sizes]
    errors = [
        random_halves(rng, (n, 11), "usual") * (rng.random((n, 11)) < error_density) for n in sizes
    ]
    forward = []
    for n in range(2):
        errors[n] = errors[n].astype(np.uint16)
        if n == 0:
            golden.forward(batches[0], labels[0])
            rtl.forward(batches[0], labels[0])
        else:
            golden.update_forward(errors[0], 0, batches[1], labels[1])
            rtl.update_forward(errors[0], 0, batches[1], labels[1])
        forward.append(dict(golden.forward_tensors()))
        counted = rtl.driver.counters()
        want = forward_events(NETWORK, batches[n], forward[n], machine.lanes)
        assert counted["fp"]["events"] == want
        assert counted["fp"]["bound"] == want
        check_backward(counted, n - 1, batches, forward, golden, machine.lanes)
    golden.update(errors[1], 1)
    rtl.update(errors[1], 1)
    counted = rtl.driver.counters()
    assert counted["fp"] == dict.fromkeys(counted["fp"], 0)
    check_backward(counted, 1, batches, forward, golden, machine.lanes)
    rtl.close()


def check_backward(counted, n, batches, forward, golden, lanes):
    """Counters of bp and wg of batch n's update; n < 0: they were at rest."""
    if n < 0:
        for name in ("bp", "wg"):
            assert counted[name] == dict.fromkeys(counted[name], 0)
        return
    tensors = forward[n] | golden.update_tensors()
    want = backward_events(NETWORK, tensors, lanes)
    assert (counted["bp"]["events"], counted["bp"]["bound"]) == (want, want)
    matches, _, bound = gradient_events(NETWORK, batches[n], tensors, lanes)
    assert (counted["wg"]["events"], counted["wg"]["bound"]) == (matches, bound)
    for name in ("fp", "bp", "wg"):
        assert counted[name]["bound"] <= counted[name]["busy"] <= counted["overlap"]
    busy = sum(counted[name]["busy"] for name in ("fp", "bp", "wg"))
    assert counted["overlap"] <= min(busy, counted["total"])


@pytest.mark.parametrize("heavy", ["matches", "rows"])
def test_either_side_of_the_gradients_bound(heavy):
    """One spike a source makes rows dear; many make matches dear."""
    network = dataclasses.replace(NETWORK, layers=(Layer(size=11),))
    machine, learning = MACHINES["tiny"], Learning(batch=6)
    rtl, golden = RTLChain(network, learning, machine), GoldenChain(network, learning)
    spikes = np.zeros((6, 5, 21), np.uint8)
    spikes[:, :, :] = 1 if heavy == "matches" else 0
    spikes[0, 0, :] = 1
    for backend in (rtl, golden):
        backend.load_weights([np.zeros((21, 11), np.uint16)])
        backend.forward(spikes, np.zeros(6, np.int64))
        backend.update(np.full((6, 11), 0x3C00, np.uint16), 0)
    m, n, bound = gradient_events(network, spikes, golden.update_tensors(), 2)
    assert (m > 2 * n) == (heavy == "matches")
    counted = rtl.driver.counters()["wg"]
    assert (counted["events"], counted["bound"]) == (m, bound)
    rtl.close()
