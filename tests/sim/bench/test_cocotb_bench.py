"""sim.bench.cocotb_bench: each coroutine's own result, of one simulation."""

import cocotb
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from cocotb.triggers import Timer

from backspike.sim.bench.cocotb_bench import simulate_bench
from tests.support.coroutines import cases


class Nine(wiring.Component):
    """Shows 9."""

    def __init__(self):
        super().__init__({"o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        clocked = Signal()
        m.d.sync += clocked.eq(1)
        m.d.comb += self.o.eq(9)
        return m


# cocotb


@cocotb.test()
@cocotb.parametrize(want=[9, 8])
async def shows(dut, want):
    """The output is as wanted: with 8 it fails, which is meant."""
    await Timer(1, "ns")
    assert dut.o.value.to_unsigned() == want


@cocotb.test()
async def rests(dut):
    """Nothing is wrong after one that failed."""
    await Timer(1, "ns")


# Outside


@pytest.mark.verilator
def test_a_coroutine_fails_alone():
    """The one that is wrong is told, with its own part of the log, and no other."""
    run = simulate_bench(Nine(), "nine_bench", __name__)
    assert run.passed == {"shows/want=9": True, "shows/want=8": False, "rests": True}
    run.check("shows/want=9")
    run.check("rests")
    with pytest.raises(AssertionError, match=r"^shows/want=8 failed on nine_bench:") as raised:
        run.check("shows/want=8")
    assert "assert 9 == 8" in str(raised.value)
    assert "rests (3/3)" not in str(raised.value)
    with pytest.raises(AssertionError, match=r"^sleeps did not run to its end on nine_bench"):
        run.check("sleeps")


def test_cases_are_those_that_cocotb_runs():
    """Every value of cocotb.parametrize is a case; a name takes its own alone."""
    assert [case.name for case in cases(__name__)] == ["shows/want=9", "shows/want=8", "rests"]
    assert [case.name for case in cases(__name__, "rests")] == ["rests"]
    with pytest.raises(AssertionError, match="has no coroutine"):
        cases(__name__, "sleeps")
