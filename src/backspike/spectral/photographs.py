"""The photographs that lie in scikit-image's wheel: nothing is downloaded.

`NAMES` leaves out what is no photograph (logos, phantoms, colour wheels, chessboards, silhouettes)
and pages of text. `TRAIN` and `HELD_OUT` are everyday scenes with detail at all scales, no scene
in both: what a super-resolution network learns from, and what it is judged by.
"""

from importlib.resources import as_file, files
from types import MappingProxyType

import numpy as np

from backspike.ir.errors import UserError
from backspike.spectral.pictures import read_picture

_FILES = MappingProxyType(
    {
        "astronaut": "astronaut.png",  # RGB 512 x 512: a portrait; face, cloth, a flag
        "brick": "brick.png",  # grey 512 x 512: a wall; a regular texture with edges
        "camera": "camera.png",  # grey 512 x 512: a man with a tripod on a lawn
        "cell": "cell.png",  # grey 550 x 660 (W x H): one cell under a microscope
        "chelsea": "chelsea.png",  # RGB 451 x 300: a cat; fur and whiskers
        "clock": "clock_motion.png",  # grey 400 x 300: a clock, blurred by motion
        "coffee": "coffee.png",  # RGB 600 x 400: a cup on a table; smooth, with highlights
        "coins": "coins.png",  # grey 384 x 303: coins on a dark ground; reliefs
        "grass": "grass.png",  # grey 512 x 512: an irregular texture
        "gravel": "gravel.png",  # grey 512 x 512: an irregular texture, coarser
        "hubble_deep_field": "hubble_deep_field.jpg",  # RGB 1000 x 872: galaxies, points of light
        "immunohistochemistry": "ihc.png",  # RGB 512 x 512: stained tissue
        "microaneurysms": "microaneurysms.png",  # grey 102 x 102: vessels of an eye
        "moon": "moon.png",  # grey 512 x 512: craters; little contrast
        "motorcycle": "motorcycle_left.png",  # RGB 741 x 500: a workshop, full of detail
        "retina": "retina.jpg",  # RGB 1411 x 1411: a retina, round on black
        "rocket": "rocket.jpg",  # RGB 640 x 427: a launch pad at dusk; thin lines, night sky
    }
)

NAMES = tuple(_FILES)

TRAIN = ("brick", "coins", "grass", "gravel", "motorcycle", "rocket")
"""Textures regular and irregular, reliefs, a cluttered room, thin lines before a sky."""

HELD_OUT = ("astronaut", "camera", "chelsea", "coffee")
"""A face, a scene with sky and lawn, fur, smooth surfaces: grey and RGB, unlike those of `TRAIN`.

The scientific pictures are in neither: nearly black, blurred or of one kind, they would tell about
themselves only.
"""


def photograph(name: str) -> np.ndarray:
    """The photograph's pixels, uint8 (C, H, W), C 1 or 3. UserError if there is none such."""
    if name not in _FILES:
        raise UserError(f"the photograph is {name!r}, must be {', '.join(NAMES)}")
    with as_file(files("skimage.data") / _FILES[name]) as path:
        return read_picture(path).pixels


def grey(pixels: np.ndarray) -> np.ndarray:
    """Luma of ITU-R BT.601, Y = 0.299 R + 0.587 G + 0.114 B, rounded, halves up:
    unsigned integers (3, H, W) -> (1, H, W) of the same dtype, exactly. Grey stays as it is.
    """
    if len(pixels) == 1:
        return pixels
    red, green, blue = pixels.astype(np.int64)
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(pixels.dtype)[None]


def crop(pixels: np.ndarray, size: int) -> np.ndarray:
    """The square of `size` pixels in the middle: (C, H, W) -> (C, size, size).

    If a margin is odd, the greater part is cut off at the bottom or right. UserError if the picture
    is smaller.
    """
    _, height, width = pixels.shape
    if not 1 <= size <= min(height, width):
        raise UserError(
            f"the crop is {size} pixels wide, must be 1 to {min(height, width)} in a picture "
            f"of {width} x {height}"
        )
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[:, top : top + size, left : left + size]
