"""Random graphs: RTL = golden on every bit, on three machines; every feature is among them."""

import collections

import numpy as np
import pytest

from backspike.drive.machines import find_machine
from backspike.gen.machine import DEPTH, MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.neuron import CubaLIF
from backspike.system.program import run_program
from backspike.train import fuzz_graphs
from backspike.train.fuzz_graphs import Case, draw_case, main, own_errors, roomy, run_case
from backspike.train.fuzz_training import HALVES

RUNS = {"tiny": 60, "four": 15, "default": 15}
"""Of each machine."""
CHUNK = 5


def drawn(name: str, seed: int) -> Case:
    return draw_case(roomy(MACHINES[name]), seed)


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("name", "first"),
    [(name, first) for name, runs in RUNS.items() for first in range(0, runs, CHUNK)],
)
def test_random_graphs(name, first):
    """They train in the RTL as in golden."""
    values = sum(run_case(drawn(name, seed))[0].values for seed in range(first, first + CHUNK))
    assert values > 5000


def features(case: Case) -> set:
    """What a case has, of all that a graph and a run can have."""
    plan = case.plan
    graph, learning, cut = plan.graph, plan.learning, plan.cut
    populations = [p for p in graph.populations if p.role != "input"]
    looped = {
        name: {task.layer for task in plan.queues[name].tasks if task.step} for name in ("fp", "bp")
    }
    found = {
        ("batch", min(learning.batch, 2)),
        ("rounding", learning.rounding),
        ("updates", learning.updates),
        ("momentum", learning.momentum > 0),
        ("parts", any(case.more)),
        ("parts of momentum", any(case.more) and learning.momentum > 0),
        ("gradients in others' place", any(at.after for at in plan.populations.values())),
        ("stateful", plan.stateful),
        ("errors", "every" if plan.every else learning.loss),
        ("errors of labels", len(own_errors(plan))),
        ("weights", case.weights),
        ("inputs", sum(p.role == "input" for p in graph.populations)),
        ("read-outs", sum(p.role == "readout" for p in graph.populations)),
        ("branch", any(len(graph.out_of(p.name)) > 1 for p in graph.populations)),
        ("join", any(len(graph.into(p.name)) > 1 for p in populations)),
        ("several tiles", any(at.tiles > 1 for at in plan.populations.values())),
        ("sets", min(cut.sets, 2)),
        ("spans", min(cut.spans, 3)),
        ("loop of", min(len(looped["fp"]), 3)),
        ("loop back of", min(len(looped["bp"]), 3)),
        ("T", 1 if plan.steps == 1 else "> 32" if plan.steps > 32 else "> 16"
         if plan.steps > DEPTH else "some"),
        ("stateful and delayed", plan.stateful and any(c.delay for c in graph.connections)),
        ("some learn", 0 < len(graph.learning) < len(populations)),
    }  # fmt: skip
    for p in populations:
        found.add(("readout spikes" if p.role == "readout" else "hidden", p.spikes))
        if p.neuron is not None:
            found |= {
                ("neuron", type(p.neuron) is CubaLIF),
                ("leak", min(p.neuron.leak, 1.0) == 1.0),
                ("reset", p.neuron.reset),
                ("rule", p.neuron.rule),
                ("temporal", p.neuron.temporal),
                ("surrogate", p.neuron.surrogate.name),
            }
    for c in graph.connections:
        found |= {
            ("kind", type(c.kind)),
            ("delay", c.delay),
            ("frozen", c.frozen),
            ("stop gradient", c.stop_gradient),
            ("to itself", c.source == c.target),
            ("skip", isinstance(c.kind, Identity) and not c.delay),
        }
        if isinstance(c.kind, Dense):
            found.add(("bias", c.kind.bias))
        if graph.by_name[c.source].role == "readout":
            found.add(("a read-out that spikes tells others", True))
    return found


WANTED: dict[str, tuple] = {
    "batch": (1, 2),
    "rounding": ("nearest", "stochastic"),
    "updates": ("chip", "host"),
    "momentum": (False, True),
    "parts": (False, True),
    "parts of momentum": (True,),
    "gradients in others' place": (False, True),
    "stateful": (False, True),
    "errors": ("every", "ce", "mse"),
    "errors of labels": (0, 1, 2),
    "weights": tuple(HALVES),
    "inputs": (1, 2),
    "read-outs": (1, 2),
    "branch": (False, True),
    "join": (True,),
    "several tiles": (True,),
    "sets": (1, 2),
    "spans": (1, 2, 3),
    "loop of": (0, 1, 2, 3),
    "loop back of": (0, 1, 2),
    "T": (1, "some", "> 16", "> 32"),
    "stateful and delayed": (True,),
    "some learn": (True,),
    "readout spikes": (False, True),
    "hidden": (True,),
    "neuron": (False, True),
    "leak": (False, True),
    "reset": ("hard", "soft"),
    "rule": ("bptt", "mpd-ed"),
    "temporal": (False, True),
    "surrogate": ("rectangle", "triangle", "arctan", "fast-sigmoid"),
    "kind": (Dense, Identity),
    "delay": (0, 1),
    "frozen": (False, True),
    "stop gradient": (False, True),
    "to itself": (False, True),
    "skip": (True,),
    "bias": (False, True),
}


