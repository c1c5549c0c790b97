"""The golden backend: a batch is the exact one, the protocol holds, bad input is named."""

import numpy as np
import pytest
import torch

from backspike.drive.backend import Backend
from backspike.golden.half import random_halves, to_bits
from backspike.golden.hash import draw
from backspike.golden.loss import cross_entropy_error
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.surrogate import rectangle
from tests.support.chains import rational_step
from tests.support.layered import GoldenChain, Layer, Network, chain_weights

NETWORK = Network(
    inputs=5,
    layers=(
        Layer(size=6, bias=True, surrogate=rectangle(4.0)),
        Layer(size=4, reset="soft", surrogate=rectangle(4.0)),
        Layer(size=3, bias=True),
    ),
    steps=3,
)


def batch(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    return g.integers(0, 2, (size, 3, 5), dtype=np.uint8), g.integers(0, 3, size)


def backend(learning: Learning, seed: int = 0) -> GoldenChain:
    b = GoldenChain(NETWORK, learning)
    b.load_weights(chain_weights(NETWORK, seed))
    return b


def test_it_is_a_backend():
    """It has the protocol's type, its name, and weights of the network's shapes."""
    b = GoldenChain(NETWORK, Learning())
    inner: Backend = b.inner
    assert inner.graph is NETWORK.graph
    assert b.name == "golden"
    assert [w.shape for w in b.weights()] == list(NETWORK.shapes)
    b.close()


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_three_batches_are_exact(loss, rounding):
    """Every tensor of the interface equals the rational step's, weights carried along."""
    learning = Learning(batch=3, loss=loss, rounding=rounding, rate=0.125, seed=77)
    b = backend(learning)
    for step, size in enumerate((3, 2, 3)):
        before = b.weights()
        spikes, labels = batch(size, step)
        logits = b.forward(spikes, labels)
        error = cross_entropy_error(logits, labels) if loss == "ce" else None
        b.update(error, step)

        shapes = enumerate(NETWORK.shapes)
        draws = {str(n): draw(77, step, n, *shape).tolist() for n, shape in shapes}
        want = rational_step(
            NETWORK, learning, before, spikes, labels,
            None if error is None else error.tolist(), draws if rounding == "stochastic" else None,
        )  # fmt: skip
        got = b.forward_tensors()
        assert got.pop("logits").tolist() == want["logits"] == logits.tolist()
        assert sorted(got) == ["codes.0", "codes.1", "spikes.0", "spikes.1"]
        for layer in (0, 1):
            assert got[f"spikes.{layer}"].tolist() == want["spikes"][layer]
            assert got[f"codes.{layer}"].tolist() == want["codes"][layer]
            assert got[f"codes.{layer}"].dtype == got[f"spikes.{layer}"].dtype == np.uint8
        got = b.update_tensors()
        assert len(got) == 6
        for layer in (0, 1, 2):
            assert got[f"gradients.{layer}"].tolist() == want["gradients"][layer]
            assert got[f"weights.{layer}"].tolist() == want["weights"][layer]
            assert got[f"weights.{layer}"].dtype == got[f"gradients.{layer}"].dtype == np.uint16
            assert want["weights"][layer] != before[layer].tolist()
        assert [w.tolist() for w in b.weights()] == want["weights"]
        assert b.saturated() == want["saturated"]


def test_update_forward_is_both_in_turn():
    """Every tensor of `update_forward` is that of `update`, then `forward`."""
    one, other = (backend(Learning(batch=3, loss="mse")) for _ in range(2))
    first, second = batch(3, 1), batch(2, 2)
    one.forward(*first)
    one.update(None, 0)
    logits = one.forward(*second)
    other.forward(*first)
    assert (other.update_forward(None, 0, *second) == logits).all()
    for a, b in ((one.forward_tensors(), other.forward_tensors()),
                 (one.update_tensors(), other.update_tensors())):  # fmt: skip
        assert a.keys() == b.keys()
        assert all((a[k] == b[k]).all() for k in a)


def test_stochastic_rounding_draws_by_seed_and_step():
    """The same seed and step give the same weights; another of either, others."""

    def weights(seed: int, step: int) -> np.ndarray:
        b = backend(Learning(batch=3, loss="mse", rounding="stochastic", seed=seed, rate=2.0**-9))
        b.forward(*batch(3))
        b.update(None, step)
        return np.concatenate([w.ravel() for w in b.weights()])

    assert (weights(1, 2) == weights(1, 2)).all()
    assert (weights(1, 2) != weights(1, 3)).any()
    assert (weights(1, 2) != weights(2, 2)).any()


def test_saturation_sticks_until_weights_are_loaded():
    """The flag goes up at a rounding beyond ±65504, and down when weights are loaded anew."""
    b = backend(Learning(batch=3, loss="mse"))
    calm = b.weights()
    wild = [np.full(s, 0x7BFF, np.uint16) for s in NETWORK.shapes]
    b.forward(*batch(3))
    assert not b.saturated()
    b.load_weights(wild)
    b.forward(*batch(3))
    assert b.saturated()
    b.update(None, 0)
    assert b.saturated()
    b.load_weights(calm)
    assert not b.saturated()


def test_what_is_returned_is_the_callers():
    """Writing into arrays that were returned or given changes nothing inside."""
    b = backend(Learning(batch=3, loss="mse"))
    logits = b.forward(*batch(3))
    logits[:] = 1
    b.weights()[0][:] = 1
    given = b.weights()
    b.load_weights(given)
    given[0][:] = 1
    assert (b.forward_tensors()["logits"] != 1).any()
    assert (b.weights()[0] != 1).any()


@pytest.mark.filterwarnings("error")
def test_what_is_given_may_be_read_only_and_of_any_integer():
    """PyTorch warns of arrays that it may not write to, which memory-mapped data are."""
    b = backend(Learning(batch=3))
    spikes, labels = batch(3)
    want = b.forward(spikes, labels)
    error = cross_entropy_error(want, labels)
    spikes.flags.writeable = False
    labels = labels.astype(np.uint8)
    labels.flags.writeable = False
    assert (b.forward(spikes, labels) == want).all()
    assert (cross_entropy_error(want, labels) == error).all()


def test_an_update_needs_its_own_forward():
    """`update` before any `forward`, and twice after one, is a RuntimeError."""
    b = backend(Learning(batch=3, loss="mse"))
    with pytest.raises(RuntimeError, match="update without a forward"):
        b.update(None, 0)
    b.forward(*batch(3))
    b.update(None, 0)
    with pytest.raises(RuntimeError, match="update without a forward"):
        b.update(None, 1)


SPIKES, LABELS = batch(2)


@pytest.mark.parametrize(
    ("spikes", "labels", "message"),
    [
        (SPIKES[0], LABELS, r"input has the shape \(3, 5\), must have \(1 to 3, T, 5\)"),
        (SPIKES[:0], LABELS[:0], r"input has the shape \(0, 3, 5\), must have \(1 to 3"),
        (batch(4)[0], batch(4)[1], r"input has the shape \(4, 3, 5\), must have \(1 to 3"),
        (SPIKES[:, :, :2], LABELS, r"input has the shape \(2, 3, 2\), must have"),
        (SPIKES.astype(float), LABELS, "input is of float64, must be an array of uint8"),
        (SPIKES * 2, LABELS, "input has numbers up to 2, must have 0 and 1"),
        (SPIKES, LABELS[:1], r"labels have the shape \(1,\), must have \(2,\)"),
        (SPIKES, LABELS / 2, "labels are of float64, must be an array of integers"),
        (SPIKES, None, "labels are none, must be given"),
        (SPIKES, np.array([0, 3]), "a label is 3, must be from 0 to 2"),
        (SPIKES, np.array([-1, 2]), "a label is -1, must be from 0 to 2"),
    ],
)
def test_a_bad_batch_is_named(spikes, labels, message):
    """Spikes and labels of a wrong kind, shape, size or range: the error says which."""
    b = backend(Learning(batch=3, loss="mse"))
    with pytest.raises(UserError, match=message):
        b.forward(spikes, labels)


def test_bad_weights_are_named_and_not_loaded():
    """The error says which connection and place; the weights before stay."""
    b = backend(Learning(batch=3))
    before = b.weights()
    with pytest.raises(UserError, match=r"weights are of \['0', '1'\], must be of \['0', '1', '2'"):
        b.inner.load_weights({"0": before[0], "1": before[1]})
    infinite = [w.copy() for w in before]
    infinite[1][2, 3] = 0xFC00
    with pytest.raises(UserError, match=r"weights of 1 at \(2, 3\) is 0xfc00"):
        b.load_weights(infinite)
    assert all((a == c).all() for a, c in zip(before, b.weights(), strict=True))


def test_a_bad_error_or_step_is_named_and_changes_nothing():
    """The error says what is wrong; weights stay, and the batch may still be updated."""
    g = torch.Generator().manual_seed(0)
    error = to_bits(random_halves((2, 3), g))
    b = backend(Learning(batch=3))
    before = b.weights()
    b.forward(SPIKES, LABELS)
    with pytest.raises(UserError, match=r"errors are of \[\], must be of \['2'\]"):
        b.update(None, 0)
    with pytest.raises(UserError, match=r"errors of 2 has the shape \(1, 3\), must have \(2, 3\)"):
        b.update(error[:1], 0)
    with pytest.raises(UserError, match="step is -1, must be from 0 to"):
        b.update(error, -1)
    assert all((a == c).all() for a, c in zip(before, b.weights(), strict=True))
    b.update(error, 0)
    assert any((a != c).any() for a, c in zip(before, b.weights(), strict=True))
    mse = backend(Learning(batch=3, loss="mse"))
    mse.forward(SPIKES, LABELS)
    with pytest.raises(UserError, match=r"errors are of \['2'\], must be of \[\]"):
        mse.update(error, 0)
