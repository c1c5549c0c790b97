"""`backspike hyra`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from backspike.cli.main import main
from backspike.golden import spectral
from backspike.golden.fsds import fsds as definition
from backspike.golden.threads import one_thread
from backspike.spectral import fsds
from backspike.spectral.photographs import HELD_OUT, crop, grey, photograph
from backspike.spectral.superresolution import training
from backspike.spectral.superresolution.evaluation import psnr, view
from backspike.spectral.superresolution.networks import make
from backspike.spectral.superresolution.training import STEPS

PLAIN = ["hyra", "--network", "bicubic,sinc"]


@pytest.fixture(autouse=True)
def _quick_and_alone(tmp_path, monkeypatch):
    """An empty folder and cache, a small photograph `cat.png`, hardly any training, one thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "cache"))
    Image.fromarray(photograph("chelsea")[:, 100:196, 150:240].transpose(1, 2, 0)).save("cat.png")
    monkeypatch.setattr(training, "THREADS", 1)
    for name in STEPS:
        monkeypatch.setitem(STEPS, name, 2)
    with one_thread():  # others may be at work
        yield


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stopped:  # from argparse
        return int(stopped.code or 0)


def test_figures_are_those_of_the_library(capsys):
    """One network and scale by hand, from the photographs to JSON."""
    assert run(*PLAIN, "--scale", "3,2", "--size", "16", "--backend", "golden", "--json", "-") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert "correlation of the impulse response" in err
    assert (result["backend"], result["machine"], result["size"]) == ("golden", None, 16)
    assert result["pictures"] == list(HELD_OUT)
    order = [(row["scale"], row["network"]) for row in result["rows"]]
    assert order == [(3, "bicubic"), (3, "sinc"), (2, "bicubic"), (2, "sinc")]
    row = result["rows"][2]
    for name, shown in zip(HELD_OUT, row["photographs"], strict=True):
        seen = view(make("bicubic", 2), 2, name, grey(photograph(name)), 16)
        assert shown["photograph"] == name
        assert shown["psnr_db"] == psnr(seen.reference, seen.output)
        want = fsds.measure(seen.reference, seen.output, "golden")
        assert shown["fsds_db"] == want.fsds_db
        assert shown["fsds_db"] == pytest.approx(want.reference_db, abs=0.01)
    for figure in ("psnr_db", "fsds_db"):
        every = [shown[figure] for shown in row["photographs"]]
        assert row[figure] == pytest.approx(sum(every) / len(every))
    for row in result["rows"]:
        assert row["sinc_correlation"] > (0.999 if row["network"] == "sinc" else 0.9)
        assert row["high"]["nonlinear"] is None


