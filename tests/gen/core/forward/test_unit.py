"""gen.core.forward.unit: updates of neurons on hard sums against golden."""

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from backspike.gen.core.engines import FORWARD
from backspike.gen.core.forward.unit import (
    RECURRENCE,
    SUM_TO_U,
    U_TO_CODE,
    U_TO_V,
    ForwardUnit,
)
from backspike.gen.core.shared.time_sequencer import slot_layout
from backspike.golden import neurons
from backspike.golden.half import to_bits
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import Surrogate, fast_sigmoid, rectangle, triangle
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.drain_play import machine
from tests.support.fixed import as_numbers, hard_numbers
from tests.support.streams import packed
from tests.support.units import (
    Recording,
    check,
    columns,
    constant,
    descriptor,
    fire,
    integrate,
    settings,
)

REUSE = 2
WIDTH = FORWARD.sum_width(machine(REUSE))
STEPS = 8
PLACES = 4
RUNS = 120
"""Blocks of RECURRENCE neurons, the densest that a unit can take: some ten thousand updates."""

TABLE = Surrogate("table", (-1.0, -0.5, 0.0, 0.25), (0.5, 0.0, -1.0, 2.0, 0.0))
NEURONS = {
    "hard": LIF(),
    "soft": LIF(reset="soft", leak=0.9, surrogate=triangle()),
    "no-leak": LIF(leak=1.0, threshold=0.0, reset="soft", surrogate=fast_sigmoid()),
    "all-leak": LIF(leak=0.0, threshold=-2.5, surrogate=TABLE),
    "smallest": LIF(leak=2.0**-24, threshold=2.0**-24, reset="soft", rule="mpd-ed"),
    "lowest": LIF(threshold=-65504.0, reset="soft", rule="mpd-ed", surrogate=TABLE),
    "highest": LIF(threshold=65504.0, reset="soft", surrogate=rectangle(8.0)),
    "current": CubaLIF(synapse=0.9, leak=0.75, surrogate=triangle()),
    "soft-current": CubaLIF(synapse=0.5, leak=0.9, reset="soft", surrogate=TABLE, rule="mpd-ed"),
    "no-current": CubaLIF(synapse=0.0, leak=1.0, threshold=0.5, reset="soft"),
    "all-current": CubaLIF(synapse=1.0, leak=0.9),
}

pytestmark = pytest.mark.verilator


@functools.cache
def unit(fine: int = 0) -> ArrayBench:
    made = ForwardUnit(width=WIDTH + fine, reuse=REUSE, places=PLACES, fine=fine)
    return ArrayBench(made, f"forward_unit_{fine}")


def sums(rng: np.random.Generator, count: int, threshold: float, fine: int = 0):
    """Hard numbers, and numbers on the halves about the threshold: limbs and terms."""
    limbs, terms = hard_numbers(rng, count, WIDTH + fine)
    near = rng.random(count) < 0.5
    grid = np.round(rng.normal(threshold, 1.5, count) * 2.0**10) / 2.0**10
    few = np.round(rng.normal(0, 1.5, count) * 4) / 4
    close = np.where(rng.random(count) < 0.5, grid, threshold + few)
    close = np.clip(close, -60000, 60000)
    units = tuple(
        x.numpy() / 2.0 ** (24 + fine) for x in terms[:2]
    )  # the third has bits from 66 up
    limbs = np.where(near, as_numbers(close, 24 + fine, WIDTH + fine), limbs)
    mixed = [np.where(near, close if n == 0 else 0.0, x) for n, x in enumerate(units)]
    return limbs, mixed


