"""What super-resolution networks come to: figures, tables, pictures."""

import json
import math
from dataclasses import replace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import nn

from backspike.golden import hyra
from backspike.golden.fsds import fsds
from backspike.ir.errors import UserError
from backspike.spectral.photographs import crop, grey, photograph
from backspike.spectral.superresolution import (
    evaluation,
    networks,
    plots,
    resize,
)
from backspike.spectral.superresolution.evaluation import Row, Score
from backspike.spectral.superresolution.report import table
from tests.support.pictures import smooth


def test_psnr():
    """PSNR equals its formula, is symmetric, and infinite for equal pictures."""
    black, grey_ = np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 51, np.uint8)
    assert evaluation.psnr(black, grey_) == pytest.approx(20 * math.log10(5))
    assert evaluation.psnr(grey_, black) == evaluation.psnr(black, grey_)
    assert evaluation.psnr(black, black) == math.inf


def nearest(scale: int):
    def network(x):
        return nn.functional.interpolate(x, scale_factor=scale, mode="nearest")

    return network


def test_a_view_is_of_the_middle_of_both():
    """Scale 3, sizes that are no multiple of it, and a crop that is none either."""
    pixels = smooth(8, 65, 79)
    seen = evaluation.view(nearest(3), 3, "smooth", pixels, 32)
    assert (seen.reference == pixels[:, 15:47, 23:55]).all()  # of 63 x 78
    small = resize.to_bytes(resize.smaller(resize.from_bytes(pixels[:, :63, :78]), 3))
    assert (seen.output == np.kron(small, np.ones((3, 3), np.uint8))[:, 15:47, 23:55]).all()
    for part in evaluation.PARTS:
        assert getattr(seen.parts, part).shape == (1, 1, 32, 32)
    assert (seen.parts.output[0] * 255 - torch.from_numpy(seen.output)).abs().max() < 1e-4
    assert seen.parts.nonlinear.abs().max() < 1e-6
    large = evaluation.view(networks.make("sinc", 2), 2, "large", smooth(8, 400, 190), 16)
    assert (large.reference == crop(smooth(8, 400, 190), 16)).all()
    assert np.abs(large.output.astype(int) - large.reference).max() < 3  # it goes on all around
    with pytest.raises(UserError, match="the network enlarges 2 times, must be 3 times"):
        evaluation.view(nearest(2), 3, "smooth", pixels, 32)


def test_scores_of_a_network():
    """A row's scores are those of its views measured one by one, and their means."""

    def measure(reference, image):
        return float(fsds(torch.from_numpy(image), torch.from_numpy(reference)))

    pixels = {"a": smooth(9, 64, 64), "b": grey(photograph("coffee"))[:, :96, :96]}
    views = [evaluation.view(nearest(2), 2, *each, 32) for each in pixels.items()]
    row = evaluation.row("nearest", views, measure)
    assert [score.photograph for score in row.scores] == ["a", "b"]
    for score, seen in zip(row.scores, views, strict=True):
        assert score.fsds_db == measure(seen.reference, seen.output)
        assert score.psnr_db == evaluation.psnr(seen.reference, seen.output)
        assert score.nonlinear_share < evaluation.NOTHING
        assert score.high["nonlinear"] is None
        assert score.high["linear"] == pytest.approx(hyra.high_share(seen.parts.output, 2))
    assert row.mean("psnr_db") == pytest.approx(sum(s.psnr_db for s in row.scores) / 2)
    bent = [evaluation.view(lambda x: nearest(2)(x) ** 2, 2, *e, 32) for e in pixels.items()]
    row = evaluation.row("bent", bent, measure)
    assert row.mean("nonlinear_share") > 0.01
    assert row.mean_high("nonlinear") == pytest.approx(
        sum(hyra.high_share(seen.parts.nonlinear, 2) for seen in bent) / 2
    )


def test_json_knows_no_infinity():
    """An infinite PSNR is the string "Infinity" in JSON, a missing share null."""
    score = Score(
        photograph="a",
        psnr_db=math.inf,
        fsds_db=30.0,
        nonlinear_share=0.0,
        high={"output": 0.1, "linear": 0.1, "nonlinear": None},
    )
    row = Row(scale=2, network="sinc", sinc_correlation=0.9, scores=(score,))
    text = json.dumps(row.to_json(), allow_nan=False)
    assert json.loads(text) == {
        "scale": 2,
        "network": "sinc",
        "sinc_correlation": 0.9,
        "psnr_db": "Infinity",
        "fsds_db": 30.0,
        "nonlinear_share": 0.0,
        "high": {"output": 0.1, "linear": 0.1, "nonlinear": None},
        "photographs": [
            {
                "photograph": "a",
                "psnr_db": "Infinity",
                "fsds_db": 30.0,
                "nonlinear_share": 0.0,
                "high": {"output": 0.1, "linear": 0.1, "nonlinear": None},
            }
        ],
    }


