"""gen.core.backward.unit: gradients on hard sums against golden."""

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from backspike.gen.core.backward.unit import (
    CODE_LATENCY,
    E_TO_G,
    RECURRENCE,
    SUM_TO_E,
    BackwardUnit,
)
from backspike.gen.core.engines import BACKWARD
from backspike.gen.core.forward.unit import CODE
from backspike.gen.core.shared.time_sequencer import slot_layout
from backspike.golden import rules
from backspike.golden.arithmetic import Halves
from backspike.golden.half import random_halves, to_bits
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.sim.bench.array_bench import ArrayBench, to_limbs
from tests.gen.core.forward.test_unit import NEURONS
from tests.support.drain_play import machine
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import (
    Recording,
    check,
    columns,
    constant,
    descriptor,
    gradients_of,
    integrate_back,
    settings,
)

REUSE = 2
WIDTH = BACKWARD.sum_width(machine(REUSE))
STEPS = 8
PLACES = 4
RUNS = 120
"""Blocks of RECURRENCE neurons, the densest that a unit can take."""
LATENCY = SUM_TO_E + E_TO_G
ALL = NEURONS | {
    "instant": LIF(temporal=False, surrogate=NEURONS["soft"].surrogate),
    "instant-ed": LIF(
        temporal=False, surrogate=NEURONS["soft"].surrogate, reset="soft", rule="mpd-ed"
    ),
    "instant-current": CubaLIF(temporal=False, surrogate=NEURONS["soft"].surrogate, synapse=0.75),
}

pytestmark = pytest.mark.verilator


@functools.cache
def unit() -> ArrayBench:
    return ArrayBench(BackwardUnit(reuse=REUSE, width=WIDTH, places=PLACES), "backward_unit")


@dataclass(frozen=True)
class Block:
    """In which order neurons are updated: of one tile, or of tiles that take turns step by step;
    of those with a current in two passes."""

    tiles: int = 1
    passes: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of updates."""
        return (RUNS, STEPS, self.tiles, RECURRENCE)

    @property
    def count(self) -> int:
        return int(np.prod(self.shape))

    def each_pass(self, values: np.ndarray) -> np.ndarray:
        """What belongs to an update, in each of its passes, in the order of the slots."""
        parts = values.reshape(*self.shape[:3], 1, RECURRENCE, *values.shape[1:])
        return np.repeat(parts, self.passes, 3).reshape(-1, *values.shape[1:])

    def slots(self) -> tuple[np.ndarray, np.ndarray]:
        """(slot, place) of each; steps go backward in time."""
        shape = (*self.shape[:3], self.passes, RECURRENCE)
        step, second = (
            np.broadcast_to(np.arange(n).reshape(sizes), shape).ravel()
            for n, sizes in ((STEPS, (-1, 1, 1, 1)), (self.passes, (-1, 1)))
        )
        neuron = np.arange(RECURRENCE)
        slot = columns(
            packed(slot_layout(REUSE)), self.count * self.passes, valid=1, second=second,
            phase=np.broadcast_to(neuron % REUSE, shape).ravel(),
            sample=np.broadcast_to(neuron // REUSE, shape).ravel(),
            fresh=step == 0, final=step == STEPS - 1,
        )  # fmt: skip
        rng = np.random.default_rng(3)
        places = np.stack([rng.permutation(PLACES)[: self.tiles] for _ in range(RUNS)])
        return slot, np.broadcast_to(places[:, None, :, None, None], shape).ravel()

    def run(self, config: dict[str, int], **ports: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs cycle by cycle; ports: of updates, in their order."""
        slot, place = self.slots()
        bits, table = settings("bp", config)
        unit()(table=np.array(table, np.uint64))
        ports = {name: self.each_pass(array) for name, array in ports.items()}
        if self.passes == 2:  # the sum matters in the first pass alone
            parts = ports["sum"].reshape(*self.shape[:3], 2, RECURRENCE, -1)
            parts[:, :, :, 1] = parts[:, :, :, 1, ::-1]

        def beside(array: np.ndarray, cycles: int) -> np.ndarray:
            ends = [(cycles, 50 - cycles)] + [(0, 0)] * (array.ndim - 1)
            return np.pad(array, ends)

        late = {name: ports.pop(name) for name in ("code", "logit", "onehot") if name in ports}
        return unit()(
            config=constant(bits, BACKWARD.config.size, len(slot) + 50),
            slot=beside(slot, 0),
            place=beside(place, 0),
            **{name: beside(array, 0) for name, array in ports.items()},
            **{name: beside(array, CODE_LATENCY) for name, array in late.items()},
        )

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        """In the order of updates to golden's (B, T, 1): neurons are samples, time runs forward."""
        ordered = torch.from_numpy(np.ascontiguousarray(values)).reshape(self.shape)
        return ordered.flip(1).permute(0, 2, 3, 1).reshape(-1, STEPS, 1)

    def updates(self, values: torch.Tensor) -> np.ndarray:
        """golden's (B, T, 1) in the order of updates."""
        ordered = values.reshape(RUNS, self.tiles, RECURRENCE, STEPS)
        return ordered.permute(0, 3, 1, 2).flip(1).numpy()

    def of_slots(self, values: np.ndarray) -> np.ndarray:
        """A port's, (RUNS, STEPS, tiles, passes, RECURRENCE)."""
        shape = (*self.shape[:3], self.passes, RECURRENCE)
        return values[LATENCY : LATENCY + int(np.prod(shape))].reshape(shape)

    def gradients(self, out: dict[str, np.ndarray]) -> np.ndarray:
        return self.of_slots(out["gradient"])[:, :, :, -1]


