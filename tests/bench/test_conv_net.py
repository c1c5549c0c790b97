"""Figures of a network of convolutions, on a small one."""

import pytest

from backspike.bench import conv_net
from backspike.compile.compiler import compile_graph
from backspike.drive.comparison import Counts
from backspike.drive.machines import find_machine
from backspike.gen.machine import MACHINES
from backspike.train.digits_run import learning
from backspike.train.fuzz_graphs import roomy

TINY, SMALL = roomy(MACHINES["tiny"]), "1x8x8,3c3s4,10"


@pytest.mark.verilator
def test_overlap_and_golden_are_measured(few):
    """Two batches beside each other, compared; and golden's speed, of a batch."""
    counts = Counts()
    overlap, golden = conv_net.figures(few, counts, 3, (SMALL, SMALL), TINY)
    assert (counts.mismatches, counts.tensors > 0) == (0, True)
    assert overlap.value is not None
    assert 1 / 3 <= overlap.value <= 1
    assert "mean of 2 batches" in overlap.how
    assert golden.value is not None
    assert golden.value > 0


@pytest.mark.verilator
def test_an_epoch_is_timed_and_compared(few):
    """All batches that are full."""
    counts = Counts()
    (figure,) = conv_net.epoch(few, counts, None, SMALL, TINY)
    assert figure.value is not None
    assert 0 <= figure.value < 5
    assert f"{counts.values:,} values compared" in figure.how
    assert "6 batches of 16" in figure.how


def test_the_network_has_room_on_its_machine():
    """LAYERS on MACHINE; the deep one is golden's alone."""
    machine = find_machine(conv_net.MACHINE)
    plan = compile_graph(conv_net.network(conv_net.LAYERS), 4, learning(0), machine)
    assert all(use.fits for use in plan.uses)
