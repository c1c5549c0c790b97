"""The whole core through cocotbext-axi's manager, every channel stalling: golden's bits.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import itertools
import random
import struct
from typing import Any, cast

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from backspike.drive.core_driver import CoreDriver
from backspike.gen.core.map import core_map
from backspike.gen.core.top import Core
from backspike.gen.host.registers import Register
from backspike.gen.machine import MACHINES
from backspike.ir.learning import Learning
from backspike.ir.surrogate import rectangle
from backspike.sim.verilator.simulator import Simulator
from tests.support.coroutines import each_coroutine
from tests.support.layered import Layer, Network, compile_network

MACHINE = MACHINES["tiny"]
NETWORK = Network(
    inputs=5,
    layers=(Layer(size=3, bias=True, reset="soft", surrogate=rectangle(4.0)), Layer(size=3)),
    steps=3,
)
LEARNING = Learning(batch=6, loss="mse", rate=0.25, rounding="stochastic", seed=5)
STALL = 0.4

# cocotb


class Port:
    """What `CoreDriver` needs of a `Simulator`, over an AXI manager of the simulation."""

    def __init__(self, manager: AxiLiteMaster):
        self.manager = manager
        self.registers = core_map(MACHINE)
        self._write: Any = resume(manager.write)
        self._read: Any = resume(manager.read)

    def address(self, at: int | str) -> int:
        if not isinstance(at, str):
            return at
        entry = self.registers[at]
        return entry.offset if isinstance(entry, Register) else entry.base

    def try_write(self, at, data: bytes) -> AxiResp:
        return self._write(self.address(at), data).resp

    def try_read(self, at, count: int) -> tuple[AxiResp, bytes]:
        got = self._read(self.address(at), count)
        return got.resp, got.data

    def write_block(self, at, words) -> None:
        words = np.asarray(words, np.uint32)
        if words.size:
            assert self.try_write(at, words.tobytes()) == AxiResp.OKAY, at

    def write(self, at, *words: int) -> None:
        self.write_block(at, words)

    def read_block(self, at, words: int) -> np.ndarray:
        response, data = self.try_read(at, 4 * words)
        assert response == AxiResp.OKAY, at
        return np.frombuffer(data, np.uint32)

    def read(self, at) -> int:
        return int(self.read_block(at, 1)[0])

    def wait(self, at, mask: int, value: int, *, interval: int, limit: int) -> None:
        for _ in range(1000):
            if self.read(at) & mask == value:
                return
        raise AssertionError(f"{at} is not {value}")


async def begin(dut, seed: int) -> Port:
    print(f"seed {seed}")
    rng = random.Random(seed)
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    manager = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    writes: Any = manager.write_if
    reads: Any = manager.read_if
    for channel in (
        writes.aw_channel,
        writes.w_channel,
        writes.b_channel,
        reads.ar_channel,
        reads.r_channel,
    ):
        pauses = [rng.random() < STALL for _ in range(997)]
        channel.set_pause_generator(itertools.cycle(pauses))
    return Port(manager)


def same(name: str, got: np.ndarray, want: np.ndarray) -> None:
    """Bits are equal, or the first difference is named."""
    assert got.shape == want.shape, f"{name}: {got.shape}, not {want.shape}"
    wrong = np.argwhere(got != want)
    if len(wrong):
        at = tuple(map(int, wrong[0]))
        raise AssertionError(f"{name}{list(at)} is {got[at]:#06x}, not {want[at]:#06x}")


NAMES = list(NETWORK.graph.shapes)


def write(driver: CoreDriver, batch: tuple[np.ndarray, np.ndarray], buffer: int) -> None:
    spikes, labels = batch
    driver.write_inputs({"input": spikes}, labels, buffer)


def train(port: Port, seed: int) -> None:
    """Three batches: forward, both programs at once, update; every tensor is compared."""
    from backspike.golden.hash import layer_key
    from tests.support.layered import GoldenChain, chain_weights

    rng = np.random.default_rng(seed)
    plan = compile_network(NETWORK, LEARNING, MACHINE)
    driver = CoreDriver(cast(Simulator, port), plan)
    golden = GoldenChain(NETWORK, LEARNING)
    weights = chain_weights(NETWORK, seed)
    golden.load_weights(weights)
    driver.write_weights(dict(zip(NAMES, weights, strict=True)))
    driver.clear()
    sizes = (6, 3, 6)
    batches = [
        (rng.integers(0, 2, (size, 3, 5), dtype=np.uint8), rng.integers(0, 3, size))
        for size in sizes
    ]

    def compare_forward(batch: int) -> None:
        want = golden.forward_tensors()
        same("logits", driver.read_logits(NAMES[-1], batch), want["logits"])
        spikes, codes = driver.read_codes(NAMES[0], batch)
        same("spikes", spikes, want["spikes.0"])
        same("codes", codes, want["codes.0"])

    def compare_update(batch: int) -> None:
        want = golden.update_tensors()
        for n, got in enumerate(driver.read_weights().values()):
            same(f"gradients.{n}", driver.read_gradients(NAMES[n], batch), want[f"gradients.{n}"])
            same(f"weights.{n}", got, want[f"weights.{n}"])

    write(driver, batches[0], 0)
    driver.run("forward", forward=0, backward=0)
    golden.forward(*batches[0])
    compare_forward(sizes[0])
    for step in range(2):
        driver.write_keys({NAMES[n]: layer_key(LEARNING.seed, step, n) for n in range(2)})
        write(driver, batches[step + 1], (step + 1) % 2)
        driver.run("both", forward=(step + 1) % 2, backward=step % 2)
        golden.update_forward(None, step, *batches[step + 1])
        compare_update(sizes[step])
        compare_forward(sizes[step + 1])
    driver.write_keys({NAMES[n]: layer_key(LEARNING.seed, 2, n) for n in range(2)})
    driver.run("update", forward=0, backward=0)
    golden.update(None, 2)
    compare_update(sizes[2])
    assert driver.status()["saturated"] == golden.saturated()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def trains(dut):
    """Three batches through an AXI manager with stalls leave golden's tensors in the core."""
    port = await begin(dut, 1)
    await bridge(train)(port, 1)