def hard_sums(rng: np.random.Generator, count: int):
    """Limbs and terms; half of them small, so that not everything saturates."""
    limbs, terms = hard_numbers(rng, count, WIDTH)
    shift = np.where(rng.random(count) < 0.5, 0, 1)
    small = (rng.integers(-(2**40), 2**40, count) * shift).astype(np.int64)
    limbs = np.where(shift[:, None] == 1, np.stack(
        [small.astype(np.uint64),
         (small >> 63).astype(np.uint64) & np.uint64(2 ** (WIDTH - 64) - 1)], 1
    ), limbs)  # fmt: skip
    units = [np.where(shift == 1, small if n == 0 else 0, x.numpy()) * 2.0**-48
             for n, x in enumerate(terms)]  # fmt: skip
    return limbs, units


@pytest.mark.parametrize("tiles", [1, 2])
@pytest.mark.parametrize("name", ALL)
def test_hidden(name, tiles):
    """Gradients and saturation of hard sums equal golden's, for every kind of neurons, though tiles
    take turns."""
    neuron = ALL[name]
    current = isinstance(neuron, CubaLIF)
    block = Block(tiles, 1 + current)
    count = block.count
    rng = np.random.default_rng(21)
    limbs, units = hard_sums(rng, count)
    codes = rng.integers(0, len(neuron.surrogate.values), count)
    spikes = rng.random(count) < 0.4
    live = rng.random(count) < 0.9
    both = columns(packed(CODE), count, code=codes, spike=spikes)
    out = block.run(descriptor("bp", neuron), sum=limbs, live=live, code=both)

    a = Recording()
    given = tuple(block.tensor(x) for x in units)
    want, flags = gradients_of(a, neuron, block.tensor(spikes * 1.0), block.tensor(codes), given)
    live = live.reshape(block.shape)
    masked = np.where(live, block.updates(torch.from_numpy(to_bits(want).astype(int))), 0)
    if neuron.temporal:
        # A neuron that is not live hands on 0; golden knows no such thing: compare what is before.
        alive = np.logical_and.accumulate(live, 1)
        masked, got = np.where(alive, masked, 0), np.where(alive, block.gradients(out), 0)
    else:
        alive, got = live, block.gradients(out)
    check("gradients", got, masked.astype(np.uint64))
    assert alive.mean() > 0.3
    assert (masked != 0).any()

    # Of e and g in the first pass, of a current's q in the second.
    first = (flags[0] | flags[1], *flags[2:])
    want_flags = [block.updates(flag) & alive for flag in first]
    want_flags += [np.zeros_like(alive)] * (block.passes - len(want_flags))
    flagged = block.of_slots(out["saturated"])
    for n, flag in enumerate(want_flags):
        got = np.where(alive, flagged[:, :, :, n], 0)
        check(f"saturated in pass {n}", got, flag.astype(np.uint64))
        assert not flagged[:, :, :, n][~live].any()


