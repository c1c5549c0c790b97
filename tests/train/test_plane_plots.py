"""Drawn content is read back from the figures; that they please is for eyes to say."""

import numpy as np

from backspike.train.plane_plots import kernels, mosaic, planes


def test_tiles_lie_side_by_side():
    """Row by row, as square as can be, what is no tile is not a number."""
    tiles = np.arange(5.0)[:, None, None] * np.ones((5, 2, 3))
    found = mosaic(tiles)
    assert found.shape == (2 * 3 - 1, 3 * 4 - 1)
    assert [found[0, 4 * n] for n in range(3)] == [0, 1, 2]
    assert [found[3, 4 * n] for n in range(2)] == [3, 4]
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 3]).all()
    assert np.isnan(found[3:, 8:]).all()
    assert mosaic(tiles, 5).shape == (2, 19)


def test_planes_of_each_step():
    """A row for each population, a mosaic for each step, numbers in one scale."""
    rng = np.random.default_rng(0)
    spikes = {
        "input": rng.integers(0, 4, (3, 1, 4, 5)).astype(np.uint8),
        "h": (rng.random((3, 70, 2, 2)) < 0.5).astype(np.uint8),
    }
    figure = planes(spikes, 7)
    assert len(figure.axes) == 6
    first = figure.axes[1].images[0]
    np.testing.assert_array_equal(first.get_array(), spikes["input"][1, 0])
    assert first.get_clim() == (0, 3)
    assert figure.axes[0].get_title() == f"input: 1 x 4 x 5, {share(spikes['input'])} spike"
    assert figure.axes[3].get_title().startswith("h: 64 of 70 x 2 x 2, ")
    assert [axes.get_xlabel() for axes in figure.axes[3:]] == ["step 0", "step 1", "step 2"]
    assert figure.axes[4].images[0].get_array().shape == (8 * 3 - 1, 8 * 3 - 1)


def share(spikes: np.ndarray) -> str:
    return f"{np.mean(spikes > 0):.0%}"


def test_kernels_of_sources_and_targets():
    """A line of targets for each source; a scale that is the same both ways."""
    weights = np.arange(-20.0, 16.0).reshape(3, 2, 2, 3)
    figure = kernels(weights, "a-b")
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-20, 20)
    drawn = image.get_array()
    assert drawn.shape == (2 * 3 - 1, 3 * 4 - 1)
    for target in range(3):
        for source in range(2):
            part = drawn[3 * source : 3 * source + 2, 4 * target : 4 * target + 3]
            np.testing.assert_array_equal(part, weights[target, source])
    title = figure.axes[0].get_title()
    assert title == "a-b: 3 targets x 2 sources, 2 x 3 weights each"


def test_kernels_without_weights_that_differ():
    """All zero."""
    assert kernels(np.zeros((20, 1, 1, 1)), "c").axes[0].images[0].get_clim() == (-1, 1)
