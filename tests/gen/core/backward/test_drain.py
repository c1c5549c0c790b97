"""gen.core.backward.drain: blocks of hard sums through the drain, against golden's rows."""

import random

import numpy as np
import pytest
import torch

from backspike.compile.compiler import compile_network
from backspike.gen.core.backward.drain import BackwardDrain
from backspike.gen.core.backward.loss import BACKWARD_HEADER
from backspike.gen.core.backward.unit import RECURRENCE
from backspike.gen.machine import DEPTH, MACHINES
from backspike.golden.half import random_halves, to_bits
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from tests.gen.core.backward.test_unit import ALL, WIDTH
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
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import Recording, by_sample, gradients_of, settings

pytestmark = pytest.mark.verilator


def drain_run(
    rng: np.random.Generator, batch: Batch, layer: Layer, loss: str | None, reuse: int
) -> Run:
    """The blocks of a layer with random sums, and golden's results as rows: a set's neurons run
    back through all of its spans. loss: a read-out's."""
    size = int(rng.integers(1, 3 * LANES + 1))
    if loss and batch.blocks == 1:
        size = 3 * LANES
    buffer, output = int(rng.integers(2)), int(rng.integers(20))
    alpha = float(rng.choice([0.25, -1.0, 65504.0]))
    learning = Learning(batch=1, loss=loss or "ce", alpha=alpha)  # pyright: ignore[reportArgumentType]
    layers = (layer,) if loss else (layer, Layer(size=1))
    network = Network(inputs=1, layers=layers, steps=batch.steps)
    config = compile_network(network, learning, MACHINES["tiny"]).descriptors["bp"][0]
    config, table = settings("bp", config | {"size": size, "output_base": output})
    run = Run(config, batch.batch_port(), batch.extent_port(), buffer, table=table,
              loss=bool(loss))  # fmt: skip
    run.writes = {"gradients": {}, "masks": {}}
    run.memories = {"codes": {}, "logits": {}, "labels": {}}
    labels = rng.integers(0, size, (batch.sets, batch.samples))
    half = 16 * DEPTH * buffer  # readout_units * DEPTH
    for (number, s), label in np.ndenumerate(labels):
        run.memories["labels"][half + number * DEPTH + s] = int(label)
    samples = np.arange(batch.samples)[:, None]
    whole: dict[str, np.ndarray] = {}
    for tile in range(-(-size // LANES)):
        lanes = tile * LANES + np.arange(LANES)
        for at in batch.order(reverse=True):
            logits = tile * batch.sets + at.set
            shape = (batch.all_steps, batch.samples)
            if at.tail and loss:
                whole, rows = drawn_errors(rng, learning, shape, labels[at.set], lanes)
                for s, row in enumerate(rows):
                    run.memories["logits"][logits * DEPTH + s] = row_of(row, 16)
            elif at.tail:
                whole = drawn_set(rng, layer, shape)
            own = batch.steps_of(at)
            here = {name: values[own.start : own.stop] for name, values in whole.items()}
            valid = (lanes < size) & (samples < batch.samples_of(at.set))  # (samples, lanes)
            unit = output + tile * batch.blocks + at.block
            header = packed(BACKWARD_HEADER).pack(base=unit, tile=tile, logits=logits, **at.fields)
            most = most_cycles(len(own), batch.samples * reuse, RECURRENCE)
            block = Block(header, most=most)
            run.blocks.append(block)
            if not loss:
                block.sums = rows_of(here["sums"], WIDTH)
                touched = np.flatnonzero(here["touched"].ravel())
                block.touched = sum(1 << int(d) for d in touched)
                for d, row in enumerate(here["codes"].reshape(-1, LANES)):
                    run.memories["codes"][unit * DEPTH + d] = row_of(row, 5)
            run.done += at.last
            run.saturated |= bool((here["flags"] & valid).any())
            g = np.where(valid, here["g"], 0)
            for d, row in enumerate(g.reshape(-1, LANES)):
                run.writes["gradients"][unit * DEPTH + d] = row_of(row, 16)
            run.writes["masks"][unit] = tile_of(g != 0)
    return run


def drawn_errors(rng, learning: Learning, shape: tuple[int, int], labels, lanes):
    """(golden's gradients and flags through all T steps, rows of the read-out) of a tile and set:
    the same error in every step."""
    bits = to_bits(
        random_halves((shape[1], LANES), torch.Generator().manual_seed(int(rng.integers(99))))
    )
    error = torch.from_numpy(bits.view(np.float16).astype(float))
    flags = np.zeros((shape[1], LANES), bool)
    if learning.loss == "mse":
        a = Recording()
        onehot = torch.from_numpy(labels[:, None] == lanes).double()
        error = a.round(learning.alpha * error, -onehot)
        flags = a.flags[0].numpy()
    found = {"g": to_bits(error), "flags": flags}
    return {name: np.broadcast_to(x, (*shape, LANES)) for name, x in found.items()}, bits


def drawn_set(rng, layer: Layer, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Sums, codes (with spikes) and touched entries of a tile and set through all T steps, and
    golden's gradients and flags: (T, samples, lanes), but `touched`."""
    full = (*shape, LANES)
    count = int(np.prod(full))
    _, terms = hard_numbers(rng, count, WIDTH)
    pieces = [x.numpy() for x in terms]
    small = np.round(rng.normal(0, 2.0**44, count))
    choose = rng.random(count) < 0.7
    pieces = [np.where(choose, small if n == 0 else 0.0, x) for n, x in enumerate(pieces)]
    touched = rng.random(shape) < rng.choice([0.2, 0.9])
    pieces = [piece.reshape(full) * touched[..., None] for piece in pieces]
    exact = np.frompyfunc(int, 1, 1)  # more bits than 64
    whole = np.sum([exact(piece) for piece in pieces], 0)
    codes = rng.integers(0, len(layer.surrogate.values), full)
    spikes = (rng.random(full) < 0.4).astype(int)
    sums = tuple(by_sample(piece) * 2.0**-48 for piece in pieces)
    g, flags = gradients_of(Recording(), layer, by_sample(spikes).double(), by_sample(codes), sums)
    return {
        "sums": whole,
        "touched": touched,
        "codes": codes | spikes << 4,
        "g": to_bits(g).transpose(1, 0, 2),
        "flags": flags.transpose(0, 1).numpy(),
    }


@each_coroutine("tests.support.drain_benches", "gradients")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's gradients and masks in memory."""
    case = tmp_path / "case"

    def drain():
        rng, cuts = np.random.default_rng(reuse), random.Random(reuse)
        layers = [*ALL.values()] * 2
        hidden = [Batch.draw(cuts) for _ in layers]
        # Half of the read-outs have one short block, tile after tile.
        readouts = [Batch.draw(cuts) for _ in range(12)]
        short = [Batch(1, 1, cuts.randint(1, 3), 1, 1, 1, 0) for _ in range(6)]
        check_variety(hidden)
        check_variety(readouts)
        runs = [
            drain_run(rng, batch, layer, None, reuse)
            for batch, layer in zip(hidden, layers, strict=True)
        ]
        runs += [
            drain_run(rng, batch, Layer(size=1), loss, reuse)
            for loss in ("ce", "mse")
            for batch in readouts[loss == "mse" :: 2] + short[loss == "mse" :: 2]
        ]
        assert {run.saturated for run in runs} == {True, False}
        save(runs, case)
        return BackwardDrain(machine(reuse)), f"backward_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
