"""Random training runs: RTL = golden on every bit, on two machines; the same bits on three."""

import collections
import dataclasses

import numpy as np
import pytest

from backspike.compile.compiler import compile_network
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import DEPTH, MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.surrogate import arctan, rectangle
from backspike.system.program import run_program
from backspike.train import fuzz_training
from backspike.train.fuzz_training import draw_case, main, random_batch, random_halves, run_case

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
        network, learning = case.network, case.learning
        cut = compile_network(network, learning, machine).cut
        options = {
            ("layers", len(network.layers)),
            ("steps", min(network.steps, 9)),
            ("batch", min(learning.batch, 6)),
            ("long", network.steps > 16),
            ("longest", network.steps > 32),
            ("many", learning.batch > 12),
            ("long and deep", network.steps > 16 and len(network.layers) > 2),
            ("spans", min(cut.spans, 3)),
            ("sets", min(cut.sets, 2)),
            ("short last span", cut.last_steps < cut.steps),
            ("sets and spans", cut.sets > 1 and cut.spans > 1),
            ("block ends amid", cut.steps * cut.samples < DEPTH),
            ("loss", learning.loss),
            ("rate", learning.rate),
            ("rounding", learning.rounding),
            ("weights", case.weights),
            ("beside", any(size % machine.lanes for size in network.sizes)),
            ("wide", max(network.sizes) > 60),
            ("narrow", min(network.sizes) < 4),
        }
        if learning.loss == "mse":
            options.add(("alpha", learning.alpha))
        for layer in network.layers:
            options |= {
                *((n, getattr(layer, n)) for n in ("reset", "bias", "rule", "temporal", "leak")),
                ("threshold", layer.threshold),
                ("surrogate", layer.surrogate.name),
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
    steps = [draw_case(small, seed).network.steps for seed in range(60)]
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

    want = tensors(GoldenBackend(network, learning))
    assert any(want["1 gradients.0"])
    assert any(want["1 spikes.1"])
    for name in ("tiny", "default", "wide"):
        got = tensors(RTLBackend(network, learning, MACHINES[name]))
        assert got.keys() == want.keys()
        assert [key for key in want if got[key] != want[key]] == [], name


@pytest.mark.verilator
def test_a_run_that_differs_says_the_command(monkeypatch, capsys):
    """Golden is made wrong in one bit of one weight."""
    update_tensors = GoldenBackend.update_tensors

    def wrong(self):
        tensors = update_tensors(self)
        weights = tensors["weights.0"].copy()
        weights[-1, -1] ^= 1
        return tensors | {"weights.0": weights}

    monkeypatch.setattr(GoldenBackend, "update_tensors", wrong)
    machine = MACHINES["tiny"]
    case = draw_case(machine, 4)
    sources, neurons = (n - 1 for n in case.network.shapes[0])
    with pytest.raises(Mismatch) as raised:
        run_case(case, machine)
    text = str(raised.value)
    assert f"layer 0, tensor weights, batch 0, source {sources}, index {neurons}: got" in text
    assert text.endswith("python -m backspike.train.fuzz_training --machine tiny --seed 4")
    assert run_program(lambda: main(["--machine", "tiny", "--seed", "4"])) == 1
    assert text in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["--machine", "tiny", "--seed", "4", "--runs", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in out] == ["seed 4", "seed 5"]


def test_unknown_machine():
    """A machine that does not exist is exit code 2 and a list of the known ones."""
    with pytest.raises(UserError, match="tiny, four, default, mnist, wide"):
        main(["--machine", "big"])
