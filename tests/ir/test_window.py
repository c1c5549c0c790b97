"""Windows: how many pixels they make, and connections that do not fit."""

import re
from itertools import product

import pytest

from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Kind
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import LIF
from backspike.ir.window import conv_window, dense_window


def test_dense_is_one_pixel():
    """Each source is a channel."""
    window = dense_window(7, 3, True)
    assert window.weights == (8, 3)
    assert (window.taps, window.pooled, window.overlap, window.pool_size) == (7, (1, 1), 1, 1)


def test_pixels_are_the_windows_that_fit():
    """Counted one by one, of every geometry of a row; so are the windows of a pixel."""
    seen = 0
    for n, k, s, p in product(range(1, 9), range(1, 6), range(1, 5), range(1, 4)):
        for padding in range(k):
            inner = n // p
            begins = range(-padding, inner + padding - k + 1, s)
            kind = Conv2d(None, (1, k), stride=(1, s), padding=(0, padding), pool=(1, p))
            if not begins or p > n:
                with pytest.raises(UserError):
                    conv_window("c", kind, (2, 1, n), 5)
                continue
            window = conv_window("c", kind, (2, 1, n), 5)
            assert window.pixels == (1, len(begins))
            assert window.weights == (2 * k, 5)
            assert window.pooled == (1, inner)
            reached = max(sum(b <= x < b + k for b in begins) for x in range(inner))
            assert reached <= window.overlap <= len(begins)
            seen += 1
    assert seen > 500


X, H = Population("x", (2, 5, 6), role="input"), Population("h", (4, 3, 3), LIF())
Y = Population("y", (3,), role="readout")


def graph(kind: Kind, last: Kind, h: Population = H, x: Population = X) -> Graph:
    """x -> h -> y."""
    return Graph(
        (x, h, Y),
        (
            Connection(name="a", source="x", target="h", kind=kind),
            Connection(name="b", source="h", target="y", kind=last),
        ),
    )


def test_a_graph_knows_its_windows():
    """Of one pixel the target may have planes, or none."""
    net = graph(Conv2d(None, 3, stride=2, padding=(1, 1)), Conv2d(None, 3, bias=True))
    assert net.windows["a"].pixels == (3, 3)
    assert net.windows["b"].pixels == (1, 1)
    assert net.shapes == {"a": (18, 4), "b": (37, 3)}
    planes = Population("h", (4, 1, 1), LIF())
    assert graph(Conv2d(None, (5, 6)), Dense(), planes).shapes == {"a": (60, 4), "b": (4, 3)}


@pytest.mark.parametrize(
    ("kind", "last", "message"),
    [
        (Conv2d(), Dense(), "connection a enters h of shape (4, 3, 3), must enter one of shape "
         "(4, 3, 4): so its windows fit x of shape (2, 5, 6)"),
        (Conv2d(None, (5, 6)), Dense(), "must enter one of shape (4,) or (4, 1, 1)"),
        (Conv2d(None, 9, padding=1), Dense(), "connection a from x has a kernel of 9x9, must have "
         "one up to 7x8: its source's planes and their padding"),
        (Conv2d(None, 3, pool=2), Dense(), "connection a from x has a kernel of 3x3, must have one "
         "up to 2x3: its source's planes after the pool and their padding"),
        (Conv2d(None, 1, pool=7), Dense(), "connection a from x pools 7x7 pixels, must pool up to "
         "5x6: its source's planes"),
        (Conv2d(None, 3, stride=2, padding=1), GlobalAverage(), "connection b from h averages over "
         "3x3 pixels, must be over a power of two: without average it sums them"),
        (Conv2d(None, 3, stride=2, padding=1), Conv2d(None, 2), "connection b enters y of shape "
         "(3,), must enter one of shape (3, 2, 2): so its windows fit h of shape (4, 3, 3)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(kind, last, message):
    """With populations, connection, and what would fit."""
    with pytest.raises(UserError, match=re.escape(message)):
        graph(kind, last)


def test_planes_and_numbers_of_weights():
    """A convolution leaves planes; random rounding has a number for each weight."""
    with pytest.raises(UserError, match=r"connection a from x leaves a population of shape \(9,\)"):
        graph(Conv2d(), Dense(), x=Population("x", (9,), role="input"))
    wide = Population("x", (1, 256, 257), role="input")
    with pytest.raises(UserError, match="a has weights of 65792 sources, must have up to 65536"):
        graph(Dense(), Dense(), x=wide)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 2, 0), (3, 1, 1), (3, 2, 1), (3, 2, 0), (4, 2, 3)]
)
def test_sources_are_the_taps_inside_on_average(kernel, stride, padding):
    """Counted one by one."""
    kind = Conv2d(None, (kernel, 2), stride=stride, padding=(padding, 0))
    window = conv_window("w", kind, (3, 5, 4), 2)
    ways = product(range(window.pixels[0]), range(kernel))
    inside = sum(0 <= y * stride - padding + dy < 5 for y, dy in ways)
    assert window.sources == pytest.approx(3 * 2 * inside / window.pixels[0])
