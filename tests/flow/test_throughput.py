"""flow.throughput: cycles of the simulated RTL."""

import pytest

from backspike.compile.compiler import compile_graph
from backspike.flow import throughput as module
from backspike.flow.throughput import Throughput, fitting, throughput
from backspike.gen.machine import MACHINES
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.ir.errors import UserError
from backspike.train.digits_run import STEPS, learning, network


def test_the_network_of_a_machine():
    """A machine is measured with the largest of the networks that fit it."""
    assert fitting(MACHINES["default"]) == fitting(MACHINES["wide"]) == module.SIZES
    sizes = fitting(MACHINES["tiny"])
    assert sizes in module.SMALLER
    compile_graph(network("bptt", sizes), STEPS, learning(0), MACHINES["tiny"])
    larger = (module.SIZES, *module.SMALLER)[module.SMALLER.index(sizes)]
    with pytest.raises(UserError):
        compile_graph(network("bptt", larger), STEPS, learning(0), MACHINES["tiny"])


def test_a_machine_that_holds_none(monkeypatch):
    """A machine too small for every network is a UserError."""
    monkeypatch.setattr(module, "SMALLER", ())
    with pytest.raises(UserError, match="machine tiny holds no network"):
        fitting(MACHINES["tiny"])


def test_a_second():
    """A rate is the clock over the cycles of one."""
    assert Throughput("samples", 500, "").per_second(80) == 160_000


@pytest.mark.verilator
def test_training(monkeypatch):
    """Training the simulated core takes a plausible number of cycles, and says of what."""
    monkeypatch.setattr(module, "BATCHES", 3)
    monkeypatch.setattr(module, "SIZES", (64, 8, 10))
    found = throughput(MACHINES["tiny"])
    assert found.units == "samples"
    # Two batches of 16: each spike of 20 or so a step is an event of four row tiles at least.
    assert 200 < found.cycles < 4000
    assert found.how.startswith(
        f"training, 64-8-10, 4 steps, batch 16, bptt, digits: {found.cycles * 32:,.0f} cycles of "
        "tiny's simulated RTL for 32 samples"
    )


@pytest.mark.verilator
def test_a_pair_of_images():
    """A pair of images takes between 1 and 1.5 cycles for each pixel and pass."""
    found = throughput(SPECTRAL_MACHINES["spectral-32"])
    assert found.units == "pairs of images"
    assert 1 < found.cycles / (2 * 32 * 32) < 1.5
