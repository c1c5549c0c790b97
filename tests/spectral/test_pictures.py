"""Pictures out of files: every mode that Pillow opens, and every way to go wrong."""

import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from backspike.ir.errors import UserError
from backspike.spectral.picture_depth import stored_bits
from backspike.spectral.pictures import Picture, check_pair, read_picture, tiles

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (6, 9), np.uint8)
WIDE = RNG.integers(0, 65536, (6, 9), np.uint16)
RGB = RNG.integers(0, 256, (6, 9, 3), np.uint8)
CHANNELS = RGB.transpose(2, 0, 1)
OPAQUE = np.full((6, 9, 1), 255, np.uint8)
HOLE = OPAQUE.copy()
HOLE[2, 3] = 254


def saved(folder, image: Image.Image, name: str, **options):
    image.save(folder / name, **options)
    return folder / name


def png(depth: int, colour: int, rows: bytes, *, width=9, height=6, chunks: bytes = b"") -> bytes:
    """A PNG file of rows of samples, each with filter 0 before it: what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def rows(samples: np.ndarray) -> bytes:
    return b"".join(
        b"\0" + row.astype(samples.dtype.newbyteorder(">")).tobytes() for row in samples
    )


# ---------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "gif", "pgm", "jp2", "tga", "webp", "sgi"])
def test_grey_formats(tmp_path, end):
    """A grey picture is read back exactly from every format that keeps it."""
    options = {"lossless": True} if end == "webp" else {}
    picture = read_picture(saved(tmp_path, Image.fromarray(GREY), f"x.{end}", **options))
    assert picture.pixels.dtype == np.uint8
    if end == "webp":  # knows colour only
        assert (picture.pixels == np.stack([GREY] * 3)).all()
    else:
        assert (picture.pixels == GREY[None]).all()
    assert picture.name == str(tmp_path / f"x.{end}")
    assert (picture.bits, picture.height, picture.width) == (8, 6, 9)
    assert picture.pixels.flags.writeable


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "ppm", "jp2", "tga", "webp", "pcx", "sgi"])
def test_rgb_formats(tmp_path, end):
    """A colour picture is read back exactly, channels first, from every format that keeps it."""
    options = {"lossless": True} if end == "webp" else {}
    picture = read_picture(str(saved(tmp_path, Image.fromarray(RGB), f"x.{end}", **options)))
    assert (picture.pixels == CHANNELS).all()
    assert picture.channels == 3
    assert picture.pixels.flags.c_contiguous


@pytest.mark.parametrize("end", ["jpg", "avif"])
def test_formats_with_loss(tmp_path, end):
    """Pictures of formats with loss come back within 6 grey levels."""
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(np.dstack([smooth] * 3)), f"x.{end}", quality=95)
    got = read_picture(path).pixels
    assert got.shape == (3, 64, 48)
    assert abs(got - smooth.astype(int)).max() <= 6


@pytest.mark.parametrize("end", ["png", "tif", "pgm", "jp2"])
def test_sixteen_bits(tmp_path, end):
    """A 16-bit grey picture is read back exactly from every format that has it."""
    picture = read_picture(saved(tmp_path, Image.fromarray(WIDE), f"x.{end}"))
    assert (picture.pixels == WIDE[None]).all()
    assert picture.pixels.dtype == np.uint16
    assert (picture.bits, picture.channels) == (16, 1)


def test_sixteen_bits_of_either_order_and_in_words(tmp_path):
    """16-bit samples are read in either byte order and out of 32-bit words, others refused."""
    big = Image.frombytes("I;16B", (9, 6), WIDE.astype(">u2").tobytes())
    assert (read_picture(saved(tmp_path, big, "big.tif")).pixels == WIDE).all()
    words = Image.fromarray(WIDE.astype(np.int32))
    picture = read_picture(saved(tmp_path, words, "words.tif"))
    assert (picture.pixels == WIDE).all()
    assert picture.pixels.dtype == np.uint16
    for value in (-1, 65536):
        outside = WIDE.astype(np.int32)
        outside[3, 4] = value
        path = saved(tmp_path, Image.fromarray(outside), "outside.tif")
        with pytest.raises(UserError, match=f"has a pixel of {value}, must have 0 to 65535"):
            read_picture(path)


def test_black_and_white(tmp_path):
    """Pictures of one bit become 0 and 255."""
    path = saved(tmp_path, Image.fromarray(GREY > 127), "x.png")
    assert (read_picture(path).pixels == np.where(GREY > 127, 255, 0)[None]).all()


@pytest.mark.parametrize("end", ["png", "gif", "bmp"])
def test_palettes_become_rgb(tmp_path, end):
    """A palette picture is read as its colours."""
    indexed = Image.fromarray(GREY % 7).convert("P")
    colours = RNG.integers(0, 256, (7, 3), np.uint8)
    indexed.putpalette(colours.tobytes())
    picture = read_picture(saved(tmp_path, indexed, f"x.{end}"))
    assert (picture.pixels == colours[GREY % 7].transpose(2, 0, 1)).all()


@pytest.mark.parametrize("end", ["png", "tif", "tga"])
def test_an_opaque_alpha_channel_is_left_out(tmp_path, end):
    """An alpha channel that is opaque everywhere is left out."""
    path = saved(tmp_path, Image.fromarray(np.dstack([RGB, OPAQUE])), f"x.{end}")
    assert (read_picture(path).pixels == CHANNELS).all()
    path = saved(tmp_path, Image.fromarray(np.dstack([GREY, OPAQUE])), f"y.{end}")
    assert (read_picture(path).pixels == GREY[None]).all()


def test_transparency_is_refused(tmp_path):
    """One pixel that is not opaque is a UserError."""
    for pixels in (RGB, GREY):
        path = saved(tmp_path, Image.fromarray(np.dstack([pixels, HOLE])), "x.png")
        with pytest.raises(UserError, match="is transparent in places, must be opaque"):
            read_picture(path)


@pytest.mark.parametrize("wide", [False, True])
def test_a_transparent_grey_value(tmp_path, wide):
    """A grey value marked transparent is refused only where a pixel has it."""
    pixels = WIDE // 2 if wide else GREY // 2
    for value, opaque in ((int(pixels[1, 1]), False), (int(pixels.max()) + 1, True)):
        path = saved(tmp_path, Image.fromarray(pixels), "x.png", transparency=value)
        if opaque:
            assert (read_picture(path).pixels == pixels[None]).all()
        else:
            with pytest.raises(UserError, match="transparent in places"):
                read_picture(path)


def test_a_transparent_palette_entry(tmp_path):
    """A palette entry marked transparent is refused only where a pixel has it."""
    indexed = Image.fromarray(GREY % 7).convert("P")
    indexed.putpalette(RNG.integers(0, 256, (9, 3), np.uint8).tobytes())
    with pytest.raises(UserError, match="transparent in places"):
        read_picture(saved(tmp_path, indexed, "x.png", transparency=3))
    picture = read_picture(saved(tmp_path, indexed, "x.png", transparency=8))  # no pixel has it
    assert picture.channels == 3


@pytest.mark.parametrize("end", ["png", "tif", "webp"])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, end, colour, orientation):
    """Of EXIF: where the first row and the first column of the file belong in the picture."""
    turned = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T,
        6: GREY[::-1].T, 7: GREY[::-1, ::-1].T, 8: GREY[:, ::-1].T,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.dstack([GREY] * 3) if colour or end == "webp" else GREY
    options = {"lossless": True} if end == "webp" else {}
    path = saved(tmp_path, Image.fromarray(stored), f"x.{end}", exif=exif, **options)
    pixels = read_picture(path).pixels
    assert pixels.shape[1:] == turned.shape
    assert (pixels == turned).all()


def test_the_first_picture_of_a_cameras_several(tmp_path):
    """Of a camera's file with several views, the first is read."""
    views = [Image.new("L", (16, 8), value) for value in (40, 200)]
    path = saved(tmp_path, views[0], "x.mpo", save_all=True, append_images=views[1:])
    assert abs(read_picture(path).pixels.astype(int) - 40).max() <= 1


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("mode", "end"), [("CMYK", "tif"), ("CMYK", "jpg"), ("LAB", "tif"), ("F", "tif")]
)
def test_other_modes(tmp_path, mode, end):
    """Colour spaces other than grey and RGB are UserErrors that name the mode."""
    with pytest.raises(UserError, match=f"is {mode}, must be grey of 8 or 16 bits or RGB"):
        read_picture(saved(tmp_path, Image.new(mode, (9, 6)), f"x.{end}"))


