"""`backspike fsds`: what it prints, writes and refuses, on golden and on a unit in software."""

import json
import math
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from backspike.cli.main import main
from backspike.golden.spectral import Sums
from backspike.spectral import fsds
from backspike.spectral.degrade import noise
from backspike.spectral.photographs import crop, grey, photograph
from tests.support.software_unit import Software, float64

KEYS = ["backend", "machine", "height", "width", "channels", "fsds_db", "reference_db", "sums",
        "cycles", "check"]  # fmt: skip


@pytest.fixture(autouse=True)
def _pictures(tmp_path, monkeypatch):
    """Files: colour (RGB 32 x 16), grey (32 x 32), odd (21 x 16), flat; a and b of each pair."""
    monkeypatch.chdir(tmp_path)
    colour = crop(photograph("chelsea"), 32)[:, :16]
    shade = grey(crop(photograph("coffee"), 32))
    for name, pixels in (("colour", colour), ("grey", shade), ("odd", colour[:, :, :21])):
        save(f"{name}_a.png", pixels)
        save(f"{name}_b.png", noise(pixels, 5, 1))
    save("flat.png", np.full((1, 32, 32), 9, np.uint8))
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save("deep.png")


def save(path: str, pixels: np.ndarray) -> None:
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)


def load(path: str) -> np.ndarray:
    return np.atleast_3d(np.asarray(Image.open(path))).transpose(2, 0, 1)


@pytest.fixture
def unit(monkeypatch):
    """In the place of the simulated one."""
    software = Software()
    monkeypatch.setattr(fsds, "open_unit", lambda machine, backend: software)
    return software


def run(*arguments: str) -> int:
    try:
        return main(["fsds", *arguments])
    except SystemExit as stopped:  # from argparse
        return int(stopped.code or 0)


def test_json_has_the_promised_keys(capsys, unit):
    """JSON on stdout begins with the documented keys; figure, sums, cycles and check are right."""
    assert run("colour_a.png", "colour_b.png", "--machine", "spectral-32", "--json", "-") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert list(result)[: len(KEYS)] == KEYS
    assert (result["backend"], result["machine"]) == ("rtl", "spectral-32")
    assert (result["height"], result["width"], result["channels"]) == (16, 32, 3)
    assert result["reference_db"] == float64(load("colour_a.png"), load("colour_b.png"))
    assert result["fsds_db"] == pytest.approx(result["reference_db"], abs=0.01)
    assert result["sums"].keys() == {"saa", "sbb", "sab"}
    assert result["sums"]["saa"] == sum(part["saa"] for part in result["parts"])
    assert result["cycles"] == {"total": 3 * (2 * 512 + 7), "bound": 3 * 2 * 512}
    assert result["check"] == {"values": 30, "mismatches": 0}
    assert f"FSDS        {result['fsds_db']:.4f} dB\n" in err
    assert "\r" not in err  # no bar, which is for terminals
    assert "pair" not in err


