"""gen.core.forward.drain: blocks of hard sums through the drain, against golden's rows."""

import random

import numpy as np
import pytest
import torch

from backspike.gen.core.forward.drain import ForwardDrain
from backspike.gen.core.forward.unit import (
    RECURRENCE,
)
from backspike.gen.core.shared.source import HEADER
from backspike.gen.machine import DEPTH
from backspike.golden import neurons
from backspike.golden.half import to_bits
from backspike.ir.network import Layer
from tests.gen.core.forward.test_unit import LAYERS, WIDTH, descriptor, sums
from tests.support.batches import Batch, check_variety
from tests.support.coroutines import each_coroutine
from tests.support.drain_play import (
    LANES,
    Block,
    Run,
    machine,
    most_cycles,
    row_of,
    rows_of,
    save,
    tile_of,
)
from tests.support.streams import packed
from tests.support.units import Recording, by_sample, fire, integrate, settings

pytestmark = pytest.mark.verilator


def drawn_set(rng: np.random.Generator, layer: Layer, readout: bool, shape: tuple[int, int]):
    """Sums of a tile and set through all T steps, and golden's results, (T, samples, lanes)."""
    full = (*shape, LANES)
    numbers, terms = sums(rng, int(np.prod(full)), layer.threshold)
    signed = numbers.astype(np.int64) << 64 - WIDTH >> 64 - WIDTH
    units = tuple(by_sample(x.reshape(full)) for x in terms)
    a = Recording()
    found = {"sums": signed.reshape(full)}
    if readout:
        integrate(a, units)
        logits = np.stack([to_bits(u) for u in a.rounded])
        return found | {"logits": logits, "flags": torch.stack(a.flags).numpy()}
    spikes, codes = fire(a, layer, units)
    needed = neurons.passed(layer.neuron, spikes, codes) != 0
    every = 1 + (layer.reset == "soft")
    flags = torch.stack([torch.stack(a.flags[n::every]) for n in range(every)]).any(0)
    results = {"codes": codes + 16 * spikes.long(), "spikes": spikes.bool(), "needed": needed}
    by_step = {name: values.transpose(0, 1).numpy() for name, values in results.items()}
    return found | by_step | {"flags": flags.numpy()}


def drain_run(
    rng: np.random.Generator, batch: Batch, layer: Layer, readout: bool, reuse: int
) -> Run:
    """The blocks of a layer with random sums, and golden's results as rows: a set's neurons run
    through all of its spans."""
    size = int(rng.integers(1, 3 * LANES + 1))
    buffer, output = int(rng.integers(2)), 0 if readout else int(rng.integers(20))
    config, table = settings("fp", descriptor(layer, readout) | {"size": size})
    run = Run(config, batch.batch_port(), batch.extent_port(), buffer, table=table)
    run.writes = {name: {} for name in ("spikes", "active", "codes", "logits")}
    samples = np.arange(batch.samples)[:, None]
    whole: dict[str, np.ndarray] = {}
    for tile in range(-(-size // LANES)):
        for at in batch.order():
            if at.head:
                whole = drawn_set(rng, layer, readout, (batch.all_steps, batch.samples))
            own = batch.steps_of(at)
            here = {name: values[own.start : own.stop] for name, values in whole.items()}
            # (samples, lanes)
            valid = (np.arange(LANES) < size - tile * LANES) & (samples < batch.samples_of(at.set))
            unit = output + tile * batch.blocks + at.block
            if readout:
                unit = tile * batch.sets + at.set
            header = packed(HEADER).pack(base=unit, tile=tile, **at.fields)
            most = most_cycles(len(own), batch.samples * reuse, RECURRENCE)
            run.blocks.append(Block(header, rows_of(here["sums"], WIDTH), most=most))
            run.done += at.last
            run.saturated |= bool((here["flags"] & valid).any())
            if not readout:
                for d, row in enumerate(here["codes"].reshape(-1, LANES)):
                    run.writes["codes"][unit * DEPTH + d] = row_of(row, 5)
                run.writes["spikes"][buffer << 6 | unit] = tile_of(here["spikes"] & valid)
                active = (here["needed"] & valid).any(-1, keepdims=True)
                run.writes["active"][unit] = tile_of(active)
            elif at.tail:
                for s, row in enumerate(here["logits"][-1]):
                    run.writes["logits"][unit * DEPTH + s] = row_of(row, 16)
    return run


@each_coroutine("tests.support.drain_benches", "neurons")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's spikes, codes and logits in memory."""
    case = tmp_path / "case"

    def drain():
        rng, cuts = np.random.default_rng(reuse), random.Random(reuse)
        batches = {readout: [Batch.draw(cuts) for _ in range(14)] for readout in (False, True)}
        runs = []
        for readout, drawn in batches.items():
            check_variety(drawn)
            for batch, layer in zip(drawn, [*LAYERS.values()] * 2, strict=True):
                runs.append(drain_run(rng, batch, layer, readout, reuse))
        assert {run.saturated for run in runs} == {True, False}
        save(runs, case)
        return ForwardDrain(machine(reuse)), f"forward_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
