"""gen.core.forward.drain: blocks of hard sums through the drain, against golden's rows."""

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
from tests.support.coroutines import each_coroutine
from tests.support.drain_play import LANES, Block, Run, Shape, machine, row_of, save, tile_of
from tests.support.streams import packed
from tests.support.units import Recording, by_sample, fire, integrate, settings

pytestmark = pytest.mark.verilator


def drain_run(rng: np.random.Generator, layer: Layer, readout: bool, reuse: int) -> Run:
    """Some blocks of a layer with random sums, and golden's results as rows."""
    shape = Shape.draw(rng)
    size = int(rng.integers(1, 3 * LANES + 1))
    buffer, output = int(rng.integers(2)), 0 if readout else int(rng.integers(20))
    config = descriptor(layer, readout) | {"size": size}
    most = shape.steps * max(shape.samples * reuse, RECURRENCE)
    config, table = settings("fp", config)
    run = Run(config, table=table, buffer=buffer, most=most, **shape.ports())
    run.writes = {name: {} for name in ("spikes", "active", "codes", "logits")}
    steps, samples = shape.steps, shape.samples
    for tile in range(-(-size // LANES)):
        for block in range(shape.blocks):
            count = steps * samples * LANES
            numbers, terms = sums(rng, count, layer.threshold)
            signed = numbers.astype(np.int64) << 64 - WIDTH >> 64 - WIDTH
            units = [by_sample(x.reshape(steps, samples, LANES)) for x in terms]
            unit = output + tile * shape.blocks + block
            last = block == shape.blocks - 1
            header = packed(HEADER).pack(base=unit, block=block, tile=tile, last=int(last))
            rows = signed.reshape(-1, LANES)
            drained = Block(header)
            drained.sums = [row_of(row, WIDTH) for row in rows] + [0] * (DEPTH - len(rows))
            run.blocks.append(drained)
            run.done += last

            a = Recording()
            here = np.arange(LANES) < size - tile * LANES
            valid = here & shape.present(block)[..., None]  # (T, samples, lanes)
            if readout:
                integrate(a, tuple(units))
                for s, row in enumerate(to_bits(a.rounded[-1])):
                    run.writes["logits"][unit * DEPTH + s] = row_of(row, 16)
                flags = torch.stack(a.flags).numpy()
            else:
                spikes, codes = fire(a, layer, tuple(units))
                needed = neurons.passed(layer.neuron, spikes, codes) != 0
                kept = (codes + 16 * spikes.long()).transpose(0, 1).reshape(-1, LANES)
                for d, row in enumerate(kept.numpy()):
                    run.writes["codes"][unit * DEPTH + d] = row_of(row, 5)
                fired = spikes.transpose(0, 1).numpy().astype(bool) & valid
                run.writes["spikes"][buffer << 6 | unit] = tile_of(fired)
                active = (needed.transpose(0, 1).numpy() & valid).any(-1, keepdims=True)
                run.writes["active"][unit] = tile_of(active)
                every = 1 + (layer.reset == "soft")
                flags = np.stack(
                    [sum(x) for x in zip(*(
                        [f.numpy() for f in a.flags[n::every]] for n in range(every)
                    ), strict=True)]
                )  # fmt: skip
            run.saturated |= bool((flags & valid).any())
    return run


@each_coroutine("tests.support.drain_benches", "neurons")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's spikes, codes and logits in memory."""
    case = tmp_path / "case"

    def drain():
        rng = np.random.default_rng(reuse)
        runs = [drain_run(rng, layer, n == 0, reuse) for layer in LAYERS.values() for n in range(2)]
        assert {run.saturated for run in runs} == {True, False}
        save(runs, case)
        return ForwardDrain(machine(reuse)), f"forward_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
