"""FSDS of pictures: which arithmetic takes which sizes, tiles, and the comparison with golden."""

import math
from dataclasses import replace

import numpy as np
import pytest

from backspike.drive.comparison import Counts
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.golden.spectral import Sums
from backspike.ir.errors import Mismatch, UserError
from backspike.spectral.fsds import CAUSAL, compare, measure
from tests.support.software_unit import SMALL, Software, float64

WIDE = SPECTRAL_MACHINES["spectral-128x16"]


def pictures(shape, seed: int = 0, dtype=np.uint8) -> tuple[np.ndarray, np.ndarray]:
    """Reference and image: waves and the same with noise."""
    rng = np.random.default_rng(seed)
    c, y, x = np.indices(shape)
    waves = 0.5 + 0.25 * np.sin(0.7 * x + 0.2 * y * y / (c + 1)) + 0.2 * np.cos(y * 0.3 + c)
    top = np.iinfo(dtype).max
    noisy = waves + rng.normal(0, 0.05, shape)
    return tuple((p.clip(0, 1) * top).astype(dtype) for p in (waves, noisy))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 32), (1, 64, 8)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_where_sides_are_powers_of_two(shape, dtype):
    """Sides of powers of two are measured in integers, within 0.005 dB of float64."""
    reference, image = pictures(shape, dtype=dtype)
    result = measure(reference, image, "golden")
    assert (result.arithmetic, len(result.parts)) == ("integer", shape[0])
    assert result.reference_db == float64(reference, image)
    assert result.fsds_db == pytest.approx(result.reference_db, abs=0.005)
    assert (result.fsds_db == result.reference_db) is False  # they are two computations
    assert (result.machine, result.cycles) == (None, None)
    assert result.check == {"values": 0, "mismatches": 0}


@pytest.mark.parametrize("shape", [(1, 7, 16), (3, 16, 24), (1, 4, 8), (1, 8, 1024), (2, 1, 3)])
def test_float64_for_all_other_sizes(shape):
    """Other sizes are measured in float64 alone."""
    reference, image = pictures(shape)
    result = measure(reference, image, "golden")
    assert (result.arithmetic, result.parts, result.sums) == ("float64", [], None)
    assert result.fsds_db == result.reference_db == float64(reference, image)


def test_the_reference_is_the_first():
    """Exchanging reference and image exchanges their energies and changes the figure."""
    reference, image = pictures((1, 16, 16))
    one, other = measure(reference, image, "golden"), measure(image, reference, "golden")
    assert one.parts[0].yy == other.parts[0].xx != one.parts[0].xx
    assert one.fsds_db != other.fsds_db


def test_a_unit_is_compared_sum_by_sum():
    """A unit's sums of all channels equal golden's, and values and cycles are counted."""
    reference, image = pictures((3, 16, 32))
    counts = Counts(tensors=1, values=2, mismatches=0)
    unit = Software()
    result = measure(reference, image, "rtl", SMALL, unit=unit, counts=counts)
    assert not unit.closed  # it is the caller's
    assert result.check == {"values": 30, "mismatches": 0}
    assert counts == Counts(tensors=31, values=32, mismatches=0)
    bound = 3 * 2 * 16 * 32
    assert result.cycles == {"total": bound + 3 * 7, "bound": bound}
    golden = measure(reference, image, "golden")
    assert (result.parts, result.fsds_db) == (golden.parts, golden.fsds_db)
    assert result.sums == golden.parts[0] + golden.parts[1] + golden.parts[2]
    assert result.machine == "spectral-32"


@pytest.mark.parametrize("name", CAUSAL)
def test_every_sum_that_differs_is_named(name):
    """Whichever of the ten sums differs is the one the Mismatch names."""
    reference, image = pictures((3, 16, 16))
    unit, counts = Software(wrong={name: 5}, after=1), Counts()
    golden = measure(reference, image, "golden").parts[1]
    want = getattr(golden, name)
    message = (
        rf"tensor {name}, index channel 1: got 0x5 \(5\), want {want:#x} \({want}\) "
        r"\(1 of 10 sums of this pair differ\)"
    )
    with pytest.raises(Mismatch, match=message):
        measure(reference, image, "rtl", SMALL, unit=unit, counts=counts)
    assert counts == Counts(tensors=20, values=20, mismatches=1)