def test_errors_of_every_step():
    """A read-out adds up its errors, of whatever codes there are: h and κ are 1."""
    block = Block(2)
    rng = np.random.default_rng(24)
    generator = torch.Generator().manual_seed(24)
    errors = random_halves((block.count,), generator).numpy()
    small = np.round(rng.normal(0, 256, block.count)) / 256
    errors = np.where(rng.random(block.count) < 0.7, small, errors)
    exact = [int(x) << 24 for x in errors * 2.0**24]
    codes = rng.integers(0, 32, block.count)
    live = np.broadcast_to(rng.random((RUNS, 1, 2, RECURRENCE)) < 0.8, block.shape)
    config = descriptor("bp", None, every=True)
    assert config["integrate"]
    # What else is said of its neurons does not matter.
    config |= {"spikes_only": 1, "temporal": 0, "soft": 0, "leak": 0x3800}
    out = block.run(config, sum=to_limbs(exact, WIDTH), live=live.ravel(), code=codes)
    a = Recording()
    want = integrate_back(a, (block.tensor(errors),))
    bits = block.updates(torch.from_numpy(to_bits(want).astype(int)))
    check("gradients", block.gradients(out), np.where(live, bits, 0).astype(np.uint64))
    flags = block.updates(torch.stack(a.flags[::-1], 1)) & live
    assert flags.any()
    got = block.of_slots(out["saturated"])[:, :, :, 0]
    check("saturated", got, flags.astype(np.uint64))


ONE = Block()


def constant_logits(rng: np.random.Generator) -> np.ndarray:
    """A logit of any bits for each neuron, the same in all steps: of updates."""
    generator = torch.Generator().manual_seed(int(rng.integers(1000)))
    bits = to_bits(random_halves((RUNS, 1, 1, RECURRENCE), generator))
    return np.broadcast_to(bits, ONE.shape).ravel()


@pytest.mark.parametrize("alpha", [0.25, -1.0, 65504.0, 0.0])
def test_squared_loss(alpha):
    """The squared error of random logits equals golden's, for ordinary and extreme α."""
    rng = np.random.default_rng(22)
    logits = constant_logits(rng)
    onehot = np.broadcast_to(rng.random((RUNS, 1, 1, RECURRENCE)) < 0.3, ONE.shape).ravel()
    live = np.ones(ONE.count, bool)
    learning = Learning(batch=1, loss="mse", alpha=alpha)
    config = descriptor("bp", None, learning=learning)
    out = ONE.run(config, live=live, logit=logits, onehot=onehot)
    o = torch.from_numpy(logits.view(np.float16).astype(float)).reshape(ONE.shape)[:, 0]
    hot = torch.from_numpy(onehot.reshape(ONE.shape)[:, 0])
    # Two classes, label 0 where hot: the error of class 0.
    pairs = torch.stack([o.flatten(), torch.zeros(o.numel()).double()], 1)
    labels = torch.where(hot.flatten(), 0, 1)
    a = Halves()
    error = rules.squared_error(a, pairs, labels, alpha)[:, 0]
    want = to_bits(error).reshape(RUNS, 1, 1, RECURRENCE)
    check("gradients", ONE.gradients(out), np.broadcast_to(want, ONE.shape).astype(np.uint64))
    # Every step hands the error on by adding 0, which cannot saturate again.
    assert out["saturated"].any() == a.saturated


def test_error_of_the_host():
    """It is handed on unchanged to every step."""
    rng = np.random.default_rng(23)
    logits = constant_logits(rng)
    live = rng.random((RUNS, 1, 1, RECURRENCE)) < 0.8
    live = np.broadcast_to(live, ONE.shape).ravel()
    onehot = rng.random(ONE.count) < 0.5  # does not matter
    out = ONE.run(descriptor("bp", None), live=live, logit=logits, onehot=onehot)
    want = np.where(live, logits, 0).astype(np.uint64)
    check("gradients", ONE.gradients(out).ravel(), want)
    assert not out["saturated"].any()
