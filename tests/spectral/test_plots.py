"""What is drawn of spectra is read back from the figures."""

from typing import Any

import numpy as np
import pytest
import torch

from backspike.golden.fsds import cumulative, halves
from backspike.spectral import plots as spectral_plots


def wave(vertical: int, horizontal: int, height: int = 16, width: int = 24) -> np.ndarray:
    """cos of one frequency and, fainter, of another; (1, H, W)."""
    y, x = np.indices((height, width))
    turns = vertical * y / height + horizontal * x / width
    return (np.cos(2 * np.pi * turns) + 0.1 * np.cos(2 * np.pi * x / width))[None]


def spectrum(pixels: np.ndarray) -> np.ndarray:
    return halves(torch.from_numpy(pixels)).numpy()


@pytest.mark.parametrize(("vertical", "horizontal"), [(3, 5), (-3, 5), (0, 11), (-8, 2), (7, 11)])
def test_a_wave_is_bright_at_its_frequencies(vertical, horizontal):
    """The brightest pixel of a drawn spectrum lies at the wave's two frequencies on the axes."""
    figure: Any = spectral_plots.spectra(spectrum(wave(vertical, horizontal)), spectrum(wave(1, 1)))
    reference, image = figure.axes[:2]
    for axes, at in ((reference, (1, 1)), (image, (vertical, horizontal))):
        (drawn,) = axes.images
        values = drawn.get_array()
        row, column = np.unravel_index(np.argmax(values), values.shape)
        left, right, bottom, top = drawn.get_extent()
        assert (row + 0.5) * (top - bottom) / values.shape[0] + bottom == pytest.approx(at[0])
        assert (column + 0.5) * (right - left) / values.shape[1] + left == pytest.approx(at[1])


def test_channels_count_by_their_energy():
    """The drawn magnitude is the root of the mean energy over channels."""
    one, two = wave(2, 3), wave(2, 3) * 0.5
    both = spectral_plots.plane(spectrum(np.concatenate([one, two])))
    alone = spectral_plots.plane(spectrum(one))
    assert np.allclose(both, alone * np.sqrt((1 + 0.25) / 2))


def test_the_difference_of_two_spectra_is_their_ratio():
    """The third panel is the ratio in dB: -20 log10 2 for an image twice as bright."""
    a, b = spectrum(wave(2, 3)), spectrum(wave(2, 3) * 2)
    figure: Any = spectral_plots.spectra(a, b)
    (drawn,) = figure.axes[2].images
    values = drawn.get_array()
    assert values[8 + 2, 3] == pytest.approx(-20 * np.log10(2))
    assert [axes.get_title(loc="center") for axes in figure.axes[:3]] == [
        "Reference", "Image", "Image over reference"
    ]  # fmt: skip


def test_cumulative_spectra_and_what_is_between_them():
    """The panels show both cumulative spectra and their difference in dB, 0 at the largest."""
    rng = np.random.default_rng(1)
    a, b = (
        cumulative(torch.from_numpy(spectrum(rng.normal(size=(3, 8, 10))))).numpy()
        for _ in range(2)
    )
    figure: Any = spectral_plots.cumulated(a, b)
    shown = [axes.images[0].get_array() for axes in figure.axes[:3]]
    for values, x in zip(shown, (b, a, a - b), strict=True):
        want = 10 * np.log10((np.abs(x[:, 0, 2, 3]) ** 2).mean())
        up = 10 * np.log10((np.abs(x[:, 1, 2, 3]) ** 2).mean())
        assert values[4 + 2, 3] - shown[0][0, 0] == pytest.approx(
            want - 10 * np.log10((np.abs(b[:, 1, 3, 0]) ** 2).mean())
        )
        assert values[4 - 3, 3] - values[4 + 2, 3] == pytest.approx(up - want)
    assert max(values.max() for values in shown) == 0
