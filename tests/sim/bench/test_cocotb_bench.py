"""sim.bench.cocotb_bench: coroutines on a small design, each with its own result."""

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from backspike.sim.bench.cocotb_bench import bench_parameters, run_bench, simulate_bench
from tests.support.coroutines import cases
from tests.support.sample import Sample

# cocotb


@cocotb.test()
@cocotb.parametrize(want=[0, 77])
async def starts(dut, want):
    """The counter starts as wanted: with 77 this fails, which is meant."""
    await Timer(1, "ns")
    assert dut.count.value.to_unsigned() == want


@cocotb.test()
async def rests(dut):
    """Nothing is wrong after one that failed."""
    await Timer(1, "ns")


@cocotb.test()
async def counts(dut):
    """The counter is at its start, given as parameter, and counts every cycle."""
    start = bench_parameters()["start"]
    dut.rst.value = 0
    dut.clk.value = 0
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for n in range(10):
        await RisingEdge(dut.clk)
        assert dut.count.value.to_unsigned() == start + n


# Outside


@pytest.mark.verilator
@pytest.mark.parametrize("public", [False, True])
def test_a_bench_runs_with_its_parameters(public):
    """A cocotb bench gets its parameters, and fails with the wrong ones."""

    def run(start: int) -> None:
        given = {"parameters": {"start": start}, "public": public}
        run_bench(Sample(), "sample_bench", __name__, testcase="counts", **given)

    run(0)
    with pytest.raises(AssertionError, match="1 of 1 tests on sample_bench failed"):
        run(1)


@pytest.mark.verilator
def test_a_bench_that_fails_or_does_not_run_is_an_error():
    """A failing coroutine, and a name that no coroutine has, are AssertionErrors."""
    with pytest.raises(AssertionError, match=r"(?s)1 of 3 tests on sample_bench failed.*77"):
        run_bench(Sample(), "sample_bench", __name__, testcase=["starts", "rests"])
    with pytest.raises(AssertionError, match="no test ran on sample_bench"):
        run_bench(Sample(), "sample_bench", __name__, testcase="count")


@pytest.mark.verilator
def test_a_coroutine_fails_alone():
    """The one that is wrong is told, with its own part of the log, and no other."""
    run = simulate_bench(Sample(), "sample_bench", __name__, testcase=["starts", "rests"])
    assert run.passed == {"starts/want=0": True, "starts/want=77": False, "rests": True}
    run.check("starts/want=0")
    run.check("rests")
    with pytest.raises(AssertionError, match=r"^starts/want=77 failed on sample_bench:") as raised:
        run.check("starts/want=77")
    assert "assert 0 == 77" in str(raised.value)
    assert "rests (3/3)" not in str(raised.value)
    with pytest.raises(AssertionError, match=r"^sleeps did not run to its end on sample_bench"):
        run.check("sleeps")


def test_cases_are_those_that_cocotb_runs():
    """Every value of cocotb.parametrize is a case; a name takes its own alone."""
    names = ["starts/want=0", "starts/want=77", "rests", "counts"]
    assert [case.name for case in cases(__name__)] == names
    assert [case.name for case in cases(__name__, "rests")] == ["rests"]
    with pytest.raises(AssertionError, match="has no coroutine"):
        cases(__name__, "sleeps")
