"""Random training runs: RTL = golden on every bit, on two machines; the same bits on three."""

import collections
import dataclasses

import numpy as np
import pytest

from backspike.compile.compiler import compile_graph
from backspike.gen.machine import DEPTH, MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.ir.surrogate import arctan, rectangle
from backspike.system.program import run_program
from backspike.train import fuzz_training
from backspike.train.fuzz_training import draw_case, main, random_halves, run_case
from backspike.train.layers import hidden
from tests.support.layered import GoldenChain, Layer, Network, RTLChain, random_batch

RUNS, CHUNK = 126, 14
"""Runs of each machine, and of each test."""


@pytest.mark.verilator
@pytest.mark.parametrize("first", range(0, RUNS, CHUNK))
@pytest.mark.parametrize("name", ["tiny", "default"])
def test_random_runs(name, first):
    """Random networks train in the RTL as in golden, with and without saturation."""
    machine = MACHINES[name]
    values, flags = 0, set()
    for seed in range(first, first + CHUNK):
        counts, saturated = run_case(draw_case(machine, seed), machine)
        values += counts.values
        flags.add(saturated)
    assert values > 20_000
    assert flags == {False, True}


@pytest.mark.parametrize("name", ["tiny", "default"])
def test_the_runs_have_every_option(name):
    """At least five runs with each value of each option; widths beside multiples of P; batches cut
    into several sets and spans."""
    machine = MACHINES[name]
    seen = collections.Counter()
    for seed in range(RUNS):
        case = draw_case(machine, seed)
        graph, learning, steps = case.graph, case.learning, case.steps
        cut = compile_graph(graph, steps, learning, machine).cut
        sizes = [population.size for population in graph.populations]
        options = {
            ("layers", len(sizes) - 1),
            ("steps", min(steps, 9)),
            ("batch", min(learning.batch, 6)),
            ("long", steps > 16),
            ("longest", steps > 32),
            ("many", learning.batch > 12),
            ("long and deep", steps > 16 and len(sizes) > 3),
            ("spans", min(cut.spans, 3)),
            ("sets", min(cut.sets, 2)),
            ("short last span", cut.last_steps < cut.steps),
            ("sets and spans", cut.sets > 1 and cut.spans > 1),
            ("block ends amid", cut.steps * cut.samples < DEPTH),
            ("loss", learning.loss),
            ("rate", learning.rate),
            ("rounding", learning.rounding),
            ("weights", case.weights),
            ("beside", any(size % machine.lanes for size in sizes)),
            ("wide", max(sizes) > 60),
            ("narrow", min(sizes) < 4),
        }
        if learning.loss == "mse":
            options.add(("alpha", learning.alpha))
        options |= {("bias", c.kind.bias) for c in graph.connections}
        for neuron in (p.neuron for p in hidden(graph)):
            assert neuron is not None
            options |= {
                *((n, getattr(neuron, n)) for n in ("reset", "rule", "temporal", "leak")),
                ("threshold", neuron.threshold),
                ("surrogate", neuron.surrogate.name),
            }
        seen.update(options)
    for option, values in {
        "layers": range(1, 5),
        "steps": range(1, 10),
        "batch": range(1, 7),
        "long": (True,),
        "longest": (True,),
        "many": (True,),
        "long and deep": (True,),
        "spans": range(1, 4),
        "sets": range(1, 3),
        "short last span": (False, True),
        "sets and spans": (True,),
        "block ends amid": (False, True),
        "loss": ("ce", "mse"),
        "rate": fuzz_training.RATES,
        "alpha": fuzz_training.ALPHAS,
        "rounding": ("nearest", "stochastic"),
        "weights": fuzz_training.HALVES,
        "beside": (True,),
        "wide": (True,),
        "narrow": (True,),
        "reset": ("hard", "soft"),
        "bias": (False, True),
        "rule": ("bptt", "mpd-ed"),
        "temporal": (False, True),
        "threshold": fuzz_training.THRESHOLDS,
        "surrogate": ("rectangle", "triangle", "arctan", "fast-sigmoid", "table"),
    }.items():
        for value in values:
            assert seen[option, value] >= 5, (option, value)