def test_the_first_sum_that_differs_is_the_one_nearest_to_the_cause():
    """Of several sums that differ, the Mismatch names the one computed first."""
    right = Sums(*range(10))
    counts = Counts()
    with pytest.raises(Mismatch, match=r"tensor xx, index here: got 0x9 \(9\), want 0x7 \(7\)"):
        compare(replace(right, saa=9, ta=9, xx=9), right, "here", counts)
    assert counts.mismatches == 3


def test_tiles_count_as_channels():
    """Tiles give the same figure as their pixels stacked as channels, and the rest is left out."""
    reference, image = pictures((3, 20, 35))
    result = measure(reference, image, "rtl", SMALL, tile=16, unit=Software())
    assert len(result.parts) == 2 * 3
    assert result.cut is not None
    assert (result.cut.rows, result.cut.columns, result.cut.right, result.cut.bottom) == (
        1,
        2,
        3,
        4,
    )
    b, a = (np.concatenate([x[:, :16, :16], x[:, :16, 16:32]]) for x in (reference, image))
    whole = measure(b, a, "golden")
    assert (result.fsds_db, result.parts) == (whole.fsds_db, whole.parts)
    assert result.reference_db == float64(b, a)
    bound = 2 * 6 * 16 * 16
    assert result.cycles == {"total": bound + 6 * 7, "bound": bound}
    shown = result.to_json()
    assert (shown["height"], shown["width"], shown["channels"]) == (20, 35, 3)
    assert [(p["tile"], p["channel"]) for p in shown["parts"]] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)
    ]  # fmt: skip


def test_a_tile_of_a_mismatch_is_named():
    """A Mismatch names the tile and the channel."""
    reference, image = pictures((3, 16, 32))
    unit = Software(wrong={"ta": 1}, after=5)
    with pytest.raises(Mismatch, match=r"tensor ta, index tile 1, channel 2: got 0x1 "):
        measure(reference, image, "rtl", SMALL, tile=16, unit=unit)


def test_a_tile_may_be_flat_or_equal_in_both():
    """Single tiles without contrast or without difference leave the figure finite."""
    reference, image = pictures((1, 16, 48))
    reference[..., :16] = image[..., :16] = 7
    image[..., 16:32] = reference[..., 16:32]
    result = measure(reference, image, "golden", tile=16)
    assert result.fsds_db == pytest.approx(result.reference_db, abs=0.01)
    assert math.isfinite(result.fsds_db)


@pytest.mark.parametrize("tile", [None, 16, 5])
def test_equal_pictures(tile):
    """Equal pictures have an infinite figure, a string in JSON."""
    reference, _ = pictures((3, 16, 16))
    result = measure(reference, reference, "golden", tile=tile)
    assert result.fsds_db == result.reference_db == math.inf
    assert result.to_json()["fsds_db"] == result.to_json()["reference_db"] == "Infinity"
    assert float("Infinity") == math.inf  # so a script reads it as it reads a number


