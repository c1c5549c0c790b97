import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backspike.ir.errors import UserError
from backspike.train.coding import rate_code


def test_shape_and_type():
    """A spike train has a step axis between samples and pixels, in uint8."""
    spikes = rate_code(np.zeros((3, 5)), 4)
    assert spikes.shape == (3, 4, 5)
    assert spikes.dtype == np.uint8


@given(pixel=st.floats(0, 1), steps=st.integers(1, 40))
def test_counts_and_spread(pixel, steps):
    """A pixel's spikes are as many as its rounded share of the steps, evenly spread."""
    train = rate_code(np.array([[pixel]]), steps)[0, :, 0].astype(int)
    n = int(np.floor(pixel * steps + 0.5))
    assert train.sum() == n
    # Evenly: any window of w steps holds n w / T spikes, to within one.
    total = np.concatenate([[0], np.cumsum(train)])
    for width in range(1, steps + 1):
        windows = total[width:] - total[:-width]
        assert (windows >= n * width // steps).all()
        assert (windows <= -(-n * width // steps)).all()


def test_known_trains():
    """Five grey levels give five spike trains written by hand."""
    trains = rate_code(np.array([[0, 0.25, 0.5, 0.75, 1]]), 4)[0].T
    assert trains.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize("pixel", [-0.01, 1.01, np.nan, np.inf])
def test_pixels_outside_are_refused(pixel):
    """A pixel outside 0..1, NaN or infinite is a UserError."""
    with pytest.raises(UserError, match=r"must be finite and within 0\.\.1"):
        rate_code(np.array([[0.5, pixel]]), 4)


def test_wrong_shapes_are_refused():
    """Pixels that are no matrix, and 0 steps, are UserErrors."""
    with pytest.raises(UserError, match=r"shape \(3,\)"):
        rate_code(np.zeros(3), 4)
    with pytest.raises(UserError, match="steps is 0"):
        rate_code(np.zeros((1, 1)), 0)
