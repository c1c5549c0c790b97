"""Native tools from PATH: stand-ins that do as Yosys, nextpnr and icepack do."""

import json
from pathlib import Path

import pytest

from backspike.cli.main import main
from backspike.flow.build import build
from backspike.ir.errors import UserError
from backspike.system.tools import ToolFailed
from backspike.system.toolset import NATIVE
from tests.support.netlists import ICEBREAKER, cell, counters, module

LOG = """\
Info: Packing LUT-FFs..
Info:     at iteration #3, type ICESTORM_LC: wirelen solved = 10, spread = 42, legal = 46; time = 0s
Info:   at iteration #5: temp = 0.000000, timing cost = 22, wirelen = 45
Info:    IterCnt |  w/ripup   wo/ripup |  w/r  wo/r |      arcs| batch(sec) total(sec)|
Info:        232 |        1        177 |    1   177 |        54|       0.09       0.09|
Info:     iter=2 wires=100 overused=7 overuse=8 archfail=NA
"""
"""What nextpnr says of each of its stages (the routers are two, one a run)."""
SCRIPTS = {
    "yosys": """\
if [ "$1" = -V ]; then echo "Yosys 9.{version} (git sha1 0)"; exit; fi
echo yosys >> {folder}/ran
echo "2.31. Executing ABC pass."
cp {folder}/made.json netlist.json
""",
    "nextpnr-ice40": """\
if [ "$1" = --version ]; then echo "nextpnr-ice40 -- Next (Version 8.{version})" >&2; exit; fi
echo "nextpnr $*" >> {folder}/ran
cp {folder}/report.json report.json
cat {folder}/log >&2
echo placed > top.asc
""",
    "icepack": """\
echo icepack >> {folder}/ran
cp $1 $2
""",
}


def install(folder: Path, version: int = 1) -> None:
    """Put the stand-ins into folder/bin."""
    (folder / "bin").mkdir(exist_ok=True)
    for name, script in SCRIPTS.items():
        path = folder / "bin" / name
        path.write_text("#!/bin/sh\n" + script.format(folder=folder, version=version))
        path.chmod(0o755)


@pytest.fixture
def native(tmp_path, monkeypatch) -> Path:
    """A folder with stand-ins on PATH, and a list of what has run: `ran`."""
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    install(tmp_path)
    cells = {f"${n}": cell("SB_LUT4", I0=n, O=n + 1) for n in range(20)}
    (tmp_path / "made.json").write_text(json.dumps({"modules": {"top": module(cells)}}))
    kinds = ("ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_DSP")
    taken = {kind: {"used": 20, "available": 30} for kind in kinds}
    clocks = {"clk": {"achieved": 50.0, "constraint": 18.0}}
    (tmp_path / "report.json").write_text(json.dumps({"utilization": taken, "fmax": clocks}))
    (tmp_path / "log").write_text(LOG)
    (tmp_path / "ran").write_text("")
    return tmp_path


def ran(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "ran").read_text().splitlines()]


def test_a_bitstream_and_its_progress(native):
    """All of nextpnr's stages are told, with the seed and how many there are; the report names the
    tools, their versions and that they are native.
    """
    lines = []
    built = build(ICEBREAKER, counters(ICEBREAKER), (4, 5), lines.append, tools=NATIVE)
    assert built.bitstream == b"placed\n"
    assert {name: built.report.tools[name] for name in ("yosys", "nextpnr-ice40")} == {
        "yosys": "9.1 (native)",
        "nextpnr-ice40": "8.1 (native)",
    }
    assert ran(native) == ["yosys", "nextpnr", "nextpnr", "nextpnr", "icepack"]
    assert "synthesis: Yosys, pass 2.31, ABC, 0:00" in lines
    seed = "place and route, seed 5 (2 of 2): "
    assert [line.removeprefix(seed) for line in lines if line.startswith(seed)][:-1] == [
        "packing, LUT-FFs, 0:00",
        "placing, iteration 3, wire length 46, 0:00",
        "refining the placement, iteration 5, wire length 45, 0:00",
        "routing, 54 connections left, 0:00",
    ]


def test_another_version_builds_anew(native):
    """What was built is kept for the tools that built it."""
    for version, count in ((1, 4), (1, 6), (2, 10)):  # packing, and what the part has, are not kept
        install(native, version)
        assert build(ICEBREAKER, counters(ICEBREAKER), (1,), tools=NATIVE).bitstream
        assert len(ran(native)) == count


@pytest.mark.parametrize("missing", SCRIPTS)
def test_a_missing_tool_is_named_before_anything_is_run(native, missing, monkeypatch):
    """A native tool that is missing is a UserError that names it, and no other tool runs."""
    (native / "bin" / missing).unlink()
    monkeypatch.setenv("PATH", str(native / "bin"))
    with pytest.raises(UserError, match=f"^{missing} is not found on PATH: --tools native takes "):
        build(ICEBREAKER, counters(ICEBREAKER), (1,), tools=NATIVE)
    assert ran(native) == []


def test_a_tool_that_fails(native):
    """One sentence with the cause and the log's path."""
    (native / "bin" / "yosys").write_text("#!/bin/sh\necho ERROR: no; exit 3\n")
    with pytest.raises(ToolFailed, match=r"^yosys failed with exit code 3: ERROR: no; its "):
        build(ICEBREAKER, counters(ICEBREAKER), (1,), tools=NATIVE)


def test_the_command(native, capsys, monkeypatch):
    """`--tools` is one of two; a missing tool is exit code 2."""
    line = "build --board icebreaker --machine tiny --tools"
    assert main([*line.split(), "best"]) == 2
    assert capsys.readouterr().err == "backspike: tools is 'best', must be wasm or native\n"
    monkeypatch.setenv("PATH", "")
    assert main([*line.split(), "native"]) == 2
    assert capsys.readouterr().err.startswith("backspike: yosys is not found on PATH: ")
