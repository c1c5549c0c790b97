"""flow.build: small designs through all tools, to a bitstream or to why there is none."""

import contextlib
import time
from dataclasses import replace

import pytest

from backspike.flow import build as flow
from backspike.flow.build import build
from backspike.flow.toolchain.place import PLACES, Placement, place
from backspike.flow.toolchain.synthesis import synthesise
from backspike.ir.errors import UserError
from backspike.system.tools import ToolFailed
from backspike.system.toolset import NATIVE, NEXTPNR, WASM, YOSYS, Toolset
from tests.support.netlists import ICEBREAKER, MEMORY, TANG, ULX3S, counters, design


def runs() -> list:
    """Boards with each set of tools that is installed here. (tests/flow/test_native.py has tools of
    its own, so native ones are tried everywhere.)
    """
    found = [(board, WASM) for board in (ULX3S, ICEBREAKER, TANG)]
    for board in (ULX3S, ICEBREAKER, TANG):
        with contextlib.suppress(UserError):
            NATIVE.check(board.family)
            found.append((board, NATIVE))
    return [pytest.param(*each, id=f"{each[0].family}-{each[1].name}") for each in found]


@pytest.mark.parametrize(("board", "toolset"), runs())
def test_a_bitstream(board, toolset):
    """Two counters, from Verilog to a bitstream, and a report of what they take."""
    lines = []
    built = build(board, counters(board), (3,), lines.append, tools=toolset)
    report = built.report
    assert report.problem is None
    assert report.bitstream == f"{board.name}-counters{flow.FAMILIES[board.family].bitstream[3:]}"
    assert built.bitstream is not None
    assert len(built.bitstream) > 10_000
    assert (report.seed, [each.seed for each in report.placements]) == (3, [3])
    assert report.placements[0].met
    assert report.placements[0].mhz > report.clock
    assert (report.area.ffs, report.area.memories, report.area.dsps) == (16, 0, 0)
    assert 16 <= report.area.lut4 <= 20
    used = {each.name: each for each in report.resources}
    assert used["LUT4"].used >= 16
    assert used["LUT4"].available == board.capacity.lut4
    assert used["memory blocks"].available == board.capacity.memories
    assert used["DSP"].available == board.capacity.dsps
    assert report.components[0].area == report.area
    assert used["FF"].used == 16
    assert used["FF"].available == board.capacity.ffs
    if board.family == "gowin":  # 16 flip-flops behind the ALU that feed them, and a light
        assert 16 <= used[PLACES].used <= 20
        assert used[PLACES].available == board.capacity.lut4
    else:
        assert PLACES not in used
    family = {"gowin": {"apycula"}}.get(board.family, set())
    named = {toolset.program(tool) for tool in (YOSYS, NEXTPNR[board.family])}
    assert set(report.tools) == named | {"amaranth"} | family
    assert all(report.tools[tool].endswith(f" ({toolset.name})") for tool in named)
    assert [line for line in lines if "seed 3" in line]


def test_a_placement_is_made_once(monkeypatch):
    """A placement is made again only when seed, clock or pins change."""
    made = counters(ULX3S)
    netlist = synthesise(made.files["top.v"], "ecp5").path
    pins = {"top.lpf": made.files["top.lpf"]}
    first = place(ULX3S, 3, netlist, pins)
    ran = []

    def fails(self, tool, *arguments, **_):
        ran.append(tool)
        raise ToolFailed(tool)

    monkeypatch.setattr(Toolset, "run", fails)
    assert place(ULX3S, 3, netlist, pins) == first
    assert not ran
    others = ((ULX3S, 4, ""), (replace(ULX3S, clock=60_000_000), 3, ""), (ULX3S, 3, "#"))
    for board, seed, text in others:
        with pytest.raises(ToolFailed):
            place(board, seed, netlist, {"top.lpf": pins["top.lpf"] + text})
    assert ran == [NEXTPNR["ecp5"]] * len(others)


def test_the_fastest_of_the_seeds_that_are_fast_enough(monkeypatch):
    """The bitstream is that of the report's seed, and the report's order that of the seeds."""
    found = {1: (40.0, False), 2: (90.0, True), 3: (80.0, True), 4: (95.0, False)}
    monkeypatch.setattr(flow, "resources", lambda *_: ())

    def place(board, seed, *_):
        time.sleep(0.4 / seed)
        return Placement(seed, *found[seed]), f"seed {seed}"

    monkeypatch.setattr(flow, "place", place)
    monkeypatch.setattr(flow, "pack", lambda _, placed, tools: placed.encode())
    for jobs in (1, 4):
        built = build(ULX3S, counters(ULX3S), tuple(found), jobs=jobs)
        assert (built.report.seed, built.bitstream) == (2, b"seed 2")
        assert [each.mhz for each in built.report.placements] == [40, 90, 80, 95]
        assert built.report.mhz == 85


def test_too_slow():
    """A design slower than its clock has no bitstream and a sentence with the best clock."""
    board = replace(ULX3S, clock=400_000_000)
    built = build(board, counters(board, bits=32), (1, 2))
    report = built.report
    best = max(each.mhz for each in report.placements)
    assert built.bitstream is None
    assert report.bitstream is None
    assert report.rate is None
    assert report.problem == (
        f"machine 'counters' is too slow on ulx3s-25f: {best:.1f} MHz at best with 2 seeds, and "
        "its clock is 400 MHz"
    )
    assert best < 400


def test_too_large():
    """A design with too many memories is not placed, and the report says how many it needs."""
    built = build(ICEBREAKER, design(ICEBREAKER, "large", MEMORY), (1,))
    report = built.report
    assert not report.fits
    assert built.bitstream is None
    assert not report.placements
    assert report.area.memories == 64
    assert report.problem == (
        "machine 'large' does not fit icebreaker (iCE40UP5K): it needs 64 memory blocks of 30"
    )


def test_no_way(monkeypatch):
    """A seed that cannot be routed ends the build with the tool's error, without its advice."""

    def place(board, seed, *_):
        if seed == 7:
            raise ToolFailed("nextpnr failed", cause="ERROR: No place for a cell. Use `--this`.")
        return Placement(seed, 90.0, True), None

    monkeypatch.setattr(flow, "place", place)
    built = build(ULX3S, counters(ULX3S), (6, 7))
    report = built.report
    assert built.bitstream is None
    assert [each.seed for each in report.placements] == [6]
    assert report.problem is not None
    assert report.problem.startswith(
        "machine 'counters' cannot be placed and routed on ulx3s-25f (LFE5U-25F) with seed 7: it "
        "takes 0% of LUT4, 0% of FF"
    )
    assert report.problem.endswith("; No place for a cell")


def test_a_wrong_text():
    """Verilog with a syntax error is a ToolFailed that quotes it."""
    with pytest.raises(ToolFailed, match="syntax error"):
        build(ULX3S, design(ULX3S, "wrong", "module top(; endmodule\n"), (1,))
