"""gen.core.backward.unit: gradients on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch

from backspike.compile.compiler import compile_network
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
from backspike.gen.machine import MACHINES
from backspike.golden import rules
from backspike.golden.arithmetic import Halves
from backspike.golden.half import random_halves, to_bits
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.sim.bench.array_bench import ArrayBench
from tests.gen.core.forward.test_unit import LAYERS
from tests.support.drain_play import machine
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import Recording, check, columns, constant, gradients_of, settings

REUSE = 2
WIDTH = BACKWARD.sum_width(machine(REUSE))
STEPS = 8
RUNS = 150
SHAPE = (RUNS, STEPS, RECURRENCE)
"""Blocks of RECURRENCE neurons, the densest that a unit can take."""
COUNT = RUNS * STEPS * RECURRENCE
LATENCY = SUM_TO_E + E_TO_G
ALL = LAYERS | {
    name: Layer(size=1, reset=reset, rule=rule, temporal=False, surrogate=LAYERS["soft"].surrogate)
    for name, reset, rule in (("instant", "hard", "bptt"), ("instant-ed", "soft", "mpd-ed"))
}

pytestmark = pytest.mark.verilator


@functools.cache
def unit() -> ArrayBench:
    return ArrayBench(BackwardUnit(reuse=REUSE, width=WIDTH), "backward_unit")


def run(layers: tuple[Layer, ...], learning: Learning, **ports: np.ndarray):
    """Outputs cycle by cycle; ports: (COUNT,) beside their slots, in the order of the slots."""
    place = np.arange(RECURRENCE)
    step = np.broadcast_to(np.arange(STEPS)[::-1, None], SHAPE)  # backward in time
    slot = columns(
        packed(slot_layout(REUSE)), COUNT, valid=1,
        phase=np.broadcast_to(place % REUSE, SHAPE).ravel(),
        sample=np.broadcast_to(place // REUSE, SHAPE).ravel(),
        fresh=(step == STEPS - 1).ravel(), final=(step == 0).ravel(),
    )  # fmt: skip
    network = Network(inputs=1, layers=layers, steps=STEPS)
    descriptor = compile_network(network, learning, MACHINES["tiny"]).descriptors["bp"][0]
    config, table = settings("bp", descriptor)
    unit()(table=np.array(table, np.uint64))

    def beside(array: np.ndarray, cycles: int) -> np.ndarray:
        ends = [(cycles, 50 - cycles)] + [(0, 0)] * (array.ndim - 1)
        return np.pad(array, ends)

    late = {name: ports.pop(name) for name in ("code", "logit", "onehot") if name in ports}
    return unit()(
        config=constant(config, BACKWARD.config.size, COUNT + 50),
        slot=beside(slot, 0),
        **{name: beside(array, 0) for name, array in ports.items()},
        **{name: beside(array, CODE_LATENCY) for name, array in late.items()},
    )


def tensor(values: np.ndarray) -> torch.Tensor:
    """In the order of the slots to golden's (B, T, 1): neurons are samples, time runs forward."""
    ordered = torch.from_numpy(np.ascontiguousarray(values)).reshape(SHAPE)
    return ordered.flip(1).transpose(1, 2).reshape(-1, STEPS, 1)


def slots(values: torch.Tensor) -> np.ndarray:
    """golden's (B, T, 1) in the order of the slots, (RUNS, STEPS, RECURRENCE)."""
    return values.reshape(RUNS, RECURRENCE, STEPS).transpose(1, 2).flip(1).numpy()


def gradients(out: dict[str, np.ndarray]) -> np.ndarray:
    return out["gradient"][LATENCY : LATENCY + COUNT].reshape(SHAPE)


