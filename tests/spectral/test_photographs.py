"""The bundled photographs, and the two small functions that prepare them."""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
import skimage.data

from backspike.ir.errors import UserError
from backspike.spectral.photographs import HELD_OUT, NAMES, TRAIN, crop, grey, photograph


@pytest.mark.parametrize("name", NAMES)
def test_they_are_scikit_images_own(name):
    """Whose functions check the files' digests, and would download what is not in the wheel."""
    if name == "motorcycle":
        want = skimage.data.stereo_motorcycle()[0]
    else:
        want = getattr(skimage.data, name)()
    pixels = photograph(name)
    assert pixels.dtype == np.uint8
    assert (pixels == np.atleast_3d(want).transpose(2, 0, 1)).all()


def test_the_split():
    """Training and held-out photographs are disjoint, both grey and colour, and large enough."""
    assert not set(TRAIN) & set(HELD_OUT)
    assert set(TRAIN) | set(HELD_OUT) < set(NAMES)
    for names in (TRAIN, HELD_OUT):
        assert {photograph(name).shape[0] for name in names} == {1, 3}
    assert all(min(photograph(name).shape[1:]) >= 300 for name in TRAIN + HELD_OUT)


def test_an_unknown_name():
    """A photograph that does not exist is a UserError that lists the names."""
    with pytest.raises(UserError, match=r"the photograph is 'lena', must be astronaut, brick"):
        photograph("lena")


def test_grey_is_the_rounded_luma():
    """Grey equals the luma in decimal arithmetic, halves rounded up."""
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (3, 40, 50), np.uint8)
    pixels[:, 0, 0], pixels[:, 0, 1], pixels[:, 0, 2] = 255, 0, (0, 0, 250)  # 28.5: a half
    got = grey(pixels)
    assert got.dtype == np.uint8
    assert got.shape == (1, 40, 50)
    assert got[0, 0, :3].tolist() == [255, 0, 29]
    weights = Decimal("0.299"), Decimal("0.587"), Decimal("0.114")
    for y, x in np.ndindex(40, 50):
        luma = sum(w * int(p) for w, p in zip(weights, pixels[:, y, x], strict=True))
        assert got[0, y, x] == Decimal(luma).quantize(Decimal(1), ROUND_HALF_UP)


def test_grey_of_sixteen_bits_and_of_grey():
    """Grey of 16-bit colour stays in 16 bits, and grey of grey is itself."""
    wide = np.full((3, 2, 2), 65535, np.uint16)
    assert (grey(wide) == 65535).all()
    assert grey(wide).dtype == np.uint16
    assert (grey(np.arange(4, dtype=np.uint8).reshape(1, 2, 2)).ravel() == range(4)).all()


def test_crop():
    """A crop is the middle square; a size beyond the picture is a UserError."""
    pixels = np.arange(2 * 5 * 8).reshape(2, 5, 8)
    assert (crop(pixels, 3) == pixels[:, 1:4, 2:5]).all()
    assert (crop(pixels, 5) == pixels[:, :, 1:6]).all()
    for size in (0, 6):
        with pytest.raises(UserError, match=f"{size} pixels wide, must be 1 to 5 .* 8 x 5"):
            crop(pixels, size)
