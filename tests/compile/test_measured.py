"""Shares of a batch's tensors, against loops over every step, sample and neuron."""

from dataclasses import replace

import numpy as np
import pytest

from backspike.compile.compiler import compile_graph
from backspike.compile.loads import Shares
from backspike.compile.measured import MeanShares, measured_shares, meetings, planes
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.builder import Dense, Input, Network, Sequential
from backspike.ir.connection import Conv2d
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.fuzz_graphs import roomy

TINY = MACHINES["tiny"]


def test_measured_shares_are_counted():
    """Shares of a recurrent net, against loops over every step, sample and neuron."""
    net = Network()
    h = net.population("h", 3, LIF(threshold=0.5, rule="mpd-ed"))
    net.connect(net.input("x", 4), h)
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 2))
    graph, learning = net.graph, Learning(batch=9)
    plan = compile_graph(graph, 3, learning, TINY, every=True)
    rng = np.random.default_rng(0)
    golden = GoldenBackend(graph, learning)
    golden.load_weights(
        {n: rng.normal(0, 1, s).astype(np.float16).view(np.uint16)
         for n, s in graph.shapes.items()}
    )  # fmt: skip
    inputs = {"x": rng.integers(0, 2, (9, 3, 4)).astype(np.uint8)}
    golden.forward(inputs)
    errors = {"y": (rng.random((9, 3, 2)) < 0.4).astype(np.uint16) * 0x3C00}
    golden.update(errors, 0)
    tensors = golden.forward_tensors() | golden.update_tensors()
    found = measured_shares(plan, inputs, errors, tensors)
    s, g = tensors["spikes.h"], tensors["gradients.h"] != 0
    assert found.spikes == {"x": inputs["x"].mean(), "h": s.mean()}
    assert found.gradients["h"] == g.mean()
    assert found.errors == {"y": np.mean(errors["y"] != 0)}
    # Tiles of 2 neurons: h has two, of which the second has one neuron.
    rows = np.stack([g[..., :2].any(-1), g[..., 2]], -1)
    assert found.rows["h"] == rows.mean()
    assert found.brought == {"h-h": s[:, :2].mean()}
    codes, nonzero = tensors["codes.h"], plan.descriptors["fp"].layers["h"]["nonzero"]
    lets = np.vectorize(lambda code: bool(nonzero >> code & 1))(codes) & (s != 0)
    tiles = np.stack([lets[..., :2].any(-1), lets[..., 2]], -1)
    assert found.needed["h"] == tiles.mean()
    late = [tiles[b, t, k] and g[b, t + 1, j]
            for b in range(9) for t in range(2) for k in range(2) for j in range(3)]  # fmt: skip
    assert 0 < found.passed["h-h"] == pytest.approx(np.mean(late))
    output = tensors["gradients.y"] != 0
    now = [tiles[b, t, k] and output[b, t, j]
           for b in range(9) for t in range(3) for k in range(2) for j in range(2)]  # fmt: skip
    assert 0 < found.passed["h-y"] == pytest.approx(np.mean(now)) != np.mean(output)
    met = [[[s[b, t - 1, k] and rows[b, t, j] for b in range(9) for t in (1, 2)]
            for j in range(2)] for k in range(3)]  # fmt: skip
    assert found.met["h-h"] == pytest.approx(np.mean(met))
    assert found.updated["h-h"] == np.any(met, axis=2).mean()


