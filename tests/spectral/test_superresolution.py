"""Super-resolution networks: resizing, training for a moment, weights, figures, pictures."""

import json
import math
from dataclasses import replace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from backspike.golden import hyra
from backspike.golden.fsds import fsds
from backspike.golden.threads import one_thread
from backspike.ir.errors import UserError
from backspike.spectral.photographs import HELD_OUT, TRAIN, crop, grey, photograph
from backspike.spectral.superresolution import (
    evaluation,
    networks,
    plots,
    resize,
    training,
    weights,
)
from backspike.spectral.superresolution.evaluation import Row, Score
from backspike.spectral.superresolution.report import table

QUICK = training.Recipe(steps=3, batch=2, patch=24)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(training, "THREADS", 1)
    with one_thread():
        yield


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of slow waves, uint8 (1, H, W)."""
    g, (y, x) = np.random.default_rng(seed), np.mgrid[:height, :width]
    waves = sum(
        np.cos(a * y + b * x + c)
        for a, b, c in zip(*g.uniform(-0.15, 0.15, (2, 6)), g.uniform(0, 6, 6), strict=True)
    )
    return np.round(128 + 20 * waves).astype(np.uint8)[None]


def psnr_of(network, scale: int, names: tuple[str, ...] = HELD_OUT) -> float:
    """Mean over photographs."""
    pixels = [crop(grey(photograph(name)), 240) for name in names]
    views = [evaluation.view(network, scale, "", each, 192) for each in pixels]
    return float(np.mean([evaluation.psnr(v.reference, v.output) for v in views]))


def test_bytes_go_there_and_back():
    every = np.arange(256, dtype=np.uint8).reshape(1, 8, 32)
    assert (resize.to_bytes(resize.from_bytes(every)) == every).all()
    beyond = torch.tensor([-0.2, 1.2, 0.4999 / 255, 0.5001 / 255]).reshape(1, 1, 2, 2)
    assert resize.to_bytes(beyond).flatten().tolist() == [0, 255, 0, 1]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_resizing_is_pillows(scale):
    pixels = resize.whole(grey(photograph("chelsea")), scale)
    height, width = pixels.shape[-2:]
    assert height % scale == width % scale == 0
    small = resize.to_bytes(resize.smaller(resize.from_bytes(pixels), scale))[0]
    image = Image.fromarray(pixels[0])
    want = image.resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    # Pillow sums 8-bit pixels in integers and rounds between the two directions.
    assert np.abs(small.astype(int) - np.asarray(want)).max() <= 1
    image = Image.fromarray(small.astype(np.float32))
    want = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)) / 255
    got = resize.bicubic(resize.from_bytes(small[None]), scale)[0, 0].numpy()
    assert np.abs(got - want).max() < 1e-5


def test_networks_are_as_published():
    """Weights, without biases and slopes, as the papers count them; sizes that are no square."""
    for kind, count in ((networks.SRCNN, 8032), (networks.FSRCNN, 12464)):
        for scale in networks.SCALES:
            network = kind(scale)
            convolutions = (nn.Conv2d, nn.ConvTranspose2d)
            layers = [each for each in network.modules() if isinstance(each, convolutions)]
            assert sum(layer.weight.numel() for layer in layers) == count
            assert network(torch.zeros(2, 1, 7, 5)).shape == (2, 1, 7 * scale, 5 * scale)


@pytest.mark.parametrize("scale", networks.SCALES)
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_networks_begin_as_interpolation(name, scale):
    """Close to bicubic, and about the middle of each pixel's block."""
    network = networks.make(name, scale)
    pixels = resize.whole(smooth(1, 96, 84), scale)
    seen = evaluation.view(network, scale, "smooth", pixels, 48)
    assert evaluation.psnr(seen.reference, seen.output) > 30
    response = seen.parts.response[0, 0]
    side = torch.arange(len(response), dtype=torch.float64)
    middle = response[:, len(side) // 2].square()
    assert abs(float((middle * side).sum() / middle.sum()) - (len(side) - 1) / 2) < 0.25


def test_networks_are_drawn_from_their_seed_alone():
    before = torch.random.get_rng_state()
    first, again, other = (networks.make("srcnn", 2, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["patches.weight"], other["patches.weight"])


@pytest.mark.parametrize("scale", networks.SCALES)
def test_sinc_is_the_ideal_filter(scale):
    network = networks.make("sinc", scale)
    flat = network(torch.full((1, 1, 6, 9), 0.7))
    assert (flat - 0.7).abs().max() < 1e-6
    assert flat.dtype == torch.float32
    parts = hyra.split(network, resize.from_bytes(smooth(2, 40, 50)))
    assert hyra.energy_share(parts.nonlinear, parts.output) < evaluation.NOTHING
    correlation = hyra.sinc_correlation(parts.response, scale)
    assert correlation.item() == pytest.approx(1, abs=1e-3)  # cut off, and sums made 1


def test_patches_belong_together():
    """A small patch is its large one made smaller, however both are turned."""
    pixels = [smooth(3, 60, 90), smooth(4, 50, 70)]
    patches = training.Patches(pixels, 3, replace(QUICK, batch=64))
    small, large = patches.draw()
    assert (small.shape, large.shape) == ((64, 1, 8, 8), (64, 1, 24, 24))
    assert (small - nn.functional.avg_pool2d(large, 3)).abs().max() < 0.02
    assert len({float(each.sum()) for each in small}) > 50
    small, large = training.Patches([smooth(3, 24, 24)], 3, replace(QUICK, batch=64)).draw()
    assert len({patch.numpy().tobytes() for patch in small}) == 8
    assert len({patch.numpy().tobytes() for patch in large}) == 8


def test_rate_falls():
    rates = [training.rate(replace(QUICK, steps=100), step) for step in range(100)]
    assert rates[0] == QUICK.rate
    assert rates == sorted(rates, reverse=True)
    assert 0.05 < rates[-1] / QUICK.rate < 0.06


def test_training_beats_bicubic():
    """FSRCNN x4, a seventh of its training, on photographs that it has not seen."""
    assert not set(TRAIN) & set(HELD_OUT)
    recipe = training.Recipe(steps=120)
    network = training.train("fsrcnn", 4, recipe, training.pixels_to_train_with())
    assert psnr_of(network, 4) > psnr_of(networks.make("bicubic", 4), 4) + 0.1
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_training_repeats_itself():
    threads = torch.get_num_threads()
    pixels = [smooth(5, 60, 60)]
    first, again, other = (
        training.train("srcnn", 2, replace(QUICK, seed=seed), pixels).state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.get_num_threads() == threads
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["mapping.weight"], other["mapping.weight"])
    start = networks.make("srcnn", 2).state_dict()
    assert all(not torch.equal(start[key], first[key]) for key in first)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and one small picture to train with."""
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training, "pixels_to_train_with", lambda: [smooth(6, 48, 48)])
    return tmp_path / "cache"


def trained(folder=None, **changes) -> dict[str, torch.Tensor]:
    return weights.trained("fsrcnn", 2, folder, replace(QUICK, **changes)).state_dict()


@pytest.mark.parametrize("where", ["cache", "folder"])
def test_weights_are_made_once(cache, tmp_path, monkeypatch, where):
    folder = tmp_path / "new" if where == "folder" else None
    first = trained(folder)
    kept = list(tmp_path.rglob("fsrcnn-x2.safetensors"))
    assert len(kept) == 1
    assert (kept[0].parent == folder) == (where == "folder")
    monkeypatch.setattr(training, "train", None)  # is not needed any more
    again = trained(folder)
    assert list(first) == list(again)
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_cached_weights_depend_on_what_made_them(cache, monkeypatch):
    trained()
    trained(seed=1)
    monkeypatch.setattr(training, "pixels_to_train_with", lambda: [smooth(7, 48, 48)])
    trained()
    assert len(list(cache.glob("fsrcnn-x2-*/*"))) == 3


def test_interrupted_training_leaves_nothing(cache, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stopped)
    for folder in (None, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            trained(folder)
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in ("", ".lock")]
    assert not (tmp_path / "new").exists()


def test_weights_that_are_others(cache, tmp_path, monkeypatch):
    trained(tmp_path)
    path = tmp_path / "fsrcnn-x2.safetensors"
    whole = path.read_bytes()

    def refused(**changes) -> str:
        with pytest.raises(UserError) as error:
            trained(tmp_path, **changes)
        assert str(path) in str(error.value)
        return str(error.value)

    assert "have recipe {'steps': 3, 'seed': 0" in refused(seed=1)
    path.write_bytes(whole[:-4] + b"\0\0\1\0")
    assert "are damaged: their content differs from their digest" in refused()
    path.write_bytes(whole[:1000])
    assert "cannot be read" in refused()
    path.write_bytes(whole.replace(b'"sha256":"', b'"sha255":"'))
    assert "were not written by backspike hyra" in refused()
    path.write_bytes(whole)
    trained(tmp_path)
    monkeypatch.setattr(training, "pixels_to_train_with", lambda: [smooth(7, 48, 48)])
    assert "must be of this release of backspike and PyTorch, and its photographs" in refused()
    assert path.read_bytes() == whole


def test_psnr():
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
    with pytest.raises(UserError, match=message):
        networks.make(name, scale)


def test_plots_show_what_was_found(tmp_path):
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