def test_equal_but_for_brightness_and_contrast():
    """A picture that differs in brightness and contrast only has an infinite figure."""
    reference, _ = pictures((1, 16, 16))
    result = measure(reference, reference // 2 * 2 // 2 + 9, "golden", "spectral-32")
    halved = measure(reference // 2 * 2, reference // 2 + 9, "golden")
    assert math.isfinite(result.fsds_db)
    assert halved.fsds_db == math.inf
    assert halved.reference_db > 250  # float64 comes as near as it can


def test_bytes_on_a_unit_of_sixteen_bits_are_the_same_samples():
    """A unit of 16 bits gives golden's sums for bytes and for 16-bit samples."""
    reference, image = pictures((1, 16, 16))
    wide = measure(reference, image, "rtl", WIDE, unit=Software(WIDE))
    assert wide.parts == measure(reference, image, "golden").parts
    reference, image = pictures((1, 16, 16), dtype=np.uint16)
    wide = measure(reference, image, "rtl", WIDE, unit=Software(WIDE))
    assert wide.parts == measure(reference, image, "golden").parts


DOES = "spectral-32 does sides of powers of two from 8 to 32"


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 16, 64), {}, f"the reference has 64 x 16 pixels: {DOES}; --tile N averages over "
         r"tiles \(another figure\), --backend golden takes any size"),
        ((1, 4, 8), {}, f"the reference has 8 x 4 pixels: {DOES}"),
        ((1, 16, 24), {}, f"the reference has 24 x 16 pixels: {DOES}"),
        ((1, 64, 64), {"tile": 64}, f"tile is 64: {DOES}, and --backend golden any size"),
        ((1, 64, 64), {"tile": 4}, f"tile is 4: {DOES}"),
        ((1, 64, 64), {"tile": 0}, "tiles are 0 pixels wide, must be 1 to 64"),
        ((1, 64, 64), {"tile": 65}, "tiles are 65 pixels wide, must be 1 to 64"),
        ((1, 16, 16), {"backend": "gpu"}, "backend is 'gpu', must be golden or rtl or serial:PORT"),
        ((1, 16, 16), {"machine": "tiny"}, "machine is 'tiny', must be one of spectral"),
        ((1, 16, 0), {}, r"the reference has the shape \(1, 16, 0\), must have \(C, H, W\)"),
        ((16, 16), {}, r"the reference has the shape \(16, 16\)"),
    ],
)  # fmt: skip
def test_pictures_that_cannot_be_measured(shape, options, message):
    """Shapes, tiles, backends and machines that do not go together are one-sentence UserErrors."""
    pixels = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
    given = {"backend": "rtl", "machine": "spectral-32"} | options
    with pytest.raises(UserError, match=f"^{message}"):
        measure(pixels, pixels, **given)


def test_sixteen_bits_on_a_unit_of_eight():
    """16-bit samples on a unit of 8 bits are a UserError that names the way out."""
    reference, image = pictures((1, 16, 16), dtype=np.uint16)
    message = (
        "the reference has 16 bits a sample: spectral-32 takes up to 8, and --machine "
        "spectral-128x16 or --backend golden takes 16"
    )
    with pytest.raises(UserError, match=message):
        measure(reference, image, "rtl", SMALL)


def test_pictures_that_are_no_pair():
    """Pictures of different shape or dtype, and floats, are UserErrors."""
    reference, image = pictures((1, 16, 16))
    with pytest.raises(UserError, match=r"has the shape \(1, 16, 16\) and the image \(1, 15, 16\)"):
        measure(reference, image[:, 1:], "golden")
    with pytest.raises(UserError, match="has the dtype uint8 and the image uint16, must be equal"):
        measure(reference, image.astype(np.uint16), "golden")
    with pytest.raises(UserError, match="the reference is float64, must be uint8 or uint16"):
        measure(reference / 1, image, "golden")


@pytest.mark.parametrize("backend", ["golden", "rtl"])
def test_contrast_is_needed(backend):
    """A flat picture is a UserError that names the picture and its level."""
    reference, image = pictures((3, 16, 16))
    flat = np.full_like(image, 7)
    names = ("reference r.png", "picture i.png")
    with pytest.raises(UserError, match=r"^picture i.png is 7 everywhere: contrast is needed"):
        measure(reference, flat, backend, SMALL, names=names)
    with pytest.raises(UserError, match=r"^reference r.png is 7 everywhere: contrast is needed"):
        measure(flat, image, backend, SMALL, names=names)
    edge = np.pad(flat, ((0, 0), (0, 0), (0, 1)))
    with pytest.raises(UserError, match=r"^the reference is 7 in all of its tiles: contrast"):
        measure(edge, edge, backend, SMALL, tile=8)