def test_shares_of_planes_are_those_of_pixels_and_of_taps():
    """Of a convolution, against loops over pairs of a target's pixel and a tap."""
    graph = Sequential(
        Input((3, 4, 3)), Conv2d(3, (2, 3), stride=(2, 1), padding=(1, 1)), LIF(), Dense(2)
    )
    learning = Learning(batch=3)
    plan = compile_graph(graph, 2, learning, roomy(TINY), every=True)
    rng = np.random.default_rng(0)
    inputs = {"input": (rng.random((3, 2, 36)) < 0.2).astype(np.uint8)}
    gradients = (rng.random((3, 2, 27)) < 0.1).astype(np.uint16) * 0x3C00
    tensors = {"gradients.hidden1": gradients, "gradients.readout": np.zeros((3, 2, 2), np.uint16),
               "spikes.hidden1": np.zeros((3, 2, 27), np.uint8)}  # fmt: skip
    assert plan.populations["hidden1"].plane == (3, 3)
    found = measured_shares(plan, inputs, {}, tensors)
    x, g = inputs["input"].reshape(3, 2, 3, 4, 3), gradients.reshape(3, 2, 3, 3, 3) != 0
    assert found.spikes["input"] == pytest.approx(x.mean((0, 1, 2)))
    assert found.gradients["hidden1"] == pytest.approx(g.mean((0, 1, 2)))
    # Tiles of 2 channels: hidden1 has two.
    rows = np.stack([g[:, :, :2].any(2), g[:, :, 2]], 2)
    assert found.rows["hidden1"] == pytest.approx(rows.mean())
    meetings, updated = [], np.zeros((2, 3, 3, 2), bool)
    for ky, kx, k, j, line, column in np.ndindex(2, 3, 3, 2, 3, 3):
        y, x_ = 2 * line - 1 + ky, column - 1 + kx
        if 0 <= y < 4 and 0 <= x_ < 3:
            meeting = (x[:, :, k, y, x_] & rows[:, :, j, line, column]).astype(bool)
            meetings.append(meeting.mean())
            updated[ky, kx, k, j] |= bool(meeting.any())
    assert 0 < found.met["hidden1"] == pytest.approx(np.mean(meetings))
    assert 0 < found.updated["hidden1"] == pytest.approx(updated.mean()) != 1


def test_pools_and_numbers_meet_pixel_by_pixel_and_bit_by_bit():
    """Every bit of every source of a cell meets the target's tile, against loops."""
    conv = Conv2d(3, (1, 2), stride=(1, 2), padding=(0, 1), pool=(2, 1))
    graph = Sequential(Input((2, 5, 4), bits=2, fraction=0), conv, LIF(), Dense(2))
    machine = replace(roomy(TINY), scale_up=1)
    plan = compile_graph(graph, 2, Learning(batch=3), machine, every=True)
    assert plan.populations["hidden1"].plane == (2, 3)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (3, 2, 2, 5, 4)).astype(np.uint8)
    rows = rng.random((3, 2, 2, 2, 3)) < 0.4
    connection = graph.into("hidden1")[0]
    found = meetings(plan, connection, planes(plan, "input", x.reshape(3, 2, 40)), rows)
    wanted = np.zeros((2, 2, 2), int)
    for line, column, tap, cell, bit in np.ndindex(2, 3, 2, 2, 2):
        at = 2 * column - 1 + tap
        if 0 <= at < 4:
            spikes = x[:, :, :, 2 * line + cell, at] >> bit & 1
            wanted[tap] += np.einsum("btk,btj->kj", spikes.astype(int), rows[..., line, column])
    assert wanted.min() > 0
    assert np.array_equal(found, wanted)


def test_shares_of_several_batches_are_weighed_by_samples():
    """The mean of numbers and of arrays; what only one batch had is that batch's."""
    mean = MeanShares()
    assert mean.shares() is None
    mean.add(Shares(spikes={"x": 0.5, "y": np.array([[0.0, 1.0]])}), 1)
    mean.add(Shares(spikes={"x": 0.1, "y": np.array([[1.0, 1.0]])}, met={"c": 0.2}), 3)
    found = mean.shares()
    assert found is not None
    assert found.spikes["x"] == pytest.approx(0.2)
    assert found.spikes["y"] == pytest.approx(np.array([[0.75, 1.0]]))
    assert found.met == {"c": pytest.approx(0.2)}
    assert not found.gradients
