"""CoreBackend: batches in parts on the RTL have the bits of golden, and of a batch in one."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.drive.core_driver import CoreDriver
from backspike.drive.lockstep import Lockstep
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.train.fuzz_graphs import roomy

MACHINE = roomy(MACHINES["tiny"])
SAMPLES, STEPS, BATCHES = 18, 5, 3
CUTS = ([18], [9, 9], [11, 6, 1], [2, 2, 14])
HOW = {
    "nearest": {},
    "stochastic": {"rounding": "stochastic", "seed": 5},
    "momentum": {"momentum": 0.75},
    "host": {"updates": "host"},
    "squared": {"loss": "mse"},
}

pytestmark = pytest.mark.verilator


def network() -> Graph:
    """x -> h, which listens to itself -> y; a frozen connection."""
    net = Network()
    x, h = net.input("x", 35), net.population("h", 7, CubaLIF(threshold=0.25))
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, net.population("k", 6, LIF(threshold=0.25)))
    net.connect("k", net.readout("y", 3))
    net.connect(x, "y", frozen=True)
    return net.graph


NET = network()


def compiled(options: dict) -> Plan:
    return compile_graph(NET, STEPS, Learning(batch=SAMPLES, rate=2.0**-5, **options), MACHINE)


def run(plan: Plan, sizes: list[int], *, together: bool = False) -> dict[str, np.ndarray]:
    """In lockstep with golden, some batches in parts of those sizes, and one at the end that has
    few rows with gradients; returns weights and moments. together: each update beside the next
    part's forward pass."""
    rng = np.random.default_rng(1)
    host, squared = plan.learning.updates == "host", plan.learning.loss == "mse"
    both = Lockstep(RTLBackend(plan), GoldenBackend(NET, plan.learning, every=False))
    pending: tuple | None = None  # errors, step, and which part it is
    try:
        both.load_weights(initial_weights(NET, 3))
        for n in range(BATCHES):
            inputs = (rng.random((SAMPLES, STEPS, 35)) < 0.2 - 0.09 * n).astype(np.uint8)
            inputs[:5, :, 2:] = 0
            errors = rng.normal(0, 1, (SAMPLES, 3)).astype(np.float16).view(np.uint16)
            labels = rng.integers(0, 3, SAMPLES)
            for begin, end in itertools.pairwise(itertools.accumulate([0, *sizes])):
                given = {"x": inputs[begin:end]}, labels[begin:end]
                part = {"first": begin == 0, "last": end == SAMPLES}
                if pending is not None:
                    both.update_forward(*pending[:2], *given, **pending[2])
                else:
                    both.forward(*given)
                error = {} if squared else {"y": errors[begin:end]}
                pending = error, n, part
                if not together or (n + 1 == BATCHES and part["last"]):
                    both.update(error, n, **part)
                    pending = None
            if host:
                found = both.weight_gradients()
                both.set_weights(initial_weights(NET, 3) | found)
        kept = both.moments() if plan.learning.momentum else {}
        return both.weights() | {f"{name} moments": x for name, x in kept.items()}
    finally:
        both.close()


@pytest.mark.parametrize("how", HOW)
def test_the_same_bits(how):
    """Each tensor is golden's, and in the end all is as with the batch in one."""
    plan = compiled(HOW[how])
    want = run(plan, CUTS[0])
    for sizes in CUTS[1:]:
        got = run(plan, sizes)
        assert got.keys() == want.keys()
        assert all(np.array_equal(got[name], bits) for name, bits in want.items()), sizes
    if how != "host":
        got = run(plan, CUTS[2], together=True)
        assert all(np.array_equal(got[name], bits) for name, bits in want.items())


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        ("take", "^connection x-h, tensor weights, batch 2, source 0, index"),
        ("keep", "^population h, tensor codes, batch 1, sample 0, step"),
    ],
)
def test_a_part_that_is_lost_is_found(lost, found, monkeypatch):
    """Where the sums of other parts are not added, or an update is made of each part."""
    plan, original = compiled({}), CoreDriver.run

    def losing(self, program, **how):
        original(self, program, **how | {lost: False})

    monkeypatch.setattr(CoreDriver, "run", losing)
    with pytest.raises(Mismatch, match=found):
        run(plan, CUTS[2])
    run(plan, CUTS[0])


def test_what_is_refused(monkeypatch):
    """A further part without a first one; and more terms than are exact."""
    core = RTLBackend(compiled({}))
    rng = np.random.default_rng(2)
    inputs = {"x": rng.integers(0, 2, (SAMPLES, STEPS, 35)).astype(np.uint8)}
    errors = {"y": np.full((SAMPLES, 3), 0x3C00, np.uint16)}
    core.load_weights(initial_weights(NET, 3))
    core.forward(inputs)
    with pytest.raises(RuntimeError, match="update of a further part without a first one"):
        core.update(errors, 0, first=False)
    monkeypatch.setattr("backspike.ir.validation.PART_TERMS", 2 * SAMPLES * STEPS)
    core.update(errors, 0, last=False)
    core.forward(inputs)
    core.update(errors, 0, first=False, last=False)
    core.forward(inputs)
    message = "has 54 samples of 5 steps, must have up to 180 steps in all"
    for last in (False, True):
        with pytest.raises(UserError, match=message):
            core.update(errors, 0, first=False, last=last)
    core.update(errors, 0)
    core.close()


def test_a_machine_without_the_memory(monkeypatch):
    """It takes no part but a whole batch, and is not taken for one that has it, nor the reverse."""
    tiny = MACHINES["tiny"]
    core = RTLBackend(compile_graph(NET, STEPS, Learning(batch=2), tiny))
    core.load_weights(initial_weights(NET, 3))
    core.forward({"x": np.ones((2, STEPS, 35), np.uint8)})
    errors = {"y": np.full((2, 3), 0x3C00, np.uint16)}
    message = "^machine 'tiny' has no memory of partial sums, must have one .* as tiny,parts=1$"
    with pytest.raises(UserError, match=message):
        core.update(errors, 0, last=False)
    core.update(errors, 0)
    with pytest.raises(
        UserError, match=r"^the core has parts 0, must have parts 1, as the machine"
    ):
        CoreDriver(core.simulator, replace(core.plan, machine=replace(tiny, parts=1)))
    read = core.simulator.read
    monkeypatch.setattr(core.simulator, "read", lambda at: read(at) | 2 * (at == "options"))
    with pytest.raises(
        UserError, match=r"^the core has parts 1, must have parts 0, as the machine"
    ):
        CoreDriver(core.simulator, core.plan)
    core.close()
