"""How many bits a sample has in a file: Pillow opens colour of more than 8 with the rest cut off,
and does not say so."""

from pathlib import Path

from PIL import Image

_SIZ = b"\xff\x4f\xff\x51"
"""JPEG 2000 (ISO 15444-1, A.4 and A.5): the start of a codestream and the marker after it."""
_AV1C = b"av1C"
"""AVIF (AV1 in ISOBMFF, 2.3.3): the box with a stream's configuration."""


def stored_bits(image: Image.Image, path: Path) -> int:
    """Bits a sample of the file that `image` was opened from and not yet loaded: 8 or, if there
    are more, their number. Where a file has several kinds of samples, the most."""
    if image.format == "JPEG2000":
        return _jpeg2000(path.read_bytes())
    if image.format == "AVIF":
        return _avif(path.read_bytes())
    return max((_tile(tile) for tile in getattr(image, "tile", ())), default=8)


def _tile(tile) -> int:
    """Pillow's own instruction for decoding: (decoder, box, offset, arguments)."""
    decoder, arguments = tile[0], tile[3]
    if not isinstance(arguments, tuple):
        arguments = (arguments,)
    raw = next((a for a in arguments if isinstance(a, str)), "")  # "RGB;16B" and the like
    if ";16" in raw or decoder == "SGI16":
        return 16
    if decoder in ("ppm", "ppm_plain") and len(arguments) > 1:
        return max(8, arguments[1].bit_length())  # the greatest value
    return 8


def _jpeg2000(content: bytes) -> int:
    segment = content.index(_SIZ) + len(_SIZ)  # Lsiz; Csiz is 36 bytes on, then 3 bytes each
    components = int.from_bytes(content[segment + 36 : segment + 38], "big")
    depths = content[segment + 38 : segment + 38 + 3 * components : 3]
    return max(8, *((depth & 0x7F) + 1 for depth in depths))


def _avif(content: bytes) -> int:
    flags = content[content.index(_AV1C) + len(_AV1C) + 2]  # tier, high_bitdepth, twelve_bit, ..
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