def test_the_runs_have_every_feature():
    """Each in one case that is run, or more, on `tiny`; the most usual in many."""
    seen = collections.Counter()
    for seed in range(RUNS["tiny"]):
        seen.update(features(drawn("tiny", seed)))
    missing = [(what, v) for what, values in WANTED.items() for v in values if not seen[what, v]]
    assert missing == []
    for what in ("branch", "join", "several tiles", "stateful", "frozen", "stop gradient", "skip"):
        assert seen[what, True] >= 5, what
    assert seen["loop of", 0] <= RUNS["tiny"] - 10


@pytest.mark.parametrize("name", ["four", "default"])
def test_the_runs_of_wider_machines_have_what_lanes_change(name):
    """Several tiles, circles, sets and spans, and diagonals."""
    seen = collections.Counter()
    for seed in range(RUNS[name]):
        seen.update(features(drawn(name, seed)))
    for what in (("several tiles", True), ("sets", 2), ("spans", 3), ("kind", Identity),
                 ("delay", 1), ("readout spikes", True), ("stateful", True)):  # fmt: skip
        assert seen[what] >= 2, what


def test_a_seed_names_one_run():
    """The same graph, plan and tensors; others on a machine of other lanes, or of another seed."""
    one, again, other, four = (
        drawn("tiny", 3), drawn("tiny", 3), drawn("tiny", 4), drawn("four", 3)
    )  # fmt: skip
    assert str(one) == str(again)
    assert one.plan == again.plan
    assert one.rng.integers(2**32) == again.rng.integers(2**32)
    assert len({str(one), str(other), str(four)}) == 3


def test_a_small_machine_gets_what_fits():
    """What does not fit is drawn again."""
    for seed in range(5):
        plan = draw_case(MACHINES["tiny"], seed).plan
        assert plan.machine is MACHINES["tiny"]
        assert all(use.needs <= use.has for use in plan.uses)


def test_a_roomy_machine_has_the_engines_of_its_own():
    """Only what it holds is other."""
    for machine in MACHINES.values():
        large = roomy(machine)
        for name in ("lanes", "fp_reuse", "bp_reuse", "wg_reuse"):
            assert getattr(large, name) == getattr(machine, name)
        for name in ("weight_rows", "units", "spike_units", "readout_units", "layers", "tasks"):
            assert getattr(large, name) >= getattr(machine, name)


@pytest.mark.verilator
def test_a_run_that_differs_says_the_command(monkeypatch, capsys):
    """Golden is made wrong in one bit of one weight, and then in its flag."""
    update_tensors = GoldenBackend.update_tensors

    def wrong(self):
        tensors = update_tensors(self)
        name = next(name for name in tensors if name.startswith("weights."))
        weights = tensors[name].copy()
        weights[-1, -1] ^= 1
        return tensors | {name: weights}

    command = "python -m backspike.train.fuzz_graphs --machine tiny --seed 1"
    monkeypatch.setattr(GoldenBackend, "update_tensors", wrong)
    with pytest.raises(Mismatch) as raised:
        run_case(drawn("tiny", 1))
    text = str(raised.value)
    assert ", tensor weights, batch " in text
    assert ": got 0x" in text
    assert text.endswith(f". Again: {command}")
    assert run_program(lambda: main(["--machine", "tiny", "--seed", "1"])) == 1
    assert text in capsys.readouterr().err
    monkeypatch.undo()

    saturated = GoldenBackend.saturated
    monkeypatch.setattr(GoldenBackend, "saturated", lambda self: not saturated(self))
    with pytest.raises(Mismatch, match=f"^flag `saturated`: got .* Again: {command}$"):
        run_case(drawn("tiny", 1))
    monkeypatch.undo()

    assert main(["--machine", "tiny", "--seed", "1", "--runs", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in out] == ["seed 1", "seed 2"]
    assert all(" values equal" in line for line in out)


@pytest.mark.verilator
def test_an_error_in_a_run_says_the_command_too(monkeypatch):
    """As a note of whatever was raised."""

    def broken(case: Case, samples: int):
        raise ArithmeticError("broken")

    monkeypatch.setattr(fuzz_graphs, "random_inputs", broken)
    with pytest.raises(ArithmeticError, match="broken") as raised:
        run_case(drawn("tiny", 2))
    assert raised.value.__notes__ == [
        "Again: python -m backspike.train.fuzz_graphs --machine tiny --seed 2"
    ]


def test_errors_and_inputs_have_the_shapes_of_the_case():
    """Halves of errors, some of them 0; spikes of each input."""
    case = drawn("tiny", 0)
    spikes = fuzz_graphs.random_inputs(case, 2)
    for p in case.plan.graph.populations:
        if p.role == "input":
            assert spikes[p.name].shape == (2, case.plan.steps, p.size)
            assert spikes[p.name].dtype == np.uint8
    errors = [fuzz_graphs.random_error(case, (40, 5)) for _ in range(20)]
    assert all(error.dtype == np.uint16 and error.shape == (40, 5) for error in errors)
    assert any((error == 0).any() for error in errors)


def test_unknown_machine():
    """A machine that does not exist is exit code 2 and a list of the known ones."""
    with pytest.raises(UserError, match="tiny, four, default, mnist, conv, mnist-conv, wide"):
        main(["--machine", "big"])
    assert find_machine("four") is MACHINES["four"]
