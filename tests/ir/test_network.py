"""Networks: presets of the surrogate, shapes, and what is refused."""

import math

import pytest

from backspike.ir.checks import instance, nearest_half
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.surrogate import (
    CODES,
    SURROGATES,
    Surrogate,
    arctan,
    fast_sigmoid,
    rectangle,
    triangle,
)


def h(surrogate: Surrogate, x: float) -> float:
    return surrogate.values[sum(e <= x for e in surrogate.edges)]


def test_rectangle_is_closed_below_and_open_above():
    """h at, beside and between the edges."""
    assert [h(rectangle(2.0), x) for x in (-1.01, -1.0, 0.0, 0.99, 1.0)] == [0, 0.5, 0.5, 0.5, 0]
    assert h(rectangle(0.5), 0.2) == 2.0


@pytest.mark.parametrize(
    ("surrogate", "function", "reach"),
    [
        (triangle(1.0), lambda x: max(0.0, 1 - abs(x)), 1.0),
        (triangle(2.0), lambda x: max(0.0, 1 - abs(x) / 2) / 2, 2.0),
        (arctan(2.0), lambda x: 1 / (1 + (math.pi * x) ** 2), 2.0),
        (arctan(1.0), lambda x: 0.5 / (1 + (math.pi / 2 * x) ** 2), 2.0),
        (fast_sigmoid(5.0), lambda x: 1 / (1 + 5 * abs(x)) ** 2, 2.0),
    ],
)
def test_tables_sample_their_function_in_the_middle_of_each_bin(surrogate, function, reach):
    """14 bins within reach, and 0 outside."""
    assert len(surrogate.edges) == 15
    width = 2 * reach / 14
    for i in range(14):
        middle = -reach + (i + 0.5) * width
        # A half's rounding error is 2^-11 of its value.
        assert h(surrogate, middle) == pytest.approx(function(middle), rel=2.0**-11)
    assert h(surrogate, -reach - 1e-9) == h(surrogate, reach + 1e-9) == 0


@pytest.mark.parametrize("name", sorted(SURROGATES))
def test_presets_are_named_and_even(name):
    """Each has its own name, fits the codes, and mirrors at 0."""
    surrogate = SURROGATES[name]()
    assert surrogate.name == name
    assert len(surrogate.values) <= CODES
    assert surrogate.values == surrogate.values[::-1]


def test_shapes_count_the_bias():
    """As the last row of a layer's weights."""
    network = Network(
        inputs=7, layers=(Layer(size=5, bias=True), Layer(size=4), Layer(size=3, bias=True)),
        steps=2,
    )  # fmt: skip
    assert network.sizes == (7, 5, 4, 3)
    assert network.shapes == ((8, 5), (5, 4), (5, 3))


def test_numbers_become_halves():
    """λ, θ, η, α and a table's values: the nearest half, zero as +0."""
    assert Layer(size=1, leak=0.3).leak == 0.300048828125
    assert math.copysign(1, Layer(size=1, threshold=-0.0).threshold) == 1
    learning = Learning(rate=0.1, alpha=1 / 3)
    assert (learning.rate, learning.alpha) == (0.0999755859375, 0.333251953125)
    assert nearest_half("x", 65519.9) == 65504
    assert math.copysign(1, Surrogate("x", (0.0,), (-0.0, 1.0)).values[0]) == 1


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Layer(size=0), "a layer's size is 0, must be a whole number from 1 up"),
        (lambda: Layer(size=2.5), "a layer's size is 2.5, must be a whole number"),  # type: ignore
        (lambda: Layer(size=1, leak=1.1), r"leak is 1.1, must be from 0 to 1"),
        (lambda: Layer(size=1, leak=-0.1), r"leak is -0.1, must be from 0 to 1"),
        (lambda: Layer(size=1, leak=NAN), "leak is nan, must be a finite number within ±65504"),
        (lambda: Layer(size=1, threshold=NAN), "threshold is nan, must be a finite number"),
        (lambda: Layer(size=1, threshold=INF), "threshold is inf, must be a finite number"),
        (lambda: Layer(size=1, threshold=65520.0), "threshold is 65520.0, must be a finite number"),
        (lambda: Layer(size=1, threshold="a"), "threshold is 'a', must be a finite number"),  # type: ignore
        (lambda: Layer(size=1, reset="none"), "reset is 'none', must be hard or soft"),  # type: ignore
        (lambda: Layer(size=1, rule="x"), "rule is 'x', must be bptt or mpd-ed"),  # type: ignore
        (
            lambda: Network(inputs=0, layers=(Layer(size=1),), steps=1),
            "inputs is 0, must be",
        ),
        (
            lambda: Network(inputs=1, layers=(), steps=1),
            "a network has no layers, must have 1",
        ),
        (
            lambda: Network(inputs=1, layers=(Layer(size=1),), steps=0),
            "steps is 0, must be",
        ),
        (lambda: Learning(batch=0), "batch is 0, must be a whole number from 1 up"),
        (lambda: Learning(loss="l1"), "loss is 'l1', must be ce or mse"),  # type: ignore
        (lambda: Learning(rounding="up"), "rounding is 'up', must be nearest or"),  # type: ignore
        (lambda: Learning(seed=-1), r"seed is -1, must be a whole number from 0 to 2\^32 - 1"),
        (lambda: Learning(seed=2**32), "seed is 4294967296, must be a whole number from 0 to"),
        (lambda: Learning(seed=True), "seed is True, must be a whole number from 0 to"),
        (lambda: Learning(rate=0.0), r"rate is .*, must be 2\^-24"),
        (lambda: Learning(rate=1e-9), r"rate is .*, must be 2\^-24"),
        (lambda: Learning(rate=NAN), "rate is nan, must be a finite number"),
        (lambda: Learning(alpha=INF), "alpha is inf, must be a finite number"),
        (lambda: rectangle(0.0), "rectangle's width is 0.0, must be a positive number"),
        (lambda: rectangle(1e-5), "rectangle's width is 1e-05, must be 1/65504 or more"),
        (lambda: triangle(0), "triangle's width is 0, must be a positive number"),
        (lambda: arctan(NAN), "arctan's alpha is nan, must be a positive number"),
        (lambda: fast_sigmoid(-1), "fast-sigmoid's slope is -1, must be a positive number"),
        (
            lambda: Surrogate("x", (), (0.0,)),
            "'x' has 0 edges and 1 values, must have 1 to",
        ),
        (lambda: Surrogate("x", (0.0,), (0.0,)), "'x' has 1 edges and 1 values"),
        (
            lambda: Surrogate("x", (1.0, 1.0), (0.0,) * 3),
            r"the edges \(1.0, 1.0\), must have",
        ),
        (
            lambda: Surrogate("x", (NAN,), (0.0,) * 2),
            r"edges \(nan,\), must have finite",
        ),
        (lambda: Surrogate("x", (0.0,), (0.0, 0.1)), "'x' has the value 0.1, must have FP16"),
        (
            lambda: Surrogate("x", (0.0,), (0.0, INF)),
            "a value of surrogate 'x' is inf, must",
        ),
        (lambda: Surrogate("x", tuple(map(float, range(16))), (0.0,) * 17), "'x' has 16 edges"),
    ],
)
def test_what_is_refused(make, message):
    """The error says what is wrong and what is allowed."""
    with pytest.raises(UserError, match=message):
        make()


def test_kinds():
    """An object of another class."""
    instance("network", Network(inputs=1, layers=(Layer(size=1),), steps=1), Network)
    with pytest.raises(UserError, match="network is 3, must be a Network"):
        instance("network", 3, Network)
