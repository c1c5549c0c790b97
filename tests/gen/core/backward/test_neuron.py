"""gen.core.backward: a backward unit's gradients on hard sums against golden."""

import functools

import numpy as np
import pytest
import torch

from backspike.compile.compiler import compile_network
from backspike.gen.core.backward.neuron import (
    CODE_LATENCY,
    E_TO_G,
    RECURRENCE,
    SUM_TO_E,
    BackwardDrain,
    BackwardUnit,
)
from backspike.gen.core.forward.neuron import CODE
from backspike.gen.core.layout import config_layout
from backspike.gen.core.shared.accumulate import sum_width
from backspike.gen.core.shared.drain import slot_layout
from backspike.gen.core.shared.source import HEADER
from backspike.gen.machine import DEPTH, MACHINES
from backspike.golden import rules
from backspike.golden.arithmetic import Halves
from backspike.golden.half import random_halves, to_bits
from backspike.ir.network import Layer, Learning, Network
from backspike.sim.bench.array_bench import ArrayBench
from backspike.sim.bench.cocotb_bench import run_bench
from tests.gen.core.forward.test_neuron import LAYERS
from tests.support.drain_play import LANES, Block, Run, Shape, machine, row_of, save, tile_of
from tests.support.fixed import hard_numbers
from tests.support.streams import packed
from tests.support.units import GivenSums, by_sample, check, columns, constant, settings

SHARE = 2
WIDTH = sum_width(machine(SHARE), "bp")
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
    return ArrayBench(BackwardUnit(share=SHARE, width=WIDTH), "backward_unit")


def run(layers: tuple[Layer, ...], learning: Learning, **ports: np.ndarray):
    """Outputs cycle by cycle; ports: (COUNT,) beside their slots, in the order of the slots."""
    place = np.arange(RECURRENCE)
    step = np.broadcast_to(np.arange(STEPS)[::-1, None], SHAPE)  # backward in time
    slot = columns(
        packed(slot_layout(SHARE)), COUNT, valid=1,
        turn=np.broadcast_to(place % SHARE, SHAPE).ravel(),
        sample=np.broadcast_to(place // SHARE, SHAPE).ravel(),
        first=(step == STEPS - 1).ravel(), last=(step == STEPS - 1).ravel(),
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
        config=constant(config, config_layout("bp").size, COUNT + 50),
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

    a = GivenSums(tuple(tensor(x) for x in units))
    want = rules.spike_gradients(
        a, layer, tensor(spikes * 1.0), tensor(codes), torch.zeros(1, 1).double(),
        torch.zeros(RUNS * RECURRENCE, STEPS, 1).double(),
    )  # fmt: skip
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

    flags_e = slots(a.flags[0].reshape(-1, STEPS, 1))
    flags_g = slots(torch.stack(a.flags[:0:-1], 1)) if layer.temporal else slots(a.flags[1])
    flagged = out["saturated"][LATENCY : LATENCY + COUNT].reshape(SHAPE)
    check("saturated", np.where(alive, flagged, 0), ((flags_e | flags_g) & alive).astype(np.uint64))
    assert not flagged[~live.reshape(SHAPE)].any()


def constant_logits(rng: np.random.Generator) -> np.ndarray:
    """A logit of any bits for each neuron, the same in all steps: (COUNT,)."""
    generator = torch.Generator().manual_seed(int(rng.integers(1000)))
    bits = to_bits(random_halves((RUNS, 1, RECURRENCE), generator))
    return np.broadcast_to(bits, SHAPE).ravel()


@pytest.mark.parametrize("alpha", [0.25, -1.0, 65504.0, 0.0])
def test_squared_loss(alpha):
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


def drain_run(rng: np.random.Generator, layer: Layer, loss: str | None, share: int) -> Run:
    """Some blocks of a layer with random sums, and golden's results as rows. loss: a read-out's."""
    shape, size = Shape.draw(rng), int(rng.integers(1, 3 * LANES + 1))
    if loss and rng.random() < 0.5:  # short blocks, tile after tile
        shape, size = Shape(1, int(rng.integers(1, 4)), 1, 1, 0), 3 * LANES
    steps, samples = shape.steps, shape.samples
    parity, output = int(rng.integers(2)), int(rng.integers(20))
    alpha = float(rng.choice([0.25, -1.0, 65504.0]))
    learning = Learning(batch=1, loss=loss or "ce", alpha=alpha)  # pyright: ignore[reportArgumentType]
    layers = (layer,) if loss else (layer, Layer(size=1))
    network = Network(inputs=1, layers=layers, steps=steps)
    config = compile_network(network, learning, MACHINES["tiny"]).descriptors["bp"][0]
    config = config | {"size": size, "output_unit": output}
    most = steps * max(samples * share, RECURRENCE) + 1
    config, table = settings("bp", config)
    run = Run(config, table=table, parity=parity, most=most,
              loss=bool(loss), **shape.ports())  # fmt: skip
    run.writes = {"gradients": {}, "masks": {}}
    run.memories = {"codes": {}, "logits": {}, "labels": {}}
    labels = {(block, s): int(rng.integers(0, size)) for block in range(shape.blocks)
              for s in range(samples)}  # fmt: skip
    half = 16 * DEPTH * parity  # readout_units * DEPTH
    for (block, s), label in labels.items():
        run.memories["labels"][half + block * DEPTH + s] = label
    for tile in range(-(-size // LANES)):
        for block in range(shape.blocks):
            unit = output + tile * shape.blocks + block
            last = block == shape.blocks - 1
            header = packed(HEADER).pack(unit=unit, block=block, tile=tile, last=int(last))
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
                    a = GivenSums(())
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
    a = GivenSums(tuple(by_sample(piece.reshape(full)) * 2.0**-48 for piece in pieces))
    g = rules.spike_gradients(
        a, layer, by_sample(spikes).double(), by_sample(codes), torch.zeros(LANES, 1).double(),
        torch.zeros(shape[1], shape[0], 1).double(),
    )  # fmt: skip
    flags_e = a.flags[0].transpose(0, 1).numpy()
    later = a.flags[:0:-1]  # backward in time
    flags_g = torch.stack(later).numpy() if layer.temporal else later[0].transpose(0, 1).numpy()
    return to_bits(g).transpose(1, 0, 2), flags_e | flags_g


@pytest.mark.parametrize("share", [1, 4])  # 2: test_engine
def test_drain(share, tmp_path):
    rng = np.random.default_rng(share)
    runs = [drain_run(rng, layer, None, share) for layer in ALL.values() for _ in range(2)]
    runs += [drain_run(rng, Layer(size=1), loss, share) for loss in ("ce", "mse") for _ in range(6)]
    assert {run.saturated for run in runs} == {True, False}
    save(runs, tmp_path / "case")
    run_bench(
        BackwardDrain(machine(share)),
        f"backward_drain_{share}_bench",
        "drain_benches",
        testcase="gradients",
        parameters={"path": str(tmp_path / "case")},
    )