def test_table():
    """The table shows means over photographs, and a dash where nothing was measured."""
    high = {"output": 0.1, "linear": 0.0123, "nonlinear": 0.5}
    scores = tuple(
        Score(photograph="a", psnr_db=psnr, fsds_db=30.0, nonlinear_share=0.02, high=high)
        for psnr in (20.0, 21.0)
    )
    nothing = tuple(replace(score, high={**high, "nonlinear": None}) for score in scores)
    rows = [
        Row(scale=2, network="srcnn", sinc_correlation=0.9, scores=scores),
        Row(scale=2, network="sinc", sinc_correlation=1.0, scores=nothing),
        Row(scale=4, network="srcnn", sinc_correlation=-0.5, scores=scores),
    ]
    assert table(rows, "two pictures").splitlines()[:6] == [
        "two pictures",
        "",
        "scale  network  PSNR dB  FSDS dB  sinc corr.  non-linear  high: linear  non-linear",
        "   x2    srcnn    20.50    30.00       0.900       2.00%         1.23%      50.00%",
        "            sinc    20.50    30.00       1.000       2.00%         1.23%           -"[2:],
        "   x4    srcnn    20.50    30.00      -0.500       2.00%         1.23%      50.00%",
    ]


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((100, 127), 128, "picture p is 126 x 100, cut to multiples of the scale 2, must be"),
        ((129, 128), 128, "picture p is 126 x 129, cut to multiples of the scale 3, must be"),
        ((90, 90), 8, "picture p has no contrast in its middle 8 x 8 pixels"),
    ],
)
def test_pictures_that_will_not_do(shape, size, message):
    """Pictures that are too small or flat for the scales are UserErrors."""
    pixels = smooth(10, *shape)
    pixels[:, 40:50, 40:50] = 7
    with pytest.raises(UserError, match=message):
        evaluation.check_pictures({"p": pixels}, (2, 3), size)


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("vdsr", 2, "network is 'vdsr', must be srcnn, fsrcnn, bicubic, sinc"),
        ("sinc", 5, "scale is 5, must be 2, 3, 4"),
    ],
)
def test_networks_that_there_are_not(name, scale, message):
    """An unknown network or scale is a UserError that lists the known ones."""
    with pytest.raises(UserError, match=message):
        networks.make(name, scale)


def test_plots_show_what_was_found(tmp_path):
    """The drawn images and curves hold the arrays of the views."""
    pixels = smooth(11, 64, 64)
    views = {
        (scale, name): evaluation.view(networks.make(name, scale), scale, "waves", pixels, 32)
        for scale, name in ((2, "bicubic"), (3, "bicubic"), (3, "sinc"))
    }
    paths = plots.draw(views, tmp_path / "new")
    assert [path.name for path in paths] == [
        "bicubic-x2.png", "bicubic-x3.png", "sinc-x3.png", "responses.png"
    ]  # fmt: skip
    for path in paths:
        assert matplotlib.image.imread(path).std() > 0.05  # something is drawn
    seen = views[2, "bicubic"]
    figure: Any = plots.parts("bicubic", seen)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    wanted = [getattr(seen.parts, part)[0, 0] for part in evaluation.PARTS]
    wanted.append(seen.parts.response[0, 0, 52:78, 52:78])
    wanted += [hyra.spectrum(getattr(seen.parts, part))[0, 0] for part in evaluation.PARTS]
    assert len(shown) >= len(wanted)
    for got, want in zip(shown, wanted, strict=False):
        assert np.array_equal(np.asarray(got), want.numpy())
    panels: Any = plots.responses(views).axes
    assert [line.get_label() for line in panels[1].lines][:3] == [
        "ideal low-pass", "bicubic", "sinc"
    ]  # fmt: skip
    x, y = panels[1].lines[1].get_data()
    assert np.array_equal(y, views[3, "bicubic"].parts.response[0, 0, 97, 78:117].numpy())
    assert x[0] == -x[-1] == -(6 + 1 / 3)
