"""gen.core.forward.unit: updates of neurons on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch

from backspike.compile.compiler import compile_network
from backspike.gen.core.engines import FORWARD
from backspike.gen.core.forward.unit import (
    RECURRENCE,
    SUM_TO_U,
    U_TO_CODE,
    U_TO_V,
    ForwardUnit,
)
from backspike.gen.core.shared.time_sequencer import slot_layout
from backspike.gen.machine import MACHINES
from backspike.golden import neurons
from backspike.golden.half import to_bits
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.ir.surrogate import Surrogate, fast_sigmoid, rectangle, triangle
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.drain_play import machine
from tests.support.fixed import as_numbers, hard_numbers
from tests.support.streams import packed
from tests.support.units import Recording, check, columns, constant, fire, integrate, settings

REUSE = 2
WIDTH = FORWARD.sum_width(machine(REUSE))
STEPS = 8
RUNS = 150
"""Blocks of RECURRENCE neurons, the densest that a unit can take: some ten thousand updates."""

TABLE = Surrogate("table", (-1.0, -0.5, 0.0, 0.25), (0.5, 0.0, -1.0, 2.0, 0.0))
LAYERS = {
    "hard": Layer(size=1),
    "soft": Layer(size=1, reset="soft", leak=0.9, surrogate=triangle()),
    "no-leak": Layer(size=1, leak=1.0, threshold=0.0, reset="soft", surrogate=fast_sigmoid()),
    "all-leak": Layer(size=1, leak=0.0, threshold=-2.5, surrogate=TABLE),
    "smallest": Layer(size=1, leak=2.0**-24, threshold=2.0**-24, reset="soft", rule="mpd-ed"),
    "lowest": Layer(size=1, threshold=-65504.0, reset="soft", rule="mpd-ed", surrogate=TABLE),
    "highest": Layer(size=1, threshold=65504.0, reset="soft", surrogate=rectangle(8.0)),
}

pytestmark = pytest.mark.verilator


@functools.cache
def unit() -> ArrayBench:
    return ArrayBench(ForwardUnit(width=WIDTH, reuse=REUSE), "forward_unit")


def sums(rng: np.random.Generator, count: int, threshold: float):
    """Hard numbers, and numbers on the halves about the threshold: limbs and terms."""
    limbs, terms = hard_numbers(rng, count, WIDTH)
    near = rng.random(count) < 0.5
    grid = np.round(rng.normal(threshold, 1.5, count) * 2.0**10) / 2.0**10
    few = np.round(rng.normal(0, 1.5, count) * 4) / 4
    close = np.where(rng.random(count) < 0.5, grid, threshold + few)
    close = np.clip(close, -60000, 60000)
    units = tuple(x.numpy() / 2.0**24 for x in terms[:2])  # the third has bits from 66 up
    limbs = np.where(near, as_numbers(close, 24, WIDTH), limbs)
    mixed = [np.where(near, close if n == 0 else 0.0, x) for n, x in enumerate(units)]
    return limbs, mixed


def descriptor(layer: Layer, readout: bool) -> dict[str, int]:
    """As the compiler makes it."""
    layers = (layer,) if readout else (layer, Layer(size=1))
    network = Network(inputs=1, layers=layers, steps=STEPS)
    return compile_network(network, Learning(batch=1), MACHINES["tiny"]).descriptors["fp"][0]


def run(layer: Layer, readout: bool, seed: int):
    """(outputs by update, golden's sums, live): arrays (RUNS, STEPS, RECURRENCE)."""
    rng = np.random.default_rng(seed)
    shape = (RUNS, STEPS, RECURRENCE)
    count = RUNS * STEPS * RECURRENCE
    limbs, terms = sums(rng, count, layer.threshold)
    live = rng.random(count) < 0.9
    place = np.arange(RECURRENCE)  # a place of its own for each neuron, phases and samples mixed
    step = np.broadcast_to(np.arange(STEPS)[:, None], shape)
    slot = columns(
        packed(slot_layout(REUSE)), count, valid=1,
        phase=np.broadcast_to(place % REUSE, shape).ravel(),
        sample=np.broadcast_to(place // REUSE, shape).ravel(),
        fresh=(step == 0).ravel(), final=(step == STEPS - 1).ravel(),
    )  # fmt: skip
    config, table = settings("fp", descriptor(layer, readout))
    unit()(table=np.array(table, np.uint64))
    pad = [(0, 50)]
    out = unit()(
        config=constant(config, FORWARD.config.size, count + 50),
        slot=np.pad(slot, pad),
        sum=np.pad(limbs, pad),
        live=np.pad(live, pad),
    )
    given = tuple(
        torch.from_numpy(x.reshape(shape)).transpose(1, 2).reshape(-1, STEPS, 1) for x in terms
    )
    # Neurons as samples of one neuron: (B, T, 1).
    return out, given, live.reshape(shape)


def by_update(values: np.ndarray, latency: int) -> np.ndarray:
    """A port's values in the order of the updates, (RUNS, STEPS, RECURRENCE)."""
    return values[latency : latency + RUNS * STEPS * RECURRENCE].reshape(RUNS, STEPS, RECURRENCE)


def in_order(tensor: torch.Tensor) -> np.ndarray:
    """golden's (B, T, 1) likewise."""
    return tensor.reshape(RUNS, RECURRENCE, STEPS).transpose(1, 2).numpy()


def pad_flags(flags: np.ndarray, latency: int, length: int) -> np.ndarray:
    found = np.zeros(length, bool)
    found[latency : latency + flags.size] = flags.ravel()
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_hidden(name):
    """Spikes, codes, activity, potentials and saturation of hard sums equal golden's."""
    layer = LAYERS[name]
    out, given, live = run(layer, False, 11)
    a = Recording()
    spikes, codes = fire(a, layer, given)

    latency = SUM_TO_U + U_TO_CODE
    check("spikes", by_update(out["spike"], latency), in_order(spikes).astype(np.uint64))
    check("codes", by_update(out["code"], latency), in_order(codes).astype(np.uint64))
    active = neurons.passed(layer.neuron, spikes, codes) != 0
    check("active", by_update(out["active"], latency), in_order(active).astype(np.uint64))

    soft = layer.reset == "soft"
    u = torch.stack(a.rounded[:: 1 + soft], 1)
    logits = to_bits(u).reshape(RUNS, RECURRENCE, STEPS).transpose(0, 2, 1)
    check("u", by_update(out["logit"], latency), logits.astype(np.uint64))
    flags_u = in_order(torch.stack(a.flags[:: 1 + soft], 1)) & live
    cycles = len(out["saturated"])
    want = pad_flags(flags_u, SUM_TO_U, cycles)
    if soft:
        flags_v = in_order(torch.stack(a.flags[1::2], 1)) & live
        want |= pad_flags(flags_v, SUM_TO_U + U_TO_V, cycles)
    assert want.any(), "nothing saturates: the sums are too easy"
    check("saturated", out["saturated"], want.astype(np.uint64))
    fired = spikes.mean()
    assert 0.02 < fired < 0.999 or name in ("lowest", "highest"), f"{fired} of neurons spike"


def test_readout():
    """The read-out's potentials equal golden's, and no spike is made."""
    out, given, _ = run(Layer(size=1), True, 12)
    a = Recording()
    integrate(a, given)
    latency = SUM_TO_U + U_TO_CODE
    logits = to_bits(torch.stack(a.rounded, 1)).reshape(RUNS, RECURRENCE, STEPS).transpose(0, 2, 1)
    check("logits", by_update(out["logit"], latency), logits.astype(np.uint64))
    assert not by_update(out["spike"], latency).any()
