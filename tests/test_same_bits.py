"""What every run computed when it was recorded is what it computes today, to the last bit.

`same_bits.json` holds the results of `tests.support.same_bits`. Nothing makes it anew: a result
that differs is a fault of the code, not of the record.
"""

import json
import math
from pathlib import Path

import pytest

from tests.support import same_bits

RECORDED = json.loads(Path(__file__).with_name("same_bits.json").read_text())
"""`runs`: results by run and name. `cycles`: by machine, `bits` and `at_most` cycles."""


def differing(got: dict, want: dict) -> list[str]:
    """The names that are not the same in both, with what was found and what was recorded."""

    def same(name: str) -> bool:
        if name not in got or name not in want:
            return False
        g, w = got[name], want[name]
        if isinstance(w, float):
            return math.isclose(g, w, rel_tol=same_bits.TOLERANCE, abs_tol=0)
        return type(g) is type(w) and g == w

    names = dict.fromkeys([*want, *got])
    return [f"{n}: got {got.get(n)}, want {want.get(n)}" for n in names if not same(n)]


def test_every_run_is_recorded():
    """No run was dropped from the code, and none is there that is not compared."""
    assert list(same_bits.RUNS) == list(RECORDED["runs"])


@pytest.mark.parametrize("run", same_bits.RUNS)
def test_same_bits(run):
    """Weights, logits and all other tensors, sums and figures of one run."""
    wrong = differing(same_bits.RUNS[run](), RECORDED["runs"][run])
    assert not wrong, f"run {run!r} changed:\n" + "\n".join(wrong)


@pytest.mark.verilator
@pytest.mark.parametrize("machine", RECORDED["cycles"])
def test_same_bits_in_no_more_cycles(machine):
    """A training on the RTL has the recorded bits and, by every counter, no more cycles."""
    recorded = RECORDED["cycles"][machine]
    bits, cycles = same_bits.cycles(machine)
    wrong = differing(bits, recorded["bits"])
    most = recorded["at_most"]
    assert cycles.keys() == most.keys()
    wrong += [f"{n}: {cycles[n]} cycles, at most {most[n]}" for n in most if cycles[n] > most[n]]
    assert not wrong, f"training on {machine} changed:\n" + "\n".join(wrong)


@pytest.mark.parametrize("options", [same_bits.OPTIONS, same_bits.LIVELY])
def test_drawn_runs_cover_every_option(options):
    """Each entry of each list of options is in a run in which it matters."""
    seen: dict[str, set] = {name: set() for name in options}
    for network, learning, _ in (same_bits.drawn(n, options) for n in range(same_bits.DRAWN)):
        seen["layers"].add(len(network.layers))
        seen["steps"].add(network.steps)
        for name in ("batch", "rounding", "loss", "rate", "seed"):
            seen[name].add(getattr(learning, name))
        if learning.loss == "mse":
            seen["alpha"].add(learning.alpha)
        for layer in network.layers[:-1]:
            for name in ("reset", "bias", "rule", "temporal", "leak", "threshold", "surrogate"):
                seen[name].add(getattr(layer, name))
    for name in seen.keys() - {"weights", "density"}:
        assert len(seen[name]) == len(set(options[name])), name


def test_a_changed_result_is_named():
    """The message of a run that differs says what was found and what was recorded."""
    want = {"weights.0": "aa", "loss": 2.0, "cycles": 3}
    assert differing(dict(want), want) == []
    assert differing(want | {"loss": 2.0 * (1 + 1e-11)}, want) == []
    assert differing(want | {"loss": 2.0 * (1 + 1e-7)}, want) != []
    assert differing({"weights.0": "ab", "cycles": 3, "new": 1}, want) == [
        "weights.0: got ab, want aa", "loss: got None, want 2.0", "new: got 1, want None",
    ]  # fmt: skip
