"""sim.build, sim.bulk and sim.cocotb_bench: simulations of a small design, built once."""
# pyright: reportAttributeAccessIssue=false
# (Amaranth makes the attributes of ports.)

import ctypes
import time

import cocotb
import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from backspike.gen.emit import emit
from backspike.ir.errors import UserError
from backspike.sim.bench.array_bench import Bulk, to_limbs
from backspike.sim.bench.cocotb_bench import bench_parameters, run_bench
from backspike.sim.verilator import build

WIDTHS = (1, 7, 8, 16, 17, 32, 33, 63, 64, 65, 81, 96, 97, 128, 130)


class Sample(wiring.Component):
    """A counter, a payload with two levels of names, and a register of every width."""

    def __init__(self):
        ports = {f"i{n}": In(n) for n in WIDTHS} | {f"o{n}": Out(n) for n in WIDTHS}
        nested = wiring.Signature({"data": Out(5)})
        super().__init__({**ports, "count": Out(8), "deep__port": Out(3), "nested": Out(nested)})

    def elaborate(self, platform):
        m = Module()
        for n in WIDTHS:
            kept = Signal(n, name=f"kept{n}", reset_less=True)
            m.d.sync += kept.eq(~getattr(self, f"i{n}"))
            m.d.comb += getattr(self, f"o{n}").eq(kept)
        count = Signal(8)
        m.d.sync += count.eq(count + 1)
        m.d.comb += [self.count.eq(count), self.nested.data.eq(count[:5])]
        return m


EXPORT = """
#include "VTop.h"
#include "answer.h"
extern "C" __attribute__((visibility("default"))) int answer() {
    VTop top;
    top.eval();
    return ANSWER + VM_TRACE;
}
"""


# Inside the simulation


@cocotb.test()
async def counts(dut):
    start = bench_parameters()["start"]
    dut.rst.value = 0
    dut.clk.value = 0
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for n in range(10):
        await RisingEdge(dut.clk)
        assert dut.count.value.to_unsigned() == start + n


@cocotb.test()
async def fails(dut):
    assert dut.count.value.to_unsigned() == 77


# Outside


@pytest.fixture
def new_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path))
    return tmp_path


def answer(path):
    return ctypes.CDLL(str(path)).answer()


def test_emission_repeats_itself_and_names_no_file():
    text = emit(Sample(), "sample")
    assert text == emit(Sample(), "sample")
    assert ".py" not in text
    assert "src" not in text
    assert "/" not in text.replace("/*", "").replace("*/", "").split("module", 1)[1]
    assert "nested__data" in text


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_port_named_as_its_module_is_refused():
    with pytest.raises(ValueError, match="module 'count' has a port of that name"):
        emit(Sample(), "count")


@pytest.mark.verilator
def test_a_library_is_built_once_for_its_content(tmp_path):
    text = emit(Sample(), "sample")
    source, header = tmp_path / "answer.cpp", tmp_path / "answer.h"
    source.write_text(EXPORT)

    def built(number, trace=False):
        header.write_text(f"#define ANSWER {number}\n")
        return build.verilate_library(text, "sample", [source], headers=[header], trace=trace)

    first = built(41)
    assert answer(first) == 41
    begin = time.perf_counter()
    assert built(41) == first
    assert time.perf_counter() - begin < 0.5  # no compiler was called
    other = built(42)
    assert other != first
    assert answer(other) == 42
    assert answer(built(42, trace=True)) == 43


@pytest.mark.verilator
def test_a_failing_build_quotes_the_log(new_cache):
    with pytest.raises(build.BuildError, match=r"(?s)verilator failed with exit code .*syntax"):
        build.verilate_library("module wrong(;", "wrong", [])
    assert [p for p in new_cache.iterdir() if p.is_dir()] == []


@pytest.mark.parametrize("missing", ["g++", "make", "perl"])
def test_a_missing_program_is_named(new_cache, monkeypatch, missing):
    found = build.shutil.which
    monkeypatch.setattr(build.shutil, "which", lambda p: None if p == missing else found(p))
    message = rf"{build.re.escape(missing)} is not found on PATH: .*apt install"
    with pytest.raises(UserError, match=message):
        build.verilate_library(emit(Sample(), "sample"), "sample", [])


@pytest.mark.verilator
def test_bulk_drives_ports_of_every_width():
    run = Bulk(Sample(), "sample_bulk")
    rng = np.random.default_rng(1)
    numbers = {n: [int.from_bytes(rng.bytes(17)) % (1 << n) for _ in range(300)] for n in WIDTHS}

    def as_array(values, n):
        limbs = to_limbs(values, n)
        return limbs if n > 64 else limbs[:, 0]

    # Ones above an input's width, as in a negative int64, must not get in.
    dirty = {
        n: as_array(numbers[n], n) | np.uint64(0 if n in (64,) or n > 64 else ~0 << n & 2**64 - 1)
        for n in WIDTHS
    }
    out = run(**{f"i{n}": dirty[n] for n in WIDTHS})
    for n in WIDTHS:
        want = as_array([~x for x in numbers[n]], n)
        assert np.array_equal(out[f"o{n}"][1:], want[:-1]), f"{n} bits"
    assert out["count"].tolist() == [n % 256 for n in range(300)]
    assert run(i1=np.zeros(1))["count"] == [300 % 256]  # state goes on
    assert run(rst=np.array([1, 0]))["count"].tolist() == [301 % 256, 0]


@pytest.mark.verilator
def test_bulk_refuses_what_does_not_fit():
    run = Bulk(Sample(), "sample_bulk")
    with pytest.raises(ValueError, match=r"inputs are \['j'\], must be of"):
        run(j=np.zeros(3))
    with pytest.raises(ValueError, match=r"inputs have \[2, 3\] rows"):
        run(i1=np.zeros(3), i7=np.zeros(2))
    with pytest.raises(ValueError, match=r"i65 has shape \(3,\), must have \(3, 2\)"):
        run(i65=np.zeros(3))


@pytest.mark.verilator
@pytest.mark.parametrize("public", [False, True])
def test_a_bench_runs_with_its_parameters(public):
    bench = {"testcase": "counts", "public": public}
    run_bench(Sample(), "sample_bench", __name__, parameters={"start": 0}, **bench)
    with pytest.raises(AssertionError, match="1 of 1 tests on sample_bench failed"):
        run_bench(Sample(), "sample_bench", __name__, parameters={"start": 1}, **bench)


@pytest.mark.verilator
def test_a_bench_that_fails_or_does_not_run_is_an_error():
    with pytest.raises(AssertionError, match=r"(?s)1 of 1 tests on sample_bench failed.*77"):
        run_bench(Sample(), "sample_bench", __name__, testcase="fails")
    with pytest.raises(AssertionError, match="no test ran on sample_bench"):
        run_bench(Sample(), "sample_bench", __name__, testcase="count")
