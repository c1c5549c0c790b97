"""Busy cycles of an engine over its bound, which golden's tensors give as well."""

import numpy as np
import pytest

from backspike.bench import densities, efficiency
from backspike.bench.alone import Run
from backspike.bench.densities import Case
from backspike.drive.comparison import Counts
from backspike.golden.backend import GoldenBackend
from tests.support.bench_cases import GATED, SPARSE, TINY, WIDTH


def bounds(case: Case) -> dict[tuple[str, str], int]:
    """What a perfect engine needs for each layer, from golden tensors (see docs/design.md)."""
    batch = densities.tensors(case, WIDTH)
    golden = GoldenBackend(case.graph(WIDTH), densities.LEARNING)
    golden.load_weights(batch.weights)
    golden.forward({"input": batch.spikes})
    golden.update({"readout": batch.error}, 0)
    forward, update = golden.forward_tensors(), golden.update_tensors()
    entries = densities.BATCH * densities.STEPS
    names = ("hidden1", "hidden2", "readout")
    sources = [batch.spikes, forward["spikes.hidden1"], forward["spikes.hidden2"]]
    s = [bits.reshape(entries, WIDTH).astype(int) for bits in sources]
    g = [(update[f"gradients.{name}"] != 0).reshape(entries, WIDTH) for name in names]

    def tiled(bits: np.ndarray) -> np.ndarray:
        return bits.reshape(entries, -1, TINY.lanes).any(2).astype(int)

    needed = {}
    for n, name in enumerate(names):
        rows = tiled(g[n])
        matches = s[n].T @ rows  # (source, tile)
        needed["fp", name] = int(s[n].sum()) * rows.shape[1]
        needed["wg", name] = max(int(matches.sum()), 2 * np.count_nonzero(matches))
    for n, rule in enumerate(case.rules):
        active = tiled(s[n + 1]) if rule == "mpd-ed" else np.ones_like(tiled(s[n + 1]))
        needed["bp", names[n]] = int((active * g[n + 1].sum(1)[:, None]).sum())
    return needed


@pytest.mark.parametrize("case", [GATED, SPARSE], ids=lambda case: case.name)
def test_an_engine_alone_has_golden_bits_and_its_bound(case):
    """An engine alone computes golden's bits, and its bound equals one worked out from golden."""
    counts = Counts()
    measured = efficiency.measure(case, TINY, counts, width=WIDTH)
    # Loaded weights; spikes and codes of 2 layers, logits twice; gradients and weights of 3.
    assert (counts.tensors, counts.mismatches) == (3 + 6 + 6, 0)
    got = {(one.run.engine, one.run.layer): one.run.bound for one in measured}
    assert got == {key: bound for key, bound in bounds(case).items() if key[0] in case.engines}
    assert all(one.run.bound <= one.run.busy <= one.run.cycles for one in measured)
    assert all(one.run.drain <= one.run.busy for one in measured)


def busy_run(engine: str, busy: int, bound: int) -> Run:
    return Run(engine, "h", busy + 5, busy, bound, 0, bound, {"vector": 2, "drain": 3})


def test_the_worst_run_is_the_figure():
    """The figure of an engine is its worst ratio of busy cycles to bound, and says what stalled."""
    cases = ((GATED, "fp", 105), (SPARSE, "fp", 120), (GATED, "bp", 300))
    runs = [efficiency.Measured(case, busy_run(engine, busy, 100)) for case, engine, busy in cases]
    figure = efficiency.figure(runs, "fp")
    assert (figure.figure, figure.value, figure.met) == ("busy / bound, fp alone", 1.2, False)
    assert "worst of 2 layers" in figure.how
    assert "1 missed" in figure.how
    assert "sparse errors: 120 / 100 cycles, 100 with events, 2 stalled by vector, " in figure.how
    assert figure.how.endswith("3 stalled by drain, 15 without")