@dataclass(frozen=True)
class Block:
    """In which order neurons are updated: of one tile, or of tiles that take turns step by step;
    of those with a current in two passes."""

    tiles: int
    passes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of slots."""
        return (RUNS, STEPS, self.tiles, self.passes, RECURRENCE)

    @property
    def updates(self) -> tuple[int, ...]:
        """Of updates, which end with the last pass."""
        return (RUNS, STEPS, self.tiles, RECURRENCE)

    def slots(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(slot, place) of each."""
        neuron = np.arange(RECURRENCE)
        count = int(np.prod(self.shape))
        step, second = (
            np.broadcast_to(np.arange(n).reshape(shape), self.shape).ravel()
            for n, shape in ((STEPS, (-1, 1, 1, 1)), (self.passes, (-1, 1)))
        )
        slot = columns(
            packed(slot_layout(REUSE)), count, valid=1, second=second,
            phase=np.broadcast_to(neuron % REUSE, self.shape).ravel(),
            sample=np.broadcast_to(neuron // REUSE, self.shape).ravel(),
            fresh=step == 0, final=step == STEPS - 1,
        )  # fmt: skip
        places = np.stack([rng.permutation(PLACES)[: self.tiles] for _ in range(RUNS)])
        return slot, np.broadcast_to(places[:, None, :, None, None], self.shape).ravel()

    def each_pass(self, values: np.ndarray) -> np.ndarray:
        """What belongs to an update, in each of its passes."""
        parts = values.reshape(*self.updates[:3], 1, RECURRENCE, *values.shape[1:])
        return np.repeat(parts, self.passes, 3).reshape(-1, *values.shape[1:])

    def of_slots(self, values: np.ndarray, latency: int) -> np.ndarray:
        """A port's values in the order of the slots, as their shape."""
        return values[latency : latency + int(np.prod(self.shape))].reshape(self.shape)

    def of_updates(self, values: np.ndarray, latency: int) -> np.ndarray:
        return self.of_slots(values, latency)[:, :, :, -1]

    def given(self, values: np.ndarray) -> torch.Tensor:
        """Updates as golden's: neurons as samples of one neuron, (B, T, 1)."""
        ordered = torch.from_numpy(np.ascontiguousarray(values)).reshape(self.updates)
        return ordered.permute(0, 2, 3, 1).reshape(-1, STEPS, 1)

    def in_order(self, tensor: torch.Tensor) -> np.ndarray:
        """golden's (B, T, 1) in the order of the updates."""
        ordered = tensor.reshape(RUNS, self.tiles, RECURRENCE, STEPS)
        return ordered.permute(0, 3, 1, 2).numpy()


def run(neuron: LIF | None, block: Block, seed: int, fine: int = 0):
    """(outputs by cycle, golden's sums, live by update). fine: places of sums below 2^-24."""
    rng = np.random.default_rng(seed)
    count = int(np.prod(block.updates))
    limbs, terms = sums(rng, count, neuron.threshold if neuron else 1.0, fine)
    live = rng.random(count) < 0.9
    slot, place = block.slots(rng)
    config, table = settings("fp", descriptor("fp", neuron))
    unit(fine)(table=np.array(table, np.uint64))
    pad = [(0, 50)]
    given = block.each_pass(limbs)
    if block.passes == 2:  # the sum matters in the first pass alone
        noise = rng.integers(0, 2**63, given.shape[0]).astype(np.uint64)
        parts = given.reshape(*block.shape, -1)
        parts[:, :, :, 1, :, 0] ^= noise.reshape(block.shape)[:, :, :, 1]
        given = parts.reshape(given.shape)
    wide = [(0, 50)] + [(0, 0)] * (given.ndim - 1)
    out = unit(fine)(
        config=constant(config, FORWARD.config.size, len(slot) + 50),
        slot=np.pad(slot, pad),
        place=np.pad(place, pad),
        sum=np.pad(given, wide),
        live=np.pad(block.each_pass(live), pad),
    )
    return out, tuple(block.given(x) for x in terms), live.reshape(block.updates)


def pad_flags(flags: np.ndarray, latency: int, length: int) -> np.ndarray:
    found = np.zeros(length, bool)
    found[latency : latency + flags.size] = flags.ravel()
    return found


CASES = [(name, tiles, 0) for name in NEURONS for tiles in (1, 2)]
CASES += [(name, 1, 6) for name in ("soft", "no-leak", "smallest", "current")]


@pytest.mark.parametrize(("name", "tiles", "fine"), CASES)
def test_hidden(name, tiles, fine):
    """Spikes, codes, activity, potentials and saturation of hard sums equal golden's, though tiles
    take turns."""
    neuron = NEURONS[name]
    current, soft = isinstance(neuron, CubaLIF), neuron.reset == "soft"
    block = Block(tiles, 1 + current)
    out, given, live = run(neuron, block, 11, fine)
    a = Recording()
    spikes, codes = fire(a, neuron, given)

    def same(name: str, want: torch.Tensor) -> None:
        got = block.of_updates(out[name], SUM_TO_U + U_TO_CODE)
        check(name, got, block.in_order(want).astype(np.uint64))

    same("spike", spikes)
    same("code", codes)
    same("active", neurons.passed(neuron, spikes, codes) != 0)
    each = 1 + current + soft  # roundings of a step: i, u, v
    u = torch.stack(a.rounded[current::each], 1)
    same("logit", torch.from_numpy(to_bits(u).astype(int)))
    if current:
        first_pass = block.of_slots(out["spike"], SUM_TO_U + U_TO_CODE)[:, :, :, 0]
        assert not first_pass.any(), "a current spikes"

    flags = [block.in_order(torch.stack(a.flags[n::each], 1)) & live for n in range(each)]
    cycles = len(out["saturated"])
    by_pass = np.stack(flags[: block.passes], 3)
    want = pad_flags(by_pass, SUM_TO_U, cycles)
    if soft:
        by_pass = np.stack([np.zeros_like(live)] * current + [flags[-1]], 3)
        want |= pad_flags(by_pass, SUM_TO_U + U_TO_V, cycles)
    assert all(flag.any() for flag in flags[: block.passes]), "the sums are too easy"
    check("saturated", out["saturated"], want.astype(np.uint64))
    fired = spikes.mean()
    assert 0.02 < fired < 0.999 or name in ("lowest", "highest"), f"{fired} of neurons spike"


def test_readout():
    """The read-out's potentials equal golden's, and no spike is made."""
    block = Block(1, 1)
    out, given, _ = run(None, block, 12)
    a = Recording()
    integrate(a, given)
    latency = SUM_TO_U + U_TO_CODE
    u = torch.from_numpy(to_bits(torch.stack(a.rounded, 1)).astype(int))
    check("logits", block.of_updates(out["logit"], latency), block.in_order(u).astype(np.uint64))
    assert not block.of_updates(out["spike"], latency).any()
