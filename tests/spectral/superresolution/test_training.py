"""Super-resolution networks: resizing, training for a moment, weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from backspike.golden import hyra
from backspike.golden.threads import one_thread
from backspike.ir.errors import UserError
from backspike.spectral.photographs import HELD_OUT, TRAIN, crop, grey, photograph
from backspike.spectral.superresolution import (
    evaluation,
    networks,
    resize,
    training,
    weights,
)
from tests.support.pictures import smooth

QUICK = training.Recipe(steps=3, batch=2, patch=24)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(training, "THREADS", 1)
    with one_thread():
        yield


def psnr_of(network, scale: int, names: tuple[str, ...] = HELD_OUT) -> float:
    """Mean over photographs."""
    pixels = [crop(grey(photograph(name)), 240) for name in names]
    views = [evaluation.view(network, scale, "", each, 192) for each in pixels]
    return float(np.mean([evaluation.psnr(v.reference, v.output) for v in views]))


def test_bytes_go_there_and_back():
    """All 256 bytes survive the way to floats and back; floats are rounded and clipped."""
    every = np.arange(256, dtype=np.uint8).reshape(1, 8, 32)
    assert (resize.to_bytes(resize.from_bytes(every)) == every).all()
    beyond = torch.tensor([-0.2, 1.2, 0.4999 / 255, 0.5001 / 255]).reshape(1, 1, 2, 2)
    assert resize.to_bytes(beyond).flatten().tolist() == [0, 255, 0, 1]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_resizing_is_pillows(scale):
    """Resizing down and up equals Pillow's bicubic filter but for its roundings."""
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
    """Initial weights depend on the seed alone, and torch's global generator is not touched."""
    before = torch.random.get_rng_state()
    first, again, other = (networks.make("srcnn", 2, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["patches.weight"], other["patches.weight"])


@pytest.mark.parametrize("scale", networks.SCALES)
def test_sinc_is_the_ideal_filter(scale):
    """The sinc network keeps a flat picture, is linear and cuts off as the ideal filter does."""
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
    """The learning rate falls monotonically from the recipe's to a twentieth of it."""
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
    """Training gives the same weights for the same seed, others for another, and moves all."""
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
    """Weights are trained once and read again after that, from the cache and from a folder."""
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
    """A change of recipe or of photographs is another entry of the cache."""
    trained()
    trained(seed=1)
    monkeypatch.setattr(training, "pixels_to_train_with", lambda: [smooth(7, 48, 48)])
    trained()
    assert len(list(cache.glob("fsrcnn-x2-*/*.safetensors"))) == 3


def test_interrupted_training_leaves_nothing(cache, tmp_path, monkeypatch):
    """Training that is interrupted leaves no weights and no folder behind."""

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stopped)
    for folder in (None, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            trained(folder)
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in ("", ".lock")]
    assert not (tmp_path / "new").exists()


def test_weights_that_are_others(cache, tmp_path, monkeypatch):
    """Weights of another recipe, damaged or foreign ones are UserErrors; the file stays."""
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
