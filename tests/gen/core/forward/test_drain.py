"""gen.core.forward.drain: blocks of hard sums through the drain, against golden's rows."""

import random
from dataclasses import dataclass

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
from backspike.ir.neuron import LIF, CubaLIF
from tests.gen.core.forward.test_unit import NEURONS, WIDTH, sums
from tests.support.batches import Batch, Place, check_variety
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
from tests.support.streams import packed
from tests.support.units import (
    Recording,
    by_sample,
    descriptor,
    fire,
    integrate,
    settings,
)

pytestmark = pytest.mark.verilator


def drawn_set(rng: np.random.Generator, neuron: LIF | None, shape: tuple[int, int]):
    """Sums of a tile and set through all T steps, and golden's results, (T, samples, lanes)."""
    full = (*shape, LANES)
    numbers, terms = sums(rng, int(np.prod(full)), neuron.threshold if neuron else 1.0)
    signed = numbers.astype(np.int64) << 64 - WIDTH >> 64 - WIDTH
    units = tuple(by_sample(x.reshape(full)) for x in terms)
    a = Recording()
    found = {"sums": signed.reshape(full)}
    if neuron is None:
        integrate(a, units)
        logits = np.stack([to_bits(u) for u in a.rounded])
        return found | {"logits": logits, "flags": torch.stack(a.flags).numpy()}
    spikes, codes = fire(a, neuron, units)
    needed = neurons.passed(neuron, spikes, codes) != 0
    each = len(a.flags) // shape[0]  # roundings of a step
    flags = torch.stack([torch.stack(a.flags[n::each]) for n in range(each)]).any(0)
    results = {"codes": codes + 16 * spikes.long(), "spikes": spikes.bool(), "needed": needed}
    by_step = {name: values.transpose(0, 1).numpy() for name, values in results.items()}
    return found | by_step | {"flags": flags.numpy()}


@dataclass
class Layer:
    """A layer's neurons (None: a read-out), and how it is drained. every: logits of every step;
    turns: see `drain_order`; batches: so many, whose neurons go on from one to the next."""

    neuron: LIF | None
    reuse: int
    every: bool = False
    turns: bool = False
    batches: int = 1

    def runs(self, rng: np.random.Generator, batch: Batch) -> list[Run]:
        """Its blocks with random sums, and golden's results as rows: a set's neurons run through
        all of its spans."""
        tiles = int(rng.integers(1, 1 + (16 // batch.blocks if self.neuron is None else 3)))
        tiles = min(tiles, 3)
        size = tiles * LANES - int(rng.integers(LANES))
        output = 0 if self.neuron is None else int(rng.integers(20))
        config = descriptor("fp", self.neuron, every=self.every) | {"size": size}
        steps = batch.all_steps * self.batches
        whole = {
            (tile, number): drawn_set(rng, self.neuron, (steps, batch.samples))
            for tile in range(tiles)
            for number in range(batch.sets)
        }
        # What waits for its turn has places of its own.
        keep = self.turns or self.batches > 1
        first = int(rng.integers(16 - tiles * batch.sets * keep))
        bits, table = settings("fp", config)
        runs = []
        for part in range(self.batches):
            buffer = int(rng.integers(2))
            run = Run(bits, batch.batch_port(), batch.extent_port(), buffer, table=table)
            run.carry = int(part > 0)
            run.writes = {name: {} for name in ("spikes", "active", "codes", "logits")}
            for tile, at in drain_order(batch, tiles, turns=self.turns):
                begin = part * batch.all_steps + batch.steps_of(at).start
                end = begin + len(batch.steps_of(at))
                here = {name: rows[begin:end] for name, rows in whole[tile, at.set].items()}
                place = first + (tile * batch.sets + at.set) * keep
                self._block(run, batch, at, tile, here, size=size, output=output, place=place)
            runs.append(run)
        return runs

    def _block(
        self, run: Run, batch: Batch, at: Place, tile: int, here, *, size: int, output: int, place
    ) -> None:
        steps = len(batch.steps_of(at))
        samples = np.arange(batch.samples)[:, None]
        # (samples, lanes)
        valid = (np.arange(LANES) < size - tile * LANES) & (samples < batch.samples_of(at.set))
        unit = output + tile * batch.blocks + at.block
        if self.neuron is None and not self.every:
            unit = tile * batch.sets + at.set
        header = packed(HEADER).pack(base=unit, tile=tile, place=place, **at.fields)
        passes = 1 + isinstance(self.neuron, CubaLIF)
        most = most_cycles(steps * passes, batch.samples * self.reuse, RECURRENCE)
        run.blocks.append(Block(header, rows_of(here["sums"], WIDTH), most=most))
        run.done += at.last
        run.saturated |= bool((here["flags"] & valid).any())
        if self.neuron is not None:
            for d, row in enumerate(here["codes"].reshape(-1, LANES)):
                run.writes["codes"][unit * DEPTH + d] = row_of(row, 5)
            run.writes["spikes"][run.buffer << 6 | unit] = tile_of(here["spikes"] & valid)
            active = (here["needed"] & valid).any(-1, keepdims=True)
            run.writes["active"][unit] = tile_of(active)
        elif self.every or at.tail:
            kept = here["logits"] if self.every else here["logits"][-1]
            for n, row in enumerate(kept.reshape(-1, LANES)):
                run.writes["logits"][unit * DEPTH + n] = row_of(row, 16)


def drawn_runs(reuse: int) -> list[Run]:
    """Every kind of neurons, of read-outs and of order, each on a few batches."""
    rng, cuts = np.random.default_rng(reuse), random.Random(reuse)
    runs, drawn = [], {"hidden": [], "readout": []}
    modes = [{}, {"turns": True}, {"batches": 2}, {"turns": True, "batches": 2}]
    for n, neuron in enumerate([*NEURONS.values()] * 2):
        drawn["hidden"].append(Batch.draw(cuts))
        layer = Layer(neuron, reuse, **modes[(n + n // len(NEURONS)) % 4])
        runs += layer.runs(rng, drawn["hidden"][-1])
    for n in range(16):
        drawn["readout"].append(Batch.draw(cuts))
        layer = Layer(None, reuse, every=bool(n // 4 % 2), **modes[n % 4])
        runs += layer.runs(rng, drawn["readout"][-1])
    for batches in drawn.values():
        check_variety(batches)
    assert {run.saturated for run in runs} == {True, False}
    return runs


@each_coroutine("tests.support.drain_benches", "neurons")
@pytest.mark.parametrize("reuse", [1, 4])  # 2: test_engine
def test_drain(reuse, simulated, tmp_path):
    """Blocks drained with random sums leave golden's spikes, codes and logits in memory, also where
    tiles take turns, and where neurons go on from batch to batch."""
    case = tmp_path / "case"

    def drain():
        save(drawn_runs(reuse), case)
        return ForwardDrain(machine(reuse)), f"forward_drain_{reuse}_bench", {"path": str(case)}

    simulated(drain)