def test_parts_give_the_figure_again(capsys):
    """The similarity of the JSON's parts is the JSON's figure."""
    assert run("colour_a.png", "colour_b.png", "--backend", "golden", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    parts = [{f.name: part[f.name] for f in fields(Sums)} for part in result["parts"]]
    assert fsds.similarity([Sums(**p) for p in parts], 16, 32) == result["fsds_db"]


def test_sums_beyond_2_to_53_come_as_strings_too(capsys):
    """In the sums of all and of each part; those that float64 holds come alone."""
    pixels = grey(crop(photograph("chelsea"), 128))
    save("large_a.png", pixels)
    save("large_b.png", noise(pixels, 5, 1))
    assert run("large_a.png", "large_b.png", "--backend", "golden", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    want = fsds.measure(load("large_a.png"), load("large_b.png"), "golden").parts[0]
    assert any(abs(value) > 2**53 for value in vars(want).values())
    for found, names in ((result["parts"][0], vars(want)), (result["sums"], ("saa", "sbb", "sab"))):
        for name in names:
            value = getattr(want, name)
            assert found[name] == value
            assert found.get(f"{name}_str") == (str(value) if abs(value) > 2**53 else None)


def test_the_table_of_the_unit(capsys, unit):
    """The table on stdout is exact to the character, and the unit is closed."""
    assert run("colour_a.png", "colour_b.png", "--machine", "spectral-32") == 0
    out = capsys.readouterr().out
    result = fsds.measure(load("colour_a.png"), load("colour_b.png"), "golden")
    apart = result.fsds_db - result.reference_db
    assert out == (
        f"FSDS        {result.fsds_db:.4f} dB\n"
        f"in float64  {result.reference_db:.4f} dB, {abs(apart):.4f} dB apart\n"
        "pictures    32 x 16, 3 channels of 8 bits\n"
        "computed    rtl spectral-32\n"
        "compared    30 sums, 0 mismatches\n"
        "cycles      3,093 of bound 3,072: 1.007\n"
    )
    assert unit.closed


def test_the_table_of_odd_sizes_and_of_tiles(capsys):
    """The table says that other sizes are in float64, and what tiles leave out."""
    assert run("odd_a.png", "odd_b.png", "--backend", "golden") == 0
    figure = float64(load("odd_a.png"), load("odd_b.png"))
    assert capsys.readouterr().out == (
        f"FSDS      {figure:.4f} dB\n"
        "pictures  21 x 16, 3 channels of 8 bits\n"
        "computed  golden, float64 (integers: powers of two from 8 to 512)\n"
        "compared  nothing\n"
    )
    assert run("odd_a.png", "odd_b.png", "--backend", "golden", "--tile", "8") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("FSDS of tiles 8 x 8  ")
    assert out[3:] == [
        "averaged             energies of 2 x 2 tiles, as channels of a picture",
        "left out             5 columns at the right, 0 rows at the bottom",
        "computed             golden, integer",
        "compared             nothing",
    ]


def test_equal_pictures(capsys):
    """Equal pictures are told as infinite, and JSON stays standard."""
    assert run("grey_a.png", "grey_a.png", "--backend", "golden", "--json", "x.json") == 0
    assert capsys.readouterr().out.startswith("FSDS        +inf dB: equal but for brightness and")
    with open("x.json") as file:
        result = json.load(file, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert result["fsds_db"] == "Infinity"
    assert float(result["fsds_db"]) == math.inf


def test_pictures_are_drawn(capsys, tmp_path):
    """`--plots` makes the folder, draws both files and names them."""
    assert run("odd_a.png", "odd_b.png", "--backend", "golden", "--plots", "p/q") == 0
    names = ["spectra.png", "cumulative.png"]
    assert [line for line in capsys.readouterr().err.splitlines() if "drew" in line] == [
        f"drew p/q/{name}" for name in names
    ]
    for name in names:
        pixels = np.asarray(Image.open(tmp_path / "p/q" / name))
        assert min(pixels.shape[:2]) > 400
        assert pixels.std() > 20  # something is drawn


def test_a_mismatch_exits_1_and_writes_nothing(capsys, tmp_path, unit):
    """A sum that differs gives exit code 1, its name on stderr and no file."""
    unit.wrong, unit.after = {"sab": -3}, 2
    before = sorted(tmp_path.iterdir())
    options = ["--machine", "spectral-32", "--json", "x.json", "--plots", "p"]
    assert run("colour_a.png", "colour_b.png", *options) == 1
    out, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert last.startswith(
        "backspike: mismatch: tensor sab, index channel 2: got -0x3 (-3), want 0x"
    )
    assert out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("grey_a.png", "arguments are required: IMG"),
        ("none.png grey_b.png", "picture none.png is not there"),
        ("grey_a.png cut.png", "picture cut.png cannot be read: "),
        ("text.png grey_a.png", "picture text.png is of no format that Pillow reads"),
        (". grey_a.png", "picture . is a folder"),
        ("grey_a.png colour_a.png", "reference grey_a.png has 32 x 32 pixels and picture colour_a"),
        ("grey_a.png deep.png", "reference grey_a.png has 8 bits a sample and picture deep.png 16"),
        ("deep.png deep.png", "reference deep.png has 16 bits a sample: spectral-128 takes up"),
        ("grey_a.png flat.png", "picture flat.png is 9 everywhere: contrast is needed"),
        ("flat.png grey_a.png", "reference flat.png is 9 everywhere: contrast is needed"),
        ("odd_a.png odd_b.png", "reference odd_a.png has 21 x 16 pixels: spectral-128 does sides "
         "of powers of two from 8 to 128; --tile N averages over tiles (another figure), --backend "
         "golden takes any size"),
        ("odd_a.png odd_b.png --tile 20", "tiles are 20 pixels wide, must be 1 to 16"),
        ("odd_a.png odd_b.png --tile 12", "tile is 12: spectral-128 does sides of powers of two"),
        ("odd_a.png odd_b.png --tile many", "--tile: 'many' must be an integer"),
        ("grey_a.png grey_b.png --machine tiny", "machine is 'tiny', must be one of spectral"),
        ("grey_a.png grey_b.png --backend gpu", "backend is 'gpu', must be golden or rtl"),
        ("grey_a.png grey_b.png --json .", "--json is ., a folder"),
        ("grey_a.png grey_b.png --plots grey_a.png", "--plots is grey_a.png, but "),
    ],
)  # fmt: skip
def test_bad_input(capsys, tmp_path, arguments, message):
    """Pictures and options that cannot be measured are one sentence, exit code 2 and no file."""
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "cut.png").write_bytes((tmp_path / "grey_a.png").read_bytes()[:300])
    before = sorted(tmp_path.iterdir())
    assert run(*arguments.split()) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("backspike")
    assert err.count("\n") == 1
    assert out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_help(capsys):
    """The command's help is printed with exit code 0."""
    assert run("--help") == 0
    assert "usage: backspike fsds" in capsys.readouterr().out