def test_cases_of_a_small_machine():
    """Where few blocks have room a case has fewer steps, layers and neurons; but there is one."""
    small = dataclasses.replace(MACHINES["tiny"], units=4, spike_units=8, readout_units=4)
    steps = [draw_case(small, seed).steps for seed in range(60)]
    assert min(steps) == 1
    assert max(steps) > 16


def network_of_all_lanes() -> tuple[Network, Learning]:
    """Widths beside multiples of 2, 8 and 16, and every option somewhere."""
    return Network(
        inputs=21,
        steps=5,
        layers=(
            Layer(size=35, bias=True, surrogate=arctan(), rule="mpd-ed"),
            Layer(size=19, reset="soft", surrogate=rectangle(2.0), threshold=0.5),
            Layer(size=7, bias=True),
        ),
    ), Learning(batch=7, loss="mse", rate=2.0**-5, rounding="stochastic", seed=5)


@pytest.mark.verilator
def test_lanes_do_not_change_a_bit():
    """Golden and machines of 2, 8 and 16 lanes compute the same bits in every tensor."""
    network, learning = network_of_all_lanes()
    rng = np.random.default_rng(3)
    weights = [random_halves(rng, shape, "usual") for shape in network.shapes]
    batches = [random_batch(rng, network, samples) for samples in (7, 7, 4)]

    def tensors(backend) -> dict[str, bytes]:
        """Everything that a run leaves, by name."""
        found = {}

        def keep(when, tensors):
            found.update({f"{when} {name}": bits.tobytes() for name, bits in tensors.items()})

        backend.load_weights(weights)
        backend.forward(*batches[0])
        keep("first", backend.forward_tensors())
        for step, batch in enumerate(batches[1:]):
            backend.update_forward(None, step, *batch)
            keep(step, backend.update_tensors() | backend.forward_tensors())
        backend.update(None, len(batches) - 1)
        keep("last", backend.update_tensors())
        found["saturated"] = bytes([backend.saturated()])
        backend.close()
        return found

    want = tensors(GoldenChain(network, learning))
    assert any(want["1 gradients.0"])
    assert any(want["1 spikes.1"])
    for name in ("tiny", "default", "wide"):
        got = tensors(RTLChain(network, learning, MACHINES[name]))
        assert got.keys() == want.keys()
        assert [key for key in want if got[key] != want[key]] == [], name


@pytest.mark.verilator
def test_a_run_that_differs_says_the_command(monkeypatch, capsys):
    """Golden is made wrong in one bit of one weight."""
    update_tensors = GoldenBackend.update_tensors

    def wrong(self):
        tensors = update_tensors(self)
        first = next(name for name in tensors if name.startswith("weights."))
        weights = tensors[first].copy()
        weights[-1, -1] ^= 1
        return tensors | {first: weights}

    monkeypatch.setattr(GoldenBackend, "update_tensors", wrong)
    machine = MACHINES["tiny"]
    case = draw_case(machine, 4)
    name, shape = next(iter(case.graph.shapes.items()))
    sources, neurons = (n - 1 for n in shape)
    with pytest.raises(Mismatch) as raised:
        run_case(case, machine)
    text = str(raised.value)
    assert f"connection {name}, tensor weights, batch " in text
    assert f", source {sources}, index {neurons}: got" in text
    assert text.endswith("python -m backspike.train.fuzz_training --machine tiny --seed 4")
    assert run_program(lambda: main(["--machine", "tiny", "--seed", "4"])) == 1
    assert text in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["--machine", "tiny", "--seed", "4", "--runs", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in out] == ["seed 4", "seed 5"]


def test_unknown_machine():
    """A machine that does not exist is exit code 2 and a list of the known ones."""
    with pytest.raises(UserError, match="tiny, four, default, mnist, conv, mnist-conv, wide"):
        main(["--machine", "big"])
