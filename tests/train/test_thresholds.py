"""train.thresholds: how thresholds move, and that they do so alike on golden and on the core."""

import functools

import numpy as np
import pytest
import torch

from backspike.drive.core_driver import CoreDriver
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Network
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import arctan, rectangle
from backspike.train.fuzz_graphs import roomy
from backspike.train.optimizers import SGD
from backspike.train.thresholds import AdaptiveThreshold, Rates
from backspike.train.trainer import Trainer

TINY = roomy(MACHINES["tiny"])
RNG = np.random.default_rng(0)
DATA = (RNG.random((20, 5, 6)) < 0.4).astype(np.uint8), RNG.integers(0, 3, 20)
SLOW = SGD(2.0**-5)
QUICK = AdaptiveThreshold(rate=0.2, speed=0.5, form="sum")


def network() -> Graph:
    """x -> h -> k -> y: mpd-ed with a high rectangle, and a table of many edges."""
    net = Network()
    x = net.input("x", 6)
    h = net.population("h", 7, LIF(rule="mpd-ed", surrogate=rectangle(2.0, 1.5)))
    k = net.population("k", 5, CubaLIF(rule="mpd-ed", surrogate=arctan(), reset="soft"))
    for source, target in ((x, h), (h, k), (k, net.readout("y", 3))):
        net.connect(source, target)
    return net.graph


def now(trainer: Trainer) -> dict[str, float]:
    """Thresholds of the hidden populations."""
    found = {p.name: p.neuron for p in trainer.graph.populations}
    return {name: neuron.threshold for name, neuron in found.items() if neuron is not None}


def trained(backend: str = "golden", optimizer=SLOW, epochs: int = 2) -> Trainer:
    """A closed trainer, after its epochs, of batches of 8."""
    how = {"optimizer": optimizer, "thresholds": QUICK, "batch": 8}
    with Trainer(network(), TINY, backend, **how) as trainer:
        trainer.fit(DATA, epochs)
        trainer.score(DATA)
    return trainer


def equal(a: Trainer, b: Trainer) -> bool:
    """Whether weights, thresholds and histories are."""
    same = all(np.array_equal(a.weights[name], w) for name, w in b.weights.items())
    return same and a.graph == b.graph and a.history == b.history


def test_a_threshold_moves_by_the_distance_of_the_rate():
    """Up where it spikes too much, and down where too little, to a half, and within bounds."""
    rule = AdaptiveThreshold(rate=0.25, speed=0.5, form="sum")
    assert rule.moved(1.0, 0.5) == 1.125
    assert rule.moved(1.0, 0.0) == 0.875
    assert rule.moved(1.0, 0.25 + 1 / 3) == np.float16(1.0 + 1 / 6)
    assert rule.moved(2.0, 0.5) == 2.0
    assert AdaptiveThreshold(speed=4.0, least=0.5, form="sum").moved(0.75, 0.0) == 0.5
    product = AdaptiveThreshold(rate=0.25, speed=0.5, form="product")
    assert product.moved(0.5, 0.5) == 0.75
    assert product.moved(1.0, 0.125) == 0.75


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 0.0}, "threshold rate is 0.0, must be more than 0 and less than 1"),
        ({"rate": 1.0}, "threshold rate is 1.0, must be more than 0 and less than 1"),
        ({"form": "log"}, "form of the threshold is 'log', must be sum or product"),
        ({"speed": 0.0}, "speed of the threshold is 0.0, must be a positive number"),
        ({"least": 0.0}, "least threshold is 0.0, must be a positive number"),
        ({"most": 1e6}, "most threshold is 1000000.0, must be a finite number within ±65504"),
        ({"least": 3.0}, "least threshold is 3.0, must be below 2.0, the most"),
    ],
)
def test_what_no_rule_is(given, message):
    """Each field is named, with what it is and must be; so is another object in a rule's place."""
    with pytest.raises(UserError, match=message):
        AdaptiveThreshold(**given)
    with pytest.raises(UserError, match="thresholds is 3, must be a AdaptiveThreshold"):
        Trainer(network(), thresholds=3)  # type: ignore[arg-type]


def test_rates_are_of_all_parts():
    """And of spikes alone; the next batch begins anew."""
    rates = Rates()
    for ones in (0, 3):
        spikes = np.zeros((2, 1, 3), np.uint8)
        spikes.reshape(-1)[:ones] = 1
        rates.add({"spikes.h": spikes, "codes.h": spikes + 1, "logits.y": spikes})
    assert rates.take() == {"h": 0.25}
    rates.add({"spikes.h": np.ones((1, 1, 3), np.uint8)})
    assert rates.take() == {"h": 1.0}


def test_rates_come_to_what_is_wanted():
    """Of both hidden populations, which begin elsewhere; a network as it was given stays."""
    graph = network()
    rule = AdaptiveThreshold(rate=0.3, speed=0.2, form="sum", least=2.0**-10)
    with Trainer(graph, thresholds=rule, batch=4) as trainer:
        before = trainer.record(DATA[0])
        trainer.fit(DATA, 40)
        after = trainer.record(DATA[0])
    for name, distance in (("h", 0.05), ("k", 0.25)):  # k gains on what is the last to move
        far, near = (abs(found[name]["spikes"].mean() - 0.3) for found in (before, after))
        assert near < distance < far
    assert {p.neuron.threshold for p in graph.populations if p.neuron} == {1.0}


def test_a_run_that_is_resumed_goes_on(tmp_path):
    """Its thresholds and their rule are in the checkpoint, whatever optimizer it has."""
    for optimizer in (SLOW, functools.partial(torch.optim.Adam, lr=2.0**-6)):
        whole = trained(optimizer=optimizer, epochs=3)
        trained(optimizer=optimizer, epochs=1).save(tmp_path / "run")
        with Trainer.load(tmp_path / "run") as trainer:
            assert trainer.thresholds == QUICK
            trainer.fit(DATA, 2)
        assert equal(trainer, whole)
        assert len(set(now(whole).values()) - {1.0}) == 2


@pytest.mark.verilator
@pytest.mark.parametrize("optimizer", [SLOW, functools.partial(torch.optim.Adam, lr=0.01)])
def test_the_rtl_adapts_as_golden(optimizer):
    """Every tensor compared on the way; on chip the next batch runs beside the update."""
    rtl = trained("rtl", optimizer)
    assert equal(rtl, trained("golden", optimizer))
    assert set(now(rtl).values()) != {1.0}


@pytest.mark.verilator
def test_parts_of_a_batch_adapt_as_the_whole():
    """A rate is of all samples: the same bits, on a machine that has room for some at a time."""
    data, how = tuple(np.concatenate([x] * 5) for x in DATA), {"thresholds": QUICK, "batch": 80}
    golden, rtl = (
        Trainer(network(), "tiny,momentum=1,parts=1", backend, optimizer=SGD(2.0**-8), **how)
        for backend in ("golden", "rtl")
    )
    for trainer in (golden, rtl):
        with trainer:
            trainer.fit(data, 2)
            assert trainer.plan is None or trainer.plan.learning.batch < 80
    assert equal(rtl, golden)
    assert set(now(rtl).values()) != {1.0}


@pytest.mark.verilator
def test_a_threshold_that_the_core_is_not_told_is_seen(monkeypatch):
    """A mismatch: the comparison is no matter of form."""
    monkeypatch.setattr(CoreDriver, "set_plan", lambda *_: None)
    with pytest.raises(Mismatch):
        trained("rtl")
