"""gen.core.backward.drain: blocks of hard sums through the drain, against golden's rows."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from backspike.gen.core.backward.drain import BackwardDrain
from backspike.gen.core.backward.loss import BACKWARD_HEADER
from backspike.gen.core.backward.unit import RECURRENCE
from backspike.gen.machine import DEPTH
from backspike.golden.half import random_halves, to_bits
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from tests.gen.core.backward.test_unit import ALL, WIDTH
from tests.support.batches import Batch, check_variety
from tests.support.coroutines import each_coroutine
from tests.support.drain_play import (
    LANES,
    Block,
    Run,
    drain_order,
    machine,
    most_cycles,
    row_of,
    rows_of,
    save,
    tile_of,
)
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import (
    Recording,
    by_sample,
    descriptor,
    gradients_of,
    integrate_back,
    settings,
)

pytestmark = pytest.mark.verilator


@dataclass
class Layer:
    """A layer's neurons (None: a read-out), and how it is drained. loss: a read-out's, or None if
    errors come for every step; turns: see `drain_order`."""

    neuron: LIF | None
    reuse: int
    loss: str | None = None
    turns: bool = False

    def run(self, rng: np.random.Generator, batch: Batch) -> Run:
        """Its blocks with random sums, and golden's results as rows: a set's neurons run back
        through all of its spans."""
        size = int(rng.integers(1, 3 * LANES + 1))
        if self.loss and batch.blocks == 1:
            size = 3 * LANES
        tiles = -(-size // LANES)
        buffer, output, gradients = int(rng.integers(2)), *map(int, rng.integers(20, size=2))
        alpha = float(rng.choice([0.25, -1.0, 65504.0]))
        learning = Learning(batch=1, loss=self.loss or "ce", alpha=alpha)  # pyright: ignore[reportArgumentType]
        config = descriptor("bp", self.neuron, learning=learning, every=not self.loss)
        bits, table = settings(
            "bp", config | {"size": size, "output_base": output, "gradient_base": gradients}
        )
        run = Run(bits, batch.batch_port(), batch.extent_port(), buffer, table=table,
                  loss=bool(self.loss))  # fmt: skip
        run.writes = {"gradients": {}, "masks": {}}
        run.memories = {"codes": {}, "logits": {}, "labels": {}}
        labels = rng.integers(0, size, (batch.sets, batch.samples))
        half = 16 * DEPTH * buffer  # readout_units * DEPTH
        for (number, s), label in np.ndenumerate(labels):
            run.memories["labels"][half + number * DEPTH + s] = int(label)
        # What waits for its turn has places of its own.
        first = int(rng.integers(16 - tiles * batch.sets * self.turns))
        whole: dict[tuple[int, int], dict[str, np.ndarray]] = {}
        for tile, at in drain_order(batch, tiles, reverse=True, turns=self.turns):
            lanes = tile * LANES + np.arange(LANES)
            logits = tile * batch.sets + at.set
            if at.tail:
                shape = (batch.all_steps, batch.samples)
                found, rows = self._drawn(rng, learning, shape, labels[at.set], lanes)
                whole[tile, at.set] = found
                for s, row in enumerate(rows):
                    run.memories["logits"][logits * DEPTH + s] = row_of(row, 16)
            own = batch.steps_of(at)
            here = {n: rows[own.start : own.stop] for n, rows in whole[tile, at.set].items()}
            samples = np.arange(batch.samples)[:, None]
            valid = (lanes < size) & (samples < batch.samples_of(at.set))  # (samples, lanes)
            place = first + logits * self.turns
            unit = output + tile * batch.blocks + at.block
            header = {"base": unit, "tile": tile, "logits": logits, "place": place, **at.fields}
            unit += gradients - output
            self._block(run, header, here, valid, len(own) * batch.samples, len(own), unit)
        return run

    def _drawn(self, rng, learning: Learning, shape: tuple[int, int], labels, lanes):
        if self.loss:
            return drawn_errors(rng, learning, shape, labels, lanes)
        return (drawn_set(rng, self.neuron, shape) if self.neuron else drawn_steps(rng, shape)), []

    def _block(
        self, run: Run, header: dict[str, int], here, valid, entries: int, steps: int, unit: int
    ) -> None:
        """unit: of its gradients; its codes are in the header's."""
        passes = 1 + isinstance(self.neuron, CubaLIF)
        most = most_cycles(steps * passes, entries // steps * self.reuse, RECURRENCE)
        block = Block(packed(BACKWARD_HEADER).pack(header), most=most)
        run.blocks.append(block)
        if not self.loss:
            block.sums = rows_of(here["sums"], WIDTH)
            touched = np.flatnonzero(here["touched"].ravel())
            block.touched = sum(1 << int(d) for d in touched)
            for d, row in enumerate(here["codes"].reshape(-1, LANES)):
                run.memories["codes"][header["base"] * DEPTH + d] = row_of(row, 5)
        run.done += header["last"]
        run.saturated |= bool((here["flags"] & valid).any())
        g = np.where(valid, here["g"], 0)
        for d, row in enumerate(g.reshape(-1, LANES)):
            run.writes["gradients"][unit * DEPTH + d] = row_of(row, 16)
        run.writes["masks"][unit] = tile_of(g != 0)


def drawn_steps(rng, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """As `drawn_set`, of a read-out that has an error in every step."""
    full = (*shape, LANES)
    generator = torch.Generator().manual_seed(int(rng.integers(99)))
    errors = random_halves(full, generator).numpy()
    errors = np.where(rng.random(full) < 0.7, np.round(rng.normal(0, 64, full)) / 64, errors)
    touched = rng.random(shape) < rng.choice([0.2, 0.9])
    errors = errors * touched[..., None]
    exact = np.frompyfunc(lambda x: int(x) << 24, 1, 1)  # more bits than 64
    a = Recording()
    g = integrate_back(a, (by_sample(errors),))
    return {
        "sums": np.asarray(exact(errors * 2.0**24)),
        "touched": touched,
        "codes": rng.integers(0, 32, full),
        "g": to_bits(g).transpose(1, 0, 2),
        "flags": torch.stack(a.flags[::-1]).numpy(),
    }


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


def drawn_set(rng, neuron: LIF, shape: tuple[int, int]) -> dict[str, np.ndarray]:
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
    codes = rng.integers(0, len(neuron.surrogate.values), full)
    spikes = (rng.random(full) < 0.4).astype(int)
    sums = tuple(by_sample(piece) * 2.0**-48 for piece in pieces)
    g, flags = gradients_of(Recording(), neuron, by_sample(spikes).double(), by_sample(codes), sums)
    return {
        "sums": whole,
        "touched": touched,
        "codes": codes | spikes << 4,
        "g": to_bits(g).transpose(1, 0, 2),
        "flags": flags.any(0).transpose(0, 1).numpy(),
    }


def drawn_runs(reuse: int) -> list[Run]:
    """Every kind of neurons, of read-outs and of order, each on a few batches."""
    rng, cuts = np.random.default_rng(reuse), random.Random(reuse)
    neurons = [*ALL.values()] * 2
    hidden = [Batch.draw(cuts) for _ in neurons]
    stepped = [Batch.draw(cuts) for _ in range(10)]
    # Half of the other read-outs have one short block, tile after tile.
    readouts = [Batch.draw(cuts) for _ in range(18)]
    short = [Batch(1, 1, cuts.randint(1, 3), 1, 1, 1, 0) for _ in range(6)]
    check_variety(hidden)
    check_variety(readouts)
    runs = [
        Layer(neuron, reuse, turns=bool((n + n // len(ALL)) % 2)).run(rng, batch)
        for n, (batch, neuron) in enumerate(zip(hidden, neurons, strict=True))
    ]
    runs += [
        Layer(None, reuse, turns=bool(n % 2)).run(rng, batch) for n, batch in enumerate(stepped)
    ]
    runs += [
        Layer(None, reuse, loss).run(rng, batch)
        for loss in ("ce", "mse")
        for batch in readouts[loss == "mse" :: 2] + short[loss == "mse" :: 2]
    ]
    assert {run.saturated for run in runs} == {True, False}
    return runs


@each_coroutine("tests.support.drain_benches", "gradients")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's gradients and masks in memory, also where
    tiles take turns."""
    case = tmp_path / "case"

    def drain():
        save(drawn_runs(reuse), case)
        return BackwardDrain(machine(reuse)), f"backward_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
