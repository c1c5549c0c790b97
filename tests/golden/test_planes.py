"""Networks of planes: without rounding they are torch.autograd's, with rounding rationals'."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch

from backspike.golden import connections
from backspike.golden import graph as passes
from backspike.golden.arithmetic import Halves
from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity
from backspike.ir.graph import Connection, Graph
from backspike.ir.neuron import LIF, CubaLIF
from backspike.train.random_planes import random_planes
from tests.golden.test_exact import exactly
from tests.golden.test_graph import check_autograd, check_rational
from tests.support.weight_kinds import WEIGHTS


def kinds_of(graphs: list[Graph]) -> Counter[str]:
    """How often each geometry is there."""
    found: Counter[str] = Counter()
    for graph in graphs:
        for c in graph.connections:
            window = graph.windows.get(c.name)
            if not isinstance(c.kind, Conv2d) or window is None:
                found[type(c.kind).__name__] += 1
                continue
            rows, columns = window.source[1:]
            left_over = rows % window.pool[0] or columns % window.pool[1]
            found.update(
                {
                    "Conv2d": 1,
                    "stride": window.stride != (1, 1),
                    "padding": window.padding != (0, 0),
                    "sum": window.pool_size > 1 and not window.average,
                    "average": window.average,
                    "left over": bool(left_over),
                    "bias": window.bias,
                    "1x1": window.kernel == (1, 1) and window.pool_size == 1,
                    "delay": c.delay,
                    "itself": c.source == c.target,
                    "whole": window.pixels == (1, 1),
                    "one row": rows == 1 and columns > 1,
                }
            )
    return found


def test_what_is_drawn():
    """Every geometry, in numbers."""
    drawn = kinds_of([random_planes(np.random.default_rng(seed)) for seed in range(120)])
    assert min(drawn.values()) >= 15, drawn
    assert len(drawn) == 14


def test_without_rounding_random_planes_are_autograds():
    """Every geometry, neuron and rule, branches and circles, errors of every step."""
    learnt = sum(
        check_autograd(
            random_planes(np.random.default_rng(seed), thresholds=(1.0, 0.3)), seed, 3, 4
        )
        for seed in range(120)
    )
    assert learnt > 250


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
def test_with_rounding_random_planes_are_exact(kind):
    """Whole steps of small ones, up to weights that saturate; a third go on for two batches."""
    found = [
        check_rational(
            random_planes(np.random.default_rng(seed), 3, 2), kind, seed, 2, 3, 1 + (not seed % 3)
        )
        for seed in range(20)
    ]
    assert kind in ("ordinary", "tiny", "ties") or any(found)


def residual() -> Graph:
    """Two convolutions, a shortcut of 1x1 with stride, a skip, a circle, and an averaged plane."""
    net = Network()
    x = net.input("x", (2, 8, 8))
    h = net.population("h", (4, 8, 8), LIF(threshold=0.5))
    k = net.population("k", (6, 4, 4), CubaLIF(threshold=0.5))
    m = net.population("m", (6, 4, 4), LIF(threshold=0.5, reset="soft"))
    y = net.readout("y", 3)
    net.connect(x, h, Conv2d(4, 3, padding=1, bias=True))
    net.connect(h, k, Conv2d(6, 3, stride=2, padding=1))
    net.connect(x, k, Conv2d(6, 1, stride=2))
    net.connect(k, m, Conv2d(6, (3, 5), padding=(1, 2)))
    net.connect(k, m, Identity())
    net.connect(m, m, Conv2d(6, 3, padding=1), delay=1)
    net.connect(h, m, Conv2d(6, 3, padding=1, pool=2, average=True))
    net.connect(m, y, GlobalAverage(3, bias=True))
    net.connect(k, y, Dense())
    return net.graph


def test_a_residual_network_is_autograds():
    """All of its weights have gradients."""
    assert check_autograd(residual(), 1, 2, 5) == 8


def test_dense_on_planes_is_a_kernel_as_large_as_they():
    """Weights of (C, H, W) flattened, forward, back and in d."""
    weights, found = None, []
    for last in (Dense(5), Conv2d(5, (4, 3))):
        graph = Sequential(Input((2, 4, 3)), Conv2d(3, 3, padding=1), LIF(), last)
        g = torch.Generator().manual_seed(3)
        weights = weights or {n: torch.randn(s, generator=g) for n, s in graph.shapes.items()}
        found.append(one_step(graph, {n: w.double() for n, w in weights.items()}))
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[n], other[n]) and one[n].any() for n in one)


def one_step(graph: Graph, weights: dict[str, torch.Tensor]) -> tuple[dict, dict, dict]:
    """Logits, gradients and d of a batch, rounded."""
    a, g = Halves(), torch.Generator().manual_seed(4)
    weights = {n: a.round(w) for n, w in weights.items()}
    inputs = {"input": torch.randint(0, 2, (3, 4, graph.populations[0].size), generator=g).double()}
    activity = passes.forward(a, graph, weights, inputs)
    errors = {
        n: a.round(torch.randn(x.shape, generator=g).double()) for n, x in activity.logits.items()
    }
    back = passes.backward(a, graph, weights, activity, errors)
    return activity.logits, back, passes.weight_gradients(a, graph, (activity, back))


# ------------------------------------------------------- what is added up where a float64 ends


def one_connection(shape: tuple[int, ...], conv: Conv2d) -> tuple[Graph, Connection]:
    """A network of it alone."""
    graph = Sequential(Input(shape), conv)
    return graph, graph.connections[0]


def test_a_pool_of_many_pixels_is_exact():
    """2^14 of the largest weights and one smallest, forward; 2^14 times a gradient in d, which
    another one takes off again, so that the smallest is left."""
    graph, c = one_connection((2, 128, 128), Conv2d(1, 1, pool="all"))
    spikes = torch.zeros(1, 2, 128 * 128, dtype=torch.float64)
    spikes[0, 0], spikes[0, 1, 5] = 1, 1
    weights = torch.tensor([[65504.0], [2.0**-24]], dtype=torch.float64)
    terms = connections.current(Halves(), graph, c, weights, spikes.flatten(1))
    assert exactly(terms)[0, 0] == 2**14 * 65504 + Fraction(1, 2**24)

    three = torch.ones(3, 1, 2, 128 * 128, dtype=torch.float64)
    three[1] = 0
    three[1, ..., 5] = 1
    g = torch.tensor([65504.0, 2.0**-24, -65504.0], dtype=torch.float64).reshape(3, 1, 1)
    d = connections.weight_gradient(Halves(), graph, c, three.flatten(2), g)
    assert d.tolist() == [[2.0**-24], [2.0**-24]]


def test_errors_of_many_windows_are_exact():
    """24,200 products, whose sum has 54 bits, come to the pixel in the middle."""
    graph, c = one_connection((1, 11, 11), Conv2d(200, 11, padding=5))
    weights = torch.full((121, 200), 2.0**-5 - 2.0**-16, dtype=torch.float64)
    g = torch.full((1, 200, 11, 11), 65504.0, dtype=torch.float64)
    weights[60, 7], g[0, 7, 5, 5] = 2.0**-24, 2.0**-4  # the tap of the pixel itself
    terms = connections.errors(Halves(), graph, c, weights, g.flatten(1))
    assert len(terms) == 9
    want = (121 * 200 - 1) * 65504 * (Fraction(1, 2**5) - Fraction(1, 2**16)) + Fraction(1, 2**28)
    assert exactly(terms)[0, 60] == want


def test_the_error_of_an_average_is_exact():
    """Products of the smallest halves, of the 2^16 pixels of a plane: 2^-64, which breaks a tie."""
    graph, c = one_connection((1, 256, 256), GlobalAverage(2))
    weights = torch.tensor([[2.0**-24, 1.0]], dtype=torch.float64)
    g = torch.tensor([[2.0**-24, 2.0**-9]], dtype=torch.float64)
    terms = connections.errors(Halves(), graph, c, weights, g)
    assert set(exactly(terms)[0]) == {Fraction(1, 2**64) + Fraction(1, 2**25)}
    assert set(Halves().round(*terms).flatten().tolist()) == {2.0**-24}
    several = [*terms, torch.ones_like(terms[0]), -torch.ones_like(terms[0])]
    assert set(Halves().round(*several).flatten().tolist()) == {2.0**-24}


def test_the_largest_numbers_of_a_graded_input_are_exact():
    """255 of 2^10 pixels and of the largest weights, a smallest one, and a bias beside them."""
    net = Network()
    x = net.input("x", (2, 32, 32), bits=8, fraction=8)
    net.connect(x, net.readout("y", 1), Conv2d(1, 1, pool="all", bias=True))
    graph, c = net.graph, net.graph.connections[0]
    numbers = torch.zeros(1, 2, 32 * 32, dtype=torch.float64)
    numbers[0, 0], numbers[0, 1, 5] = 255, 1
    weights = torch.tensor([[65504.0], [2.0**-24], [-65504.0]], dtype=torch.float64)
    terms = connections.current(Halves(), graph, c, weights, numbers.flatten(1) * 2.0**-8)
    want = (255 * 2**10 - 2**8) * Fraction(65504, 2**8) + Fraction(1, 2**32)
    assert exactly(terms)[0, 0] == want

    some = torch.zeros(3, 1, 2, 32 * 32, dtype=torch.float64)
    some[0], some[2], some[1, ..., 5] = 255, 255, 1
    g = torch.tensor([65504.0, 2.0**-16, -65504.0], dtype=torch.float64).reshape(3, 1, 1)
    d = connections.weight_gradient(Halves(), graph, c, some.flatten(2) * 2.0**-8, g)
    assert d.tolist() == [[2.0**-24], [2.0**-24], [2.0**-16]]
