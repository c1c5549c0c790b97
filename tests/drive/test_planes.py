"""Networks in planes on the simulated core: every bit is golden's, and a wrong table is seen."""

from dataclasses import replace

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.core.shared.window import ENTRY, STRIDES
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.ir.builder import Network
from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity
from backspike.ir.errors import Mismatch
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import rectangle

pytestmark = pytest.mark.verilator
SAMPLES, STEPS = 5, 3
GIVEN = {
    "units": 512,
    "spike_units": 1024,
    "layers": 16,
    "states": 256,
    "momentum": 1,
    "windows": 256,
    "scale_down": 5,
    "scale_up": 2,
}
MACHINE = replace(
    MACHINES["tiny"], name=",".join(["tiny", *(f"{n}={v}" for n, v in GIVEN.items())]), **GIVEN
)


def strided() -> Graph:
    """Odd planes, padding, a stride that leaves edges out, biases, dense behind planes."""
    net, neuron = Network(), LIF(surrogate=rectangle(2))
    x, a = net.input("x", (2, 6, 5)), net.population("a", (5, 6, 5), neuron)
    b, y = net.population("b", (4, 3, 2), neuron), net.readout("y", 10)
    net.connect(x, a, Conv2d(kernel=3, padding=1, bias=True))
    net.connect(a, b, Conv2d(kernel=(3, 2), stride=(2, 3), padding=(1, 0)))
    net.connect(b, y, Dense(bias=True))
    return net.graph


def residual() -> Graph:
    """A shortcut of one tap and a stride, one to one, a circle, currents: one sum each."""
    net, neuron = Network(), CubaLIF(surrogate=rectangle(2))
    x, a = net.input("x", (1, 4, 4)), net.population("a", (3, 4, 4), neuron)
    b, y = net.population("b", (3, 2, 2), neuron), net.readout("y", 4)
    net.connect(x, a, Conv2d(kernel=3, padding=1))
    net.connect(a, a, Conv2d(kernel=3, padding=1, bias=True), delay=1)
    net.connect(a, a, Identity(-0.5), delay=1)
    net.connect(a, b, Conv2d(kernel=3, stride=2, padding=1))
    net.connect(a, b, Conv2d(kernel=1, stride=2))
    net.connect(b, y, Dense())
    return net.graph


def pooled() -> Graph:
    """Pools with rows left over, averages behind strides and padding, a graded input, averages of
    whole planes."""
    net, neuron = Network(), LIF(surrogate=rectangle(2))
    x, a = net.input("x", (2, 5, 6), bits=4, fraction=3), net.population("a", (3, 5, 6), neuron)
    b, c = net.population("b", (4, 2, 2), neuron), net.population("c", (4, 2, 2), neuron)
    y = net.readout("y", 4)
    net.connect(x, a, Conv2d(kernel=3, padding=1, bias=True))
    net.connect(x, b, Conv2d(kernel=(1, 2), pool=2, average=True))
    net.connect(a, b, Conv2d(kernel=2, padding=(1, 0), stride=(2, 4), pool=(2, 1), average=True))
    net.connect(a, c, Conv2d(kernel=(2, 1), padding=(1, 0), stride=(2, 1), pool=(2, 3)))
    net.connect(b, c, Identity(0.5))
    net.connect(c, y, GlobalAverage(bias=True))
    net.connect(x, y, Dense(bias=True))
    return net.graph


def halves(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    return (rng.normal(size=shape) * size).astype(np.float16).view(np.uint16)


def plan_of(graph: Graph, learning: Learning) -> Plan:
    return compile_graph(graph, STEPS, learning, MACHINE)


def run(plan: Plan, updates: int = 2) -> Lockstep:
    """Batches forward and back; returns what was compared. Mismatch where a bit differs."""
    graph, rng = plan.graph, np.random.default_rng(0)
    core = RTLBackend(plan)
    both = Lockstep(core, GoldenBackend(graph, plan.learning, every=False))
    try:
        both.load_weights({name: halves(rng, s, 0.5) for name, s in graph.shapes.items()})
        for step in range(updates):
            x = graph.by_name["x"]
            spikes = rng.random((SAMPLES, STEPS, x.size)) < 0.3
            numbers = rng.integers(1, x.most + 1, spikes.shape)
            logits = both.forward({"x": (spikes * numbers).astype(np.uint8)})
            both.update({"y": halves(rng, logits["y"].shape, 0.3)}, step)
            if plan.learning.updates == "host":
                both.set_weights({n: halves(rng, s, 0.5) for n, s in graph.shapes.items()})
        assert not all((w == 0).all() for w in both.weights().values())
    finally:
        core.close()
    return both


@pytest.mark.parametrize("graph", [strided, residual, pooled])
@pytest.mark.parametrize(
    "learning",
    [
        Learning(batch=SAMPLES, rate=2**-3, rounding="stochastic", seed=7),
        Learning(batch=SAMPLES, rate=2**-3, momentum=0.9),
        Learning(batch=SAMPLES, updates="host"),
    ],
    ids=["stochastic", "momentum", "host"],
)
def test_every_bit_is_goldens(graph, learning):
    """Spikes, codes, logits, gradients and weights of two batches."""
    both = run(plan_of(graph(), learning))
    assert both.counts.values > 1000
    assert both.counts.mismatches == 0


def test_a_wrong_table_is_seen():
    """A window that is a pixel off is a mismatch."""
    plan = plan_of(strided(), Learning(batch=SAMPLES))
    rows = list(plan.windows)
    first = len(STRIDES.members) + 1
    entry = ENTRY.from_bits(rows[first])
    assert entry.count > 0
    fields = {"source": entry.source + 1, "other": entry.other, "count": entry.count}
    rows[first] = ENTRY.const(fields).as_bits()
    with pytest.raises(Mismatch):
        run(replace(plan, windows=tuple(rows)))