def test_table_files_and_pictures_of_ones_own(capsys, tmp_path):
    """A size that only float64 can do; networks in training; weights kept where they are wanted."""
    command = ["hyra", "--network", "fsrcnn,srcnn", "--scale", "2", "--image", "cat.png"]
    command += ["--backend", "golden", "--size", "50", "--json", "a/r.json", "--weights", "w"]
    assert run(*command, "--plots", "b") == 0
    out, err = capsys.readouterr()
    assert out.startswith("pictures  cat.png: luminance, middle 50 x 50 pixels\n")
    assert "\nFSDS      on golden\ncompared  nothing\n" in out
    assert "fsrcnn x2: 100%" not in err  # a bar is for terminals
    assert "drew b/srcnn-x2.png" in err
    row = json.loads((tmp_path / "a/r.json").read_text())["rows"][1]
    cells = ["srcnn", f"{row['psnr_db']:.2f}", f"{row['fsds_db']:.2f}"]
    assert cells in [line.split()[:3] for line in out.splitlines()]
    assert row["nonlinear_share"] > 0
    drawn = ["fsrcnn-x2.png", "responses.png", "srcnn-x2.png"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == drawn
    kept = {path.name: path.read_bytes() for path in (tmp_path / "w").iterdir()}
    assert sorted(kept) == ["fsrcnn-x2.safetensors", "srcnn-x2.safetensors"]
    assert run(*command) == 0  # reads them
    assert capsys.readouterr().out == out
    assert {path.name: path.read_bytes() for path in (tmp_path / "w").iterdir()} == kept


def test_rtl_is_asked_about_the_same_pixels(capsys, monkeypatch, tmp_path):
    """Which unit, with which pixels, and what becomes of a wrong sum; the unit itself is golden."""

    class Unit:
        cycles = 7

        def __init__(self, machine):
            self.machine = machine

        def sums(self, image, reference):
            asked.append((image, reference))
            found = spectral.sums(spectral.samples(image, reference, self.machine.pixel_bits))
            return found + found if len(asked) == 3 else found

        def close(self):
            closed.append(self)

    asked: list[tuple[torch.Tensor, torch.Tensor]] = []
    closed: list[Unit] = []
    monkeypatch.setattr(fsds, "open_unit", lambda machine, backend, **_: Unit(machine))
    command = [*PLAIN, "--scale", "4", "--image", "cat.png", "--machine", "spectral-32"]
    assert run(*command, "--size", "32", "--json", "r.json") == 0
    out = capsys.readouterr().out
    assert len(closed) == 1
    assert "\nFSDS      on rtl spectral-32\ncompared  20 sums, 0 mismatches\n" in out
    with open("r.json") as file:
        result = json.load(file)
    assert result["machine"] == "spectral-32"
    assert result["check"] == {"values": 20, "mismatches": 0}
    image, reference = (pixels.numpy() for pixels in asked[0])
    seen = view(make("bicubic", 4), 4, "cat", grey(photograph("chelsea")[:, 100:196, 150:240]), 32)
    assert (image == seen.output[0]).all()
    assert (reference == seen.reference[0]).all()
    assert (reference == crop(grey(photograph("chelsea")[:, 100:196, 150:238]), 32)[0]).all()
    want = float(definition(*(pixels[None] for pixels in asked[0])))
    assert result["rows"][0]["fsds_db"] == pytest.approx(want, abs=0.01)
    assert run(*command, "--size", "32", "--json", "s.json") == 1
    assert "backspike: mismatch: tensor x, index channel 0: got" in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()


def test_ctrl_c_in_training(capsys, monkeypatch, tmp_path):
    """Ctrl-C in training is exit code 130 and leaves no file."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stopped)
    command = ["hyra", "--network", "srcnn", "--backend", "golden", "--image", "cat.png"]
    assert run(*command, "--size", "32", "--weights", "w", "--json", "r.json") == 130
    assert capsys.readouterr().err.endswith("backspike: stopped\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--scale two", "scale is 'two', must be whole numbers with commas between, as 2,3,4"),
        ("--scale 2,5", "scale is 5, must be 2, 3, 4"),
        ("--scale 2,", "scale is '2,', must be whole numbers"),
        ("--network srcnn,edsr", "network is 'edsr', must be srcnn, fsrcnn, bicubic, sinc"),
        ("--backend gpu", "backend is 'gpu', must be golden or rtl or serial:PORT"),
        ("--machine tiny", "machine is 'tiny', must be one of spectral-32"),
        ("--size 100", "size is 100 on spectral-128, must be a power of two from 8 to 128"),
        ("--size 256", "size is 256 on spectral-128, must be a power of two from 8 to 128"),
        ("--size 4 --backend golden", "size is 4, must be 8 or more"),
        ("--size big", "--size: 'big' must be an integer"),
        ("--image none.png", "picture none.png is not there"),
        ("--image file", "file"),
        ("--image cat.png", "picture cat.png is 90 x 96, cut to multiples of the scale 2, must"),
        ("--image flat.png --size 16", "picture flat.png has no contrast in its middle 16 x 16"),
        ("--image deep.png --size 16", "picture deep.png has 16 bits a pixel, must have 8"),
        ("--json .", "--json is ., a folder"),
        ("--plots file", "--plots is file, but "),
        ("--weights file", "--weights is file, but "),
    ],
)
def test_bad_input(capsys, tmp_path, arguments, message):
    """Options and pictures that will not do are one sentence, exit code 2 and no file."""
    (tmp_path / "file").write_text("text")
    Image.fromarray(np.full((40, 40), 7, np.uint8)).save("flat.png")
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40)).save("deep.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run("hyra", *arguments.split()) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("backspike")
    assert err.count("\n") == 1
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_help(capsys):
    """The command's help is printed with exit code 0."""
    assert run("hyra", "--help") == 0
    assert "usage: backspike hyra" in capsys.readouterr().out
