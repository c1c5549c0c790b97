"""Samples a second: what PyTorch's loop is, and what is divided by what."""

import numpy as np
import pytest
import torch

from backspike.bench import samples
from backspike.bench.accuracy import chain
from backspike.flow.throughput import Throughput
from backspike.golden.half import to_bits
from backspike.golden.reference import Reference
from backspike.ir.errors import UserError
from backspike.train.encode import rate


def test_the_loop_trains_the_core_s_network(few):
    """Its weights after a batch are the reference's, from the same first ones."""
    spikes, labels = torch.from_numpy(rate(few.train.x, 4)).float(), torch.from_numpy(few.train.y)
    loop = samples.Loop(spikes, labels, 16)
    with torch.no_grad():
        for w in loop.weights:
            w.copy_(w.half().float())
    first = [to_bits(w.detach().double()) for w in loop.weights]
    graph = chain(64, 10, "bptt")
    bits = dict(zip(graph.shapes, first, strict=True))
    reference = Reference(graph, bits, lambda w: torch.optim.SGD(w, lr=samples.ETA))
    for n in range(2):
        assert loop.train(n) == 16
        part = slice(16 * n, 16 * n + 16)
        reference.train_batch(
            {"input": spikes[part]},
            lambda o, part=part: torch.nn.functional.cross_entropy(
                o["readout"][:, -1], labels[part], reduction="sum"
            ),
        )
    for mine, (name, theirs), w in zip(loop.weights, reference.weights.items(), first, strict=True):
        assert np.abs((mine - theirs).detach().numpy()).max() < 2.0**-16, name
        assert not np.array_equal(to_bits(mine.detach().double()), w)


def test_speed_is_of_the_quickest_round():
    """Samples of whole batches over time, on one thread."""
    threads = []

    def train(n: int) -> int:
        threads.append(torch.get_num_threads())
        return 10

    found = samples.measure({1: train}, rounds=2, seconds=0.01)
    assert set(threads) == {1}
    assert found[1] > 10 / 0.01


def test_the_clock_is_the_record_s(monkeypatch):
    """MHz of the kept build, or of the goal if there is none."""
    assert samples.clock()[0] == pytest.approx(samples.load("ulx3s-85f", "default").report.mhz)

    def none(board: str, machine: str) -> None:
        raise UserError("no baseline")

    monkeypatch.setattr(samples, "load", none)
    assert samples.clock() == (90.0, "a goal: no build of it is recorded")


def test_the_ratio_is_core_over_pytorch(monkeypatch, few):
    """Cycles and clock make the core's samples a second; at batch 16 PyTorch's are below it."""
    monkeypatch.setattr(samples, "clock", lambda: (80.0, "said so"))
    monkeypatch.setattr(samples, "throughput", lambda machine: Throughput("samples", 2000.0, "run"))
    monkeypatch.setattr(samples, "measure", lambda trains: dict.fromkeys(trains, 4000.0))
    ratio, large = samples.figures(few)
    assert (ratio.value, ratio.goal, ratio.met) == (10.0, ">= 10", True)
    assert (large.value, large.met) == (4000, None)
