"""The example of `backspike fsds` in docs/spectral.md: pictures ship, and give what it shows."""

import re
from pathlib import Path

import numpy as np

from backspike.cli.main import main
from backspike.spectral.degrade import jpeg
from backspike.spectral.photographs import crop, photograph
from backspike.spectral.pictures import read_picture

ROOT = Path(__file__).resolve().parents[2]


def test_the_pictures():
    """They are what docs/spectral.md says of them; decoders of JPEG may round a value otherwise."""
    reference = read_picture(ROOT / "docs/pictures/reference.png").pixels
    image = read_picture(ROOT / "docs/pictures/image.png").pixels
    assert np.array_equal(reference, crop(photograph("coffee"), 128))
    assert np.abs(image.astype(int) - jpeg(reference, 50)).max() <= 2


def test_what_the_example_prints(capsys, monkeypatch):
    """Golden has the RTL's integers, so it prints the same figures."""
    monkeypatch.chdir(ROOT)
    shown = (ROOT / "docs/spectral.md").read_text()
    found = re.search(
        r"^\$ backspike (fsds .*)\n(FSDS .*\nin float64 .*\npictures .*\n)", shown, re.M
    )
    assert found is not None
    assert main([*found[1].split(), "--backend", "golden"]) == 0
    assert capsys.readouterr().out.startswith(found[2])
