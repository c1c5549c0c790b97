"""Pictures of any format that Pillow reads, as whole numbers, with nothing lost on the way.

What a picture becomes:
- grey of up to 8 bits (and black and white, as 0 and 255): uint8, one channel;
- grey of up to 16 bits: uint16, one channel;
- RGB of 8 bits, and palettes: uint8, three channels.

An opaque alpha channel is left out; so are colour profiles: pixels count as they are stored. The
orientation that a camera noted (EXIF) is applied. Refused is what could be read with a loss only:
transparency, colour of more than 8 bits (Pillow cuts it), other colour spaces, real numbers and
several frames or pages. Of an MPO file, a camera's JPEG with a preview or second view behind it,
the first picture is taken.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from backspike.ir.errors import UserError
from backspike.spectral.picture_depth import stored_bits
from backspike.system.files import as_path

_MUST_BE = "must be grey of 8 or 16 bits or RGB of 8 bits"


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels (C, H, W), C 1 or 3: uint8 of 8 bits or uint16 of 16."""

    name: str
    pixels: np.ndarray

    @property
    def bits(self) -> int:
        return 8 * self.pixels.itemsize

    @property
    def channels(self) -> int:
        return self.pixels.shape[0]

    @property
    def height(self) -> int:
        return self.pixels.shape[1]

    @property
    def width(self) -> int:
        return self.pixels.shape[2]


def read_picture(path: str | Path) -> Picture:
    """The picture in a file, named by its path. UserError if it cannot be read without loss."""
    path = as_path("picture", path)
    try:
        _check_file(path)
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            pixels = _read(path)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"picture {path} is of no format that Pillow reads") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(
            f"picture {path} has too many pixels, must have up to {Image.MAX_IMAGE_PIXELS:,}"
        ) from None
    except Exception as error:  # Readers of formats raise whatever a broken file leads them to.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"picture {path} cannot be read: {reason}") from None
    for warning in noted:  # of a picture that was read after all
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return Picture(str(path), pixels)


def check_pair(reference: Picture, image: Picture) -> None:
    """UserError unless both have the same size, channels and bits."""
    for what, of in (
        ("pixels", lambda p: f"{p.width} x {p.height}"),
        ("channels", lambda p: str(p.channels)),
        ("bits a sample", lambda p: str(p.bits)),
    ):
        if of(reference) != of(image):
            raise UserError(
                f"reference {reference.name} has {of(reference)} {what} and picture {image.name} "
                f"{of(image)}, must be equal"
            )


@dataclass(frozen=True, eq=False)
class Tiles:
    """`pixels` (N, C, n, n): the N = rows * columns whole tiles of a picture, row by row from the
    top left; `right` columns and `bottom` rows of pixels are in none."""

    pixels: np.ndarray
    rows: int
    columns: int
    right: int
    bottom: int


def tiles(pixels: np.ndarray, n: int) -> Tiles:
    """(C, H, W) cut into tiles of n x n pixels. UserError if there is no whole one."""
    channels, height, width = pixels.shape
    if not 1 <= n <= min(height, width):
        raise UserError(
            f"tiles are {n} pixels wide, must be 1 to {min(height, width)} for a picture of "
            f"{width} x {height}"
        )
    rows, columns = height // n, width // n
    whole = pixels[:, : rows * n, : columns * n].reshape(channels, rows, n, columns, n)
    parts = whole.transpose(1, 3, 0, 2, 4).reshape(rows * columns, channels, n, n)
    return Tiles(parts, rows, columns, right=width - columns * n, bottom=height - rows * n)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UserError(f"picture {path} is not there")
    if not path.is_file():  # a pipe, for one, would be waited for without end
        kind = "a folder" if path.is_dir() else "no regular file"
        raise UserError(f"picture {path} is {kind}, must be a file")


def _read(path: Path) -> np.ndarray:
    # Not by its path: Pillow would map the file into memory and then (13.0 does) take rows of the
    # wrong length for a grey TIFF that is to be turned by a quarter.
    with path.open("rb") as file, Image.open(file) as image:
        _check_frames(path, image)
        bits = stored_bits(image, path)
        image.load()
        return _pixels(path, ImageOps.exif_transpose(image), bits)


def _check_frames(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise UserError(f"picture {path} has {frames} frames or pages, must have one")


def _pixels(path: Path, image: Image.Image, bits: int) -> np.ndarray:
    """A loaded image as (C, H, W), uint8 or uint16."""
    mode = image.mode
    if mode in ("I", "I;16", "I;16L", "I;16B", "I;16N"):
        return _sixteen(path, image)
    if bits > 8:
        raise UserError(
            f"picture {path} is {mode} of {bits} bits, of which Pillow reads 8, {_MUST_BE}"
        )
    if mode == "P" and image.palette is not None and image.palette.mode not in ("RGB", "RGBA"):
        raise UserError(f"picture {path} has a palette of {image.palette.mode}, {_MUST_BE}")
    if mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise UserError(f"picture {path} is {mode}, {_MUST_BE}")
    grey = mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        _check_opaque(path, np.asarray(image)[..., 3] == 255)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return np.atleast_3d(pixels).transpose(2, 0, 1).copy()


def _sixteen(path: Path, image: Image.Image) -> np.ndarray:
    values = np.array(image)
    for value in (values.min(), values.max()):
        if not 0 <= value <= 0xFFFF:
            raise UserError(f"picture {path} has a pixel of {value}, must have 0 to 65535")
    transparent = image.info.get("transparency")
    if transparent is not None:
        _check_opaque(path, values != transparent)
    return values.astype(np.uint16)[None]


def _check_opaque(path: Path, opaque: np.ndarray) -> None:
    if not opaque.all():
        raise UserError(f"picture {path} is transparent in places, must be opaque")