@pytest.mark.parametrize("end", ["gif", "tif", "png", "webp", "avif"])
def test_several_frames(tmp_path, end):
    """A file of several frames or pages is a UserError that gives their number."""
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]
    path = saved(tmp_path, frames[0], f"x.{end}", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="has 3 frames or pages, must have one"):
        read_picture(path)


def deep_files() -> dict[str, bytes]:
    """Colour of more than 8 bits, as various files hold it."""
    wide = RNG.integers(0, 65536, (6, 9, 3), np.uint16)
    words = wide.astype(">u2").tobytes()
    alpha = np.dstack([wide, np.full((6, 9), 65535, np.uint16)])
    plain = " ".join(map(str, wide.ravel() % 1024)).encode()
    sgi = struct.pack(">hBBHHHH", 474, 0, 2, 3, 9, 6, 3).ljust(512, b"\0")
    jp2 = io.BytesIO()
    Image.fromarray(RGB).save(jp2, "JPEG2000")
    deep = bytearray(jp2.getvalue())
    at = deep.index(b"\xff\x4f\xff\x51") + 4 + 38
    deep[at + 6] = 11  # of the third component, less 1
    return {
        "16 rgb.png": png(16, 2, rows(wide)),
        "16 rgba.png": png(16, 6, rows(alpha)),
        "16 rgb.ppm": b"P6 9 6 65535\n" + words,
        "10 plain.ppm": b"P3 9 6 1023\n" + plain,
        "16 rgb.sgi": sgi + words,
        "16 rgb.tif": tiff(words),
        "12 rgb.jp2": bytes(deep),
    }


