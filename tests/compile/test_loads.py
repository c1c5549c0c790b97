"""Expected events where nothing is left to chance, and where it is, against enumeration."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.loads import Loads, Shares, some
from backspike.compile.predict import Densities
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Dense, Identity, Input, Network, Sequential
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF

ROOMY = replace(MACHINES["tiny"], name="roomy", units=1024, spike_units=1024, tasks=1024)


def chain(*sizes: int, bias: bool = False, machine=ROOMY, batch: int = 3, steps: int = 4) -> Plan:
    hidden = (layer for size in sizes[1:-1] for layer in (Dense(size, bias=bias), LIF()))
    graph = Sequential(Input(sizes[0]), *hidden, Dense(sizes[-1], bias=bias))
    return compile_graph(graph, steps, Learning(batch=batch), machine)


def events(plan: Plan, shares: Shares, engine: str, name: str) -> float:
    """Of all tasks; what ends an empty sum, no event, is left out."""
    numbers = list(plan.descriptors[engine].layers)
    begin, end = plan.programs["forward" if engine == "fp" else "update"][engine]
    tasks = [t for t in plan.queues[engine].tasks[begin:end] if numbers[t.layer] == name]
    loads = Loads(plan, shares)
    return sum(
        tile.events - tile.empty
        for task in tasks
        for each in loads.sums(engine, name, task.tile, None)
        for connection in each.tiles
        for tile in connection
    )


def test_everything_spikes():
    """With all densities 1 events are the product of entries, rows and tiles."""
    # 12 entries; tiles of 2: 3 and 4 of them
    for bias in (False, True):
        plan = chain(7, 5, 8, bias=bias)
        full = Densities(input=1, spikes=1, gradients=1).shares(plan.graph)
        found = [events(plan, full, "fp", name) for name in ("hidden1", "readout")]
        assert found == pytest.approx([12 * (7 + bias) * 3, 12 * (5 + bias) * 4])
        found = [events(plan, full, "wg", name) for name in ("hidden1", "readout")]
        assert found == pytest.approx([12 * (7 + bias) * 3, 12 * (5 + bias) * 4])
        assert events(plan, full, "bp", "hidden1") == pytest.approx(12 * 8 * 3)


def test_nothing_spikes():
    """With all densities 0 there is no event but the bias's."""
    for bias in (False, True):
        plan = chain(7, 5, 8, bias=bias)
        silent = Densities(input=0, spikes=0, gradients=0).shares(plan.graph)
        assert events(plan, silent, "fp", "hidden1") == pytest.approx(12 * bias * 3, abs=1e-9)
        assert events(plan, silent, "wg", "hidden1") == pytest.approx(0, abs=1e-9)


def test_densities_are_those_of_their_population():
    """Each engine's events follow the density of the population that it reads."""
    plan = chain(8, 4, 4, 2, batch=4)
    shares = Densities(input=0.5, spikes=0.25, gradients=0.5).shares(plan.graph)
    names = ("hidden1", "hidden2", "readout")
    assert [events(plan, shares, "fp", name) for name in names] == pytest.approx([128, 32, 16])
    assert [events(plan, shares, "bp", name) for name in names[:2]] == pytest.approx([64, 64])
    # Gradients of half the neurons are in 3 of 4 pairs of them; the read-out's are never zero.
    assert [events(plan, shares, "wg", name) for name in names] == pytest.approx([96, 24, 16])


def test_measured_shares_count_before_expected_ones():
    """Rows with gradients, tiles that need errors, and what meets in wg, are taken as given."""
    plan = chain(8, 4, 2, batch=4)
    given = Shares(
        spikes={"input": 0.5, "hidden1": 0.5},
        gradients={"hidden1": 0.5, "readout": 1.0},
        rows={"hidden1": 0.5},
        needed={"hidden1": 0.25},
        met={"readout": 0.125},
        updated={"readout": 0.5},
    )
    assert events(plan, given, "wg", "hidden1") == pytest.approx(16 * 8 * 0.5 * 2 * 0.5)
    assert events(plan, given, "bp", "hidden1") == pytest.approx(16 * 2 * 2 * 0.25)
    assert events(plan, given, "wg", "readout") == pytest.approx(16 * 4 * 0.125)
    (only,) = Loads(plan, given).sums("wg", "readout", 0, None)
    assert only.touched == 4 * 0.5


def test_a_diagonal_reads_its_own_tile_and_a_delay_not_the_first_step():
    """An identity has the events of one tile; spikes that are late miss the first step."""
    net = Network()
    x = net.input("x", 5)
    h = net.population("h", 5, LIF())
    net.connect(x, h, Identity(1.0))
    net.connect(h, h, delay=1)
    net.connect(h, net.readout("y", 3))
    plan = compile_graph(net.graph, 4, Learning(batch=3), ROOMY, every=True)
    loads = Loads(plan, Shares(spikes={"x": 1.0, "h": 1.0}))
    for tile, own in ((0, 2), (2, 1)):  # 5 neurons in tiles of 2
        first, second = (next(iter(loads.sums("fp", "h", tile, span))) for span in (0, 1))
        assert [sum(t.events for t in part) for part in first.tiles] == pytest.approx([3 * own, 1])
        assert [t.events for t in second.tiles[1]] == pytest.approx([6, 6, 3], rel=0.1)
        assert (first.opens, second.opens) == (True, False)


def test_the_last_set_is_partial():
    """Samples that are not there have no events, but the drain passes their entries."""
    plan = chain(4, 2, 2, batch=20, steps=1)
    assert (plan.cut.samples, plan.cut.sets) != (20, 1)
    full = Densities(input=1).shares(plan.graph)
    assert events(plan, full, "fp", "hidden1") == pytest.approx(20 * 4)


@pytest.mark.parametrize(("size", "lanes"), [(4, 2), (5, 2), (3, 8), (9, 8)])
def test_rows_by_enumeration(size, lanes):
    """The share of tiles in which a gradient is not zero: at density 1/2 every pattern is as
    likely, so the mean over all of them is expected."""
    patterns = np.array(list(itertools.product((0, 1), repeat=size)))
    padded = np.pad(patterns, ((0, 0), (0, -size % lanes)))
    count = int(padded.reshape(len(patterns), -1, lanes).any(2).sum())
    in_tiles = [min(lanes, size - n) for n in range(0, size, lanes)]
    assert sum(some(0.5, n) for n in in_tiles) == pytest.approx(count / len(patterns))
