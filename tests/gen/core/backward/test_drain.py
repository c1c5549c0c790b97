"""gen.core.backward.drain: blocks of hard sums through the drain, against golden's rows."""

import numpy as np
import pytest
import torch

from backspike.compile.compiler import compile_network
from backspike.gen.core.backward.drain import BackwardDrain
from backspike.gen.core.backward.unit import (
    RECURRENCE,
)
from backspike.gen.core.shared.source import HEADER
from backspike.gen.machine import DEPTH, MACHINES
from backspike.golden.half import random_halves, to_bits
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from tests.gen.core.backward.test_unit import ALL, WIDTH
from tests.support.coroutines import each_coroutine
from tests.support.drain_play import LANES, Block, Run, Shape, machine, row_of, save, tile_of
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import Recording, by_sample, gradients_of, settings

pytestmark = pytest.mark.verilator


def drain_run(rng: np.random.Generator, layer: Layer, loss: str | None, reuse: int) -> Run:
    """Some blocks of a layer with random sums, and golden's results as rows. loss: a read-out's."""
    shape, size = Shape.draw(rng), int(rng.integers(1, 3 * LANES + 1))
    if loss and rng.random() < 0.5:  # short blocks, tile after tile
        shape, size = Shape(1, int(rng.integers(1, 4)), 1, 1, 0), 3 * LANES
    steps, samples = shape.steps, shape.samples
    buffer, output = int(rng.integers(2)), int(rng.integers(20))
    alpha = float(rng.choice([0.25, -1.0, 65504.0]))
    learning = Learning(batch=1, loss=loss or "ce", alpha=alpha)  # pyright: ignore[reportArgumentType]
    layers = (layer,) if loss else (layer, Layer(size=1))
    network = Network(inputs=1, layers=layers, steps=steps)
    config = compile_network(network, learning, MACHINES["tiny"]).descriptors["bp"][0]
    config = config | {"size": size, "output_base": output}
    most = steps * max(samples * reuse, RECURRENCE) + 1
    config, table = settings("bp", config)
    run = Run(config, table=table, buffer=buffer, most=most,
              loss=bool(loss), **shape.ports())  # fmt: skip
    run.writes = {"gradients": {}, "masks": {}}
    run.memories = {"codes": {}, "logits": {}, "labels": {}}
    labels = {(block, s): int(rng.integers(0, size)) for block in range(shape.blocks)
              for s in range(samples)}  # fmt: skip
    half = 16 * DEPTH * buffer  # readout_units * DEPTH
    for (block, s), label in labels.items():
        run.memories["labels"][half + block * DEPTH + s] = label
    for tile in range(-(-size // LANES)):
        for block in range(shape.blocks):
            unit = output + tile * shape.blocks + block
            last = block == shape.blocks - 1
            header = packed(HEADER).pack(base=unit, block=block, tile=tile, last=int(last))
            drained = Block(header)
            run.blocks.append(drained)
            run.done += last
            valid = (np.arange(LANES) < size - tile * LANES) & shape.present(block)[..., None]
            if loss:
                bits = to_bits(random_halves((samples, LANES), torch.Generator().manual_seed(unit)))
                for s, row in enumerate(bits):
                    run.memories["logits"][(unit - output) * DEPTH + s] = row_of(row, 16)
                error = torch.from_numpy(bits.view(np.float16).astype(float))
                if loss == "mse":
                    classes = tile * LANES + np.arange(LANES)
                    hot = [[float(labels[block, s] == j) for j in classes] for s in range(samples)]
                    a = Recording()
                    error = a.round(learning.alpha * error, -torch.tensor(hot).double())
                    run.saturated |= bool((a.flags[0].numpy() & valid).any())
                g = np.broadcast_to(to_bits(error), (steps, samples, LANES))
            else:
                g, flags = hidden_block(rng, run, layer, drained, unit, (steps, samples))
                run.saturated |= bool((flags & valid).any())
            g = np.where(valid, g, 0)
            for d, row in enumerate(g.reshape(-1, LANES)):
                run.writes["gradients"][unit * DEPTH + d] = row_of(row, 16)
            run.writes["masks"][unit] = tile_of(g != 0)
    return run


def hidden_block(rng, run: Run, layer: Layer, drained: Block, unit: int, shape: tuple[int, int]):
    """Draws sums, codes and spikes of a block; golden's (gradients, flags), (T, samples, lanes)."""
    full = (*shape, LANES)
    count = int(np.prod(full))
    _, terms = hard_numbers(rng, count, WIDTH)
    pieces = [x.numpy() for x in terms]
    small = np.round(rng.normal(0, 2.0**44, count))
    choose = rng.random(count) < 0.7
    pieces = [np.where(choose, small if n == 0 else 0.0, x) for n, x in enumerate(pieces)]
    entries = shape[0] * shape[1]
    touched = rng.random(entries) < rng.choice([0.2, 0.9])
    pieces = [piece * np.repeat(touched, LANES) for piece in pieces]
    drained.touched = sum(1 << int(d) for d in np.flatnonzero(touched))
    whole = [sum(int(piece[n]) for piece in pieces) for n in range(count)]
    for d in range(entries):
        drained.sums[d] = row_of(whole[d * LANES : (d + 1) * LANES], WIDTH)
    codes = rng.integers(0, len(layer.surrogate.values), full)
    spikes = (rng.random(full) < 0.4).astype(int)
    for d, row in enumerate((codes | spikes << 4).reshape(-1, LANES)):
        run.memories["codes"][unit * DEPTH + d] = row_of(row, 5)
    sums = tuple(by_sample(piece.reshape(full)) * 2.0**-48 for piece in pieces)
    g, flags = gradients_of(Recording(), layer, by_sample(spikes).double(), by_sample(codes), sums)
    return to_bits(g).transpose(1, 0, 2), flags.transpose(0, 1).numpy()


@each_coroutine("tests.support.drain_benches", "gradients")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's gradients and masks in memory."""
    case = tmp_path / "case"

    def drain():
        rng = np.random.default_rng(reuse)
        runs = [drain_run(rng, layer, None, reuse) for layer in ALL.values() for _ in range(2)]
        runs += [
            drain_run(rng, Layer(size=1), loss, reuse) for loss in ("ce", "mse") for _ in range(6)
        ]
        assert {run.saturated for run in runs} == {True, False}
        save(runs, case)
        return BackwardDrain(machine(reuse)), f"backward_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