def misuse(port: Port) -> None:
    """What the map does not allow is answered with SLVERR, and a run goes on undisturbed."""
    from tests.support.layered import GoldenChain, chain_weights

    rng = np.random.default_rng(3)
    plan = compile_network(NETWORK, LEARNING, MACHINE)
    driver = CoreDriver(cast(Simulator, port), plan)
    golden = GoldenChain(NETWORK, LEARNING)
    weights = chain_weights(NETWORK, 3)
    golden.load_weights(weights)
    driver.write_weights(dict(zip(NAMES, weights, strict=True)))
    batch = rng.integers(0, 2, (6, 3, 5), dtype=np.uint8), rng.integers(0, 3, 6)
    write(driver, batch, 0)

    word = struct.Struct("<I")
    for non_half in (0x7C00, 0xFC01, 0x8000, 0x7C00 << 16, 0x8000 << 16 | 0x3C00):
        assert port.try_write("weights", word.pack(non_half)) == AxiResp.SLVERR, hex(non_half)
    assert port.try_write(0x700, word.pack(0)) == AxiResp.SLVERR
    assert port.try_read(0x700, 4)[0] == AxiResp.SLVERR
    assert port.try_write("weights", b"\1\2") == AxiResp.SLVERR  # not a whole word
    assert port.try_write("counters", word.pack(0)) == AxiResp.SLVERR

    for name, tasks in plan.programs["forward"].items():
        packed = port.registers.register(f"queue_{name}").pack(begin=tasks.begin, end=tasks.end)
        port.write(f"queue_{name}", packed)
    port.write("start", 1)
    assert port.try_write("start", word.pack(1)) == AxiResp.SLVERR  # busy
    assert port.try_write("queue_fp", word.pack(0)) == AxiResp.SLVERR
    assert port.try_read("logits", 4)[0] == AxiResp.SLVERR
    assert port.try_write("weights", word.pack(0)) == AxiResp.SLVERR
    assert port.read("status") & 1, "the run ended too early to test anything"
    port.wait("status", 1, 0, interval=0, limit=0)
    golden.forward(*batch)
    same("logits", driver.read_logits(NAMES[-1], 6), golden.forward_tensors()["logits"])
    for n, got in enumerate(driver.read_weights().values()):
        same(f"weights.{n}", got, weights[n])


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def refuses(dut):
    """What the map does not allow is answered SLVERR, and a run goes on undisturbed."""
    port = await begin(dut, 9)
    await bridge(misuse)(port)


# Outside


@each_coroutine(__name__)
def test_core_through_axi(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (Core(MACHINE), "core_axi_bench"))