def tiff(samples: bytes) -> bytes:
    """RGB of 16 bits, 9 x 6, in one strip: big-endian, entries of (tag, type, count, value)."""
    short, long = 3, 4
    entries = [
        (256, short, 1, 9 << 16), (257, short, 1, 6 << 16), (258, short, 3, 8),
        (259, short, 1, 1 << 16), (262, short, 1, 2 << 16), (273, long, 1, 14),
        (277, short, 1, 3 << 16), (278, short, 1, 6 << 16), (279, long, 1, len(samples)),
    ]  # fmt: skip
    table = b"".join(struct.pack(">HHII", *entry) for entry in entries)
    start = 14 + len(samples)
    depths = struct.pack(">HHH", 16, 16, 16)
    return (
        struct.pack(">2sHI", b"MM", 42, start) + depths + samples
        + struct.pack(">H", len(entries)) + table + bytes(4)
    )  # fmt: skip


@pytest.mark.parametrize("name", list(deep_files()))
def test_more_bits_than_pillow_reads(tmp_path, name):
    """Colour of more than 8 bits, which Pillow would cut, is a UserError in every format."""
    (tmp_path / name).write_bytes(deep_files()[name])
    bits = name.split()[0]
    with pytest.raises(UserError, match=f"is RGBA? of {bits} bits, of which Pillow reads 8, must"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(("flags", "bits"), [(0x00, 8), (0x40, 10), (0x60, 12), (0x9F, 8)])
def test_bits_of_an_avif(tmp_path, flags, bits):
    """Asked of the file's configuration, which would have to fit the stream to be read on."""
    path = saved(tmp_path, Image.fromarray(RGB), "x.avif")
    with Image.open(path) as image:
        content = bytearray(path.read_bytes())
        content[content.index(b"av1C") + 6] = flags
        path.write_bytes(content)
        assert stored_bits(image, path) == bits


def test_a_warning_comes_with_a_picture_only(tmp_path):
    """Pillow's warning reaches the caller with a picture, and is not heard where reading fails."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0"  # five entries, and the end
    noise = RNG.integers(0, 256, (40, 50, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), "x.jpg", exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert read_picture(path).channels == 3
    path.write_bytes(path.read_bytes()[:-99])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=r"cannot be read: .*truncated"):
            read_picture(path)


def test_no_file(tmp_path):
    """A path that is no regular file is a UserError that says what it is."""
    with pytest.raises(UserError, match=r"picture .*/nowhere\.png is not there"):
        read_picture(tmp_path / "nowhere.png")
    with pytest.raises(UserError, match="is a folder, must be a file"):
        read_picture(tmp_path)
    with pytest.raises(UserError, match="is no regular file"):
        read_picture("/dev/null")
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        read_picture("x" * 5000)
    with pytest.raises(UserError, match="must be a name that a file can have"):
        read_picture("null\0byte.png")


@pytest.mark.parametrize("content", [b"", b"just text, no picture\n", bytes(1000)])
def test_no_picture(tmp_path, content):
    """A file of no picture format is a UserError."""
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.png is of no format that Pillow reads"):
        read_picture(tmp_path / "x.png")


@pytest.mark.filterwarnings("ignore:Tag data larger", "ignore:Corrupt EXIF data")
@pytest.mark.parametrize("end", ["png", "jpg", "bmp", "tif", "gif", "ppm", "webp", "jp2"])
def test_broken_files(tmp_path, end):
    """Cut short anywhere it is refused; with any byte wrong it is read or refused, no more."""
    noise = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    content = saved(tmp_path, Image.fromarray(noise), f"x.{end}").read_bytes()
    path = tmp_path / f"y.{end}"
    for length in np.linspace(1, len(content) * 0.9, 12).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"^picture"):
            read_picture(path)
    for at in [*range(0, 100, 3), *RNG.integers(0, len(content), 60)]:
        broken = bytearray(content)
        broken[min(at, len(content) - 1)] ^= 255
        path.write_bytes(broken)
        with contextlib.suppress(UserError):
            read_picture(path)


def test_a_bomb(tmp_path, monkeypatch):
    """A picture of more pixels than Pillow's limit is a UserError before it is unpacked."""
    (tmp_path / "x.png").write_bytes(png(8, 0, b"", width=60000, height=60000))
    with pytest.raises(UserError, match=r"x\.png has too many pixels, must have up to \d+,.*"):
        read_picture(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 53)
    path = saved(tmp_path, Image.fromarray(GREY), "y.png")  # 54 pixels: Pillow would only warn
    with pytest.raises(UserError, match="has too many pixels, must have up to 53"):
        read_picture(path)


# ------------------------------------------------------------------------------- pairs and tiles


def test_pairs():
    """Two pictures are a pair only with equal size, channels and depth."""

    def picture(name, shape, dtype=np.uint8):
        return Picture(name, np.zeros(shape, dtype))

    a = picture("a.png", (1, 6, 9))
    check_pair(a, picture("b.png", (1, 6, 9)))
    for other, message in (
        (picture("b.png", (1, 6, 8)), "a.png has 9 x 6 pixels and picture b.png 8 x 6"),
        (picture("b.png", (3, 6, 9)), "a.png has 1 channels and picture b.png 3"),
        (picture("b.png", (1, 6, 9), np.uint16), "a.png has 8 bits a sample and picture b.png 16"),
    ):
        with pytest.raises(UserError, match=f"reference {message}, must be equal"):
            check_pair(a, other)


def test_tiles():
    """Tiles are the picture's squares row by row, with the rest at right and bottom counted."""
    pixels = np.arange(2 * 7 * 10).reshape(2, 7, 10)
    cut = tiles(pixels, 3)
    assert (cut.rows, cut.columns, cut.right, cut.bottom) == (2, 3, 1, 1)
    assert cut.pixels.shape == (6, 2, 3, 3)
    for i, (row, column) in enumerate((r, c) for r in range(2) for c in range(3)):
        want = pixels[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        assert (cut.pixels[i] == want).all()
    assert tiles(pixels, 7).pixels.shape == (1, 2, 7, 7)
    for n in (0, 8):
        with pytest.raises(UserError, match=f"{n} pixels wide, must be 1 to 7 .* of 10 x 7"):
            tiles(pixels, n)