@pytest.mark.parametrize("name", ALL)
def test_hidden(name):
    """Spike gradients and saturation of hard sums equal golden's, for every kind of layer."""
    layer = ALL[name]
    rng = np.random.default_rng(21)
    limbs, terms = hard_numbers(rng, COUNT, WIDTH)
    # Half of the sums small, so that not everything saturates.
    shift = np.where(rng.random(COUNT) < 0.5, 0, 1)
    small = (rng.integers(-(2**40), 2**40, COUNT) * shift).astype(np.int64)
    limbs = np.where(shift[:, None] == 1, np.stack(
        [small.astype(np.uint64),
         (small >> 63).astype(np.uint64) & np.uint64(2 ** (WIDTH - 64) - 1)], 1
    ), limbs)  # fmt: skip
    units = [np.where(shift == 1, small if n == 0 else 0, x.numpy()) * 2.0**-48
             for n, x in enumerate(terms)]  # fmt: skip
    codes = rng.integers(0, len(layer.surrogate.values), COUNT)
    spikes = rng.random(COUNT) < 0.4
    live = rng.random(COUNT) < 0.9
    both = columns(packed(CODE), COUNT, code=codes, spike=spikes)
    out = run((layer, Layer(size=1)), Learning(batch=1), sum=limbs, live=live, code=both)

    a = Recording()
    given = tuple(tensor(x) for x in units)
    want, flags = gradients_of(a, layer, tensor(spikes * 1.0), tensor(codes), given)
    masked = np.where(live.reshape(SHAPE), slots(torch.from_numpy(to_bits(want).astype(int))), 0)
    if layer.temporal:
        # A neuron that is not live hands on 0; golden knows no such thing: compare what is before.
        alive = np.logical_and.accumulate(live.reshape(SHAPE), 1)
        masked, got = np.where(alive, masked, 0), np.where(alive, gradients(out), 0)
    else:
        alive, got = live.reshape(SHAPE), gradients(out)
    check("gradients", got, masked.astype(np.uint64))
    assert alive.mean() > 0.3
    assert (masked != 0).any()

    flagged = out["saturated"][LATENCY : LATENCY + COUNT].reshape(SHAPE)
    check("saturated", np.where(alive, flagged, 0), (slots(flags) & alive).astype(np.uint64))
    assert not flagged[~live.reshape(SHAPE)].any()


def constant_logits(rng: np.random.Generator) -> np.ndarray:
    """A logit of any bits for each neuron, the same in all steps: (COUNT,)."""
    generator = torch.Generator().manual_seed(int(rng.integers(1000)))
    bits = to_bits(random_halves((RUNS, 1, RECURRENCE), generator))
    return np.broadcast_to(bits, SHAPE).ravel()


@pytest.mark.parametrize("alpha", [0.25, -1.0, 65504.0, 0.0])
def test_squared_loss(alpha):
    """The squared error of random logits equals golden's, for ordinary and extreme α."""
    rng = np.random.default_rng(22)
    logits = constant_logits(rng)
    onehot = np.broadcast_to(rng.random((RUNS, 1, RECURRENCE)) < 0.3, SHAPE).ravel()
    live = np.ones(COUNT, bool)
    out = run((Layer(size=1),), Learning(batch=1, loss="mse", alpha=alpha),
              live=live, logit=logits, onehot=onehot)  # fmt: skip
    one = slice(0, None)
    o = torch.from_numpy(logits.view(np.float16).astype(float)).reshape(SHAPE)[:, 0, one]
    hot = torch.from_numpy(onehot.reshape(SHAPE)[:, 0])
    # Two classes, label 0 where hot: the error of class 0.
    pairs = torch.stack([o.flatten(), torch.zeros(o.numel()).double()], 1)
    labels = torch.where(hot.flatten(), 0, 1)
    a = Halves()
    error = rules.squared_error(a, pairs, labels, alpha)[:, 0]
    want = to_bits(error).reshape(RUNS, 1, RECURRENCE)
    check("gradients", gradients(out), np.broadcast_to(want, SHAPE).astype(np.uint64))
    # Every step hands the error on by adding 0, which cannot saturate again.
    assert out["saturated"].any() == a.saturated


def test_error_of_the_host():
    """It is handed on unchanged to every step."""
    rng = np.random.default_rng(23)
    logits = constant_logits(rng)
    live = rng.random((RUNS, 1, RECURRENCE)) < 0.8
    live = np.broadcast_to(live, SHAPE).ravel()
    onehot = rng.random(COUNT) < 0.5  # does not matter
    out = run((Layer(size=1),), Learning(batch=1), live=live, logit=logits, onehot=onehot)
    check("gradients", gradients(out).ravel(), np.where(live, logits, 0).astype(np.uint64))
    assert not out["saturated"].any()
