"""The AXI4-Lite subordinate: traffic from cocotbext-axi's manager, and cycle by cycle.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import itertools
import random
import struct

import cocotb
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from backspike.gen.host.axi4lite import AXI4LiteSignature, AXI4LiteSubordinate
from backspike.gen.host.bus import OUTSTANDING
from tests.support.coroutines import each_coroutine

ADDR_WIDTH = 12
STALLS = [0.0, 0.3, 0.8]
DEVICES = {0: (0.0, 20), 1: (0.0, 1), 2: (0.3, 20), 3: (0.8, 20), 4: (0.5, 4)}
"""By seed: how often the device behind the port stalls, and how many reads it takes at a time."""


def refused(address: int) -> bool:
    """Byte addresses that the device behind the port refuses in these tests."""
    return address % 28 == 0


# cocotb


class Device:
    """A memory behind the port, which stalls and answers late at random.

    It takes up to `deep` reads before it answers the first.
    """

    def __init__(self, dut, rng: random.Random, stall: float, deep: int):
        self.dut, self.rng, self.stall, self.deep = dut, rng, stall, deep
        self.memory: dict[int, int] = {}
        self.requests = 0

    async def run(self):
        dut, go = self.dut, lambda: self.rng.random() >= self.stall
        dut.request__ready.value = 0
        dut.response__valid.value = 0
        answers: list[int] = []
        writing = False
        while True:
            await FallingEdge(dut.clk)
            taken = dut.request__valid.value and dut.request__ready.value
            request = int(dut.request__payload.value) if taken else None
            answered = bool(dut.response__valid.value)
            assert dut.response__ready.value
            reset = bool(dut.rst.value)
            await RisingEdge(dut.clk)
            if answered:
                answers.pop(0)
            if reset:
                answers.clear()
            elif request is not None:
                assert not (answers or answered) or not (writing or request & 1)
                writing = bool(request & 1)
                answers.append(self.access(request))
                assert len(answers) <= OUTSTANDING
            dut.request__ready.value = not reset and len(answers) < self.deep and go()
            valid = bool(answers) and go()
            dut.response__valid.value = valid
            dut.response__payload.value = answers[0] if valid else 0

    def access(self, request: int) -> int:
        """The response's bits for a request's."""
        self.requests += 1
        write, address = request & 1, (request >> 1) % (1 << ADDR_WIDTH - 2) * 4
        if refused(address):
            return 1 << 32 | 0xDEAD
        if write:
            self.memory[address] = request >> ADDR_WIDTH - 1
        return self.memory.get(address, 0)


async def watch(dut):
    """What is valid stays, and stays the same, until it is taken; nothing is valid in reset."""
    channels = {
        "axi__b": (dut.axi__bvalid, dut.axi__bready, (dut.axi__bresp,)),
        "axi__r": (dut.axi__rvalid, dut.axi__rready, (dut.axi__rresp, dut.axi__rdata)),
        "request": (dut.request__valid, dut.request__ready, (dut.request__payload,)),
    }
    before = dict.fromkeys(channels)
    was_reset = False
    while True:
        await FallingEdge(dut.clk)
        reset = bool(dut.rst.value)
        for name, (valid, ready, payload) in channels.items():
            now = tuple(int(p.value) for p in payload) if valid.value else None
            if before[name] is not None:
                assert now == before[name], f"{name} was {before[name]}, is {now}"
            if was_reset:
                assert now is None, f"{name} is valid in reset"
            before[name] = None if ready.value or reset else now
        was_reset = reset


async def begin(dut, seed: int):
    rng = random.Random(seed)
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    manager = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    device = Device(dut, rng, *DEVICES[seed])
    cocotb.start_soon(device.run())
    await RisingEdge(dut.clk)
    cocotb.start_soon(watch(dut))
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    writes, reads = manager.write_if, manager.read_if
    assert writes
    assert reads
    for channel in (
        writes.aw_channel,
        writes.w_channel,
        writes.b_channel,
        reads.ar_channel,
        reads.r_channel,
    ):
        stall = rng.choice(STALLS)
        pauses = [rng.random() < stall for _ in range(997)]
        channel.set_pause_generator(itertools.cycle(pauses))
    return rng, manager, device


async def traffic(rng, manager, device, accesses: int):
    """Writes and two streams of reads, in halves of the address space that do not meet.

    Some writes are narrow, some reads not aligned. Every response and every word is compared.
    """
    half = 1 << ADDR_WIDTH - 1
    known = dict(device.memory)

    async def write():
        expected = 0
        for _ in range(accesses):
            address, size = 4 * rng.randrange(half // 4), rng.choice([4, 4, 4, 1, 2, 3])
            data = rng.randbytes(size)
            at = address + rng.randrange(5 - size)
            got = await manager.write(at, data)
            bad = size < 4 or refused(address)
            assert got.resp == (AxiResp.SLVERR if bad else AxiResp.OKAY), f"{at:#x} {size}"
            expected += size == 4
            if not bad:
                known[address] = int.from_bytes(data, "little")
        return expected

    async def read():
        expected = 0
        for _ in range(accesses // 8):
            words = rng.randrange(1, 20)
            address = half + 4 * rng.randrange(half // 4 - words)
            skew = rng.choice([0, 0, 0, 1, 2, 3])
            got = await manager.read(address + skew, 4 * words - skew)
            each = range(address, address + 4 * words, 4)
            bad = skew or any(map(refused, each))
            assert got.resp == (AxiResp.SLVERR if bad else AxiResp.OKAY), hex(address + skew)
            data = bytes(skew) + got.data
            for at, (word,) in zip(each, struct.iter_unpack("<I", data), strict=True):
                wrong = refused(at) or (skew and at == address)
                assert wrong or word == known.get(at, 0), hex(at)
            expected += words - (skew > 0)
        return expected

    requests = device.requests
    tasks = [cocotb.start_soon(task()) for task in (write, read, read)]
    expected = sum([await task for task in tasks])
    assert device.memory == known
    assert device.requests - requests == expected


def fill(rng, device):
    for address in range(0, 1 << ADDR_WIDTH, 4):
        if not refused(address):
            device.memory[address] = rng.getrandbits(32)


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(seed=list(DEVICES))
async def random_stalls(dut, seed):
    """Random traffic with every channel stalling reads what was written, each access once."""
    rng, manager, device = await begin(dut, seed)
    fill(rng, device)
    await traffic(rng, manager, device, 150)


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(seed=list(DEVICES))
async def resets(dut, seed):
    """A reset after a random time in the middle of transactions, and everything works again."""
    rng, manager, device = await begin(dut, seed)
    for _ in range(15):
        fill(rng, device)
        for _ in range(3):
            manager.init_write(4 * rng.randrange(512), rng.randbytes(rng.choice([3, 4, 8])))
            manager.init_read(4 * rng.randrange(512), 8)
        for _ in range(rng.randrange(1, 25)):
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        for _ in range(rng.randrange(1, 4)):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        await traffic(rng, manager, device, 8)


# Outside


@each_coroutine(__name__)
def test_traffic(simulated):
    """The coroutine holds on the simulated subordinate."""
    simulated(lambda: (AXI4LiteSubordinate(ADDR_WIDTH), "axi4lite_bench"))


def simulate(testbench):
    """Runs testbench(ctx, dut, sampled) with a device that answers in the next cycle.

    `sampled` is filled with the requests as (cycle, write, address) of accepted ones.
    """
    m = Module()
    m.submodules.dut = dut = AXI4LiteSubordinate(ADDR_WIDTH)
    m.d.comb += dut.request.ready.eq(1)
    m.d.sync += [
        dut.response.valid.eq(dut.request.valid),
        dut.response.payload.data.eq(dut.request.payload.address),
    ]
    accepted: list[tuple[int, int, int]] = []

    async def watch_requests(ctx):
        ticks = ctx.tick().sample(dut.request.valid, dut.request.payload)
        cycle = 0
        async for _, _, valid, payload in ticks:
            if valid:
                accepted.append((cycle, payload.write, payload.address))
            cycle += 1

    async def run(ctx):
        await testbench(ctx, dut, accepted)

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(watch_requests, background=True)
    simulator.add_testbench(run)
    simulator.run()


def test_throughput_and_turns():
    """A write every second cycle, a read every cycle; if both wait they alternate."""

    async def testbench(ctx, dut, accepted):
        axi = dut.axi
        ctx.set(axi.wstrb, 15)
        ctx.set(axi.bready, 1)
        ctx.set(axi.rready, 1)
        for writes, reads in ((1, 0), (0, 1), (1, 1)):
            ctx.set(axi.awvalid, writes)
            ctx.set(axi.wvalid, writes)
            ctx.set(axi.arvalid, reads)
            await ctx.tick().repeat(10)  # until the traffic before is over
            del accepted[:]
            await ctx.tick().repeat(200)
            steady = accepted[:]
            assert len(steady) >= 98
            for (cycle, write, _), (next_cycle, next_write, _) in itertools.pairwise(steady):
                assert next_cycle - cycle == (2 if writes else 1)
                assert (write, next_write) in (
                    ((0, 1), (1, 0)) if writes and reads else ((writes, writes),)
                )

    simulate(testbench)


def test_latency():
    """The request in the cycle after the handshakes, the response two cycles later."""

    async def testbench(ctx, dut, accepted):
        axi = dut.axi
        ctx.set(axi.araddr, 0x7F8)
        ctx.set(axi.arvalid, 1)
        await ctx.tick()
        ctx.set(axi.arvalid, 0)
        assert accepted == []
        await ctx.tick()
        assert not ctx.get(axi.rvalid)
        await ctx.tick()
        assert ctx.get(axi.rvalid)
        assert ctx.get(axi.rdata) == 0x7F8 // 4
        assert accepted == [(1, 0, 0x7F8 // 4)]

    simulate(testbench)


@pytest.mark.parametrize("blocked", ["b", "r"])
def test_directions_do_not_block_each_other(blocked):
    """While one direction's responses are not taken it stops, and the other goes on."""

    async def testbench(ctx, dut, accepted):
        axi = dut.axi
        ctx.set(axi.wstrb, 15)
        ctx.set(axi.bready, blocked != "b")
        ctx.set(axi.rready, blocked != "r")
        for valid in (axi.awvalid, axi.wvalid, axi.arvalid):
            ctx.set(valid, 1)
        await ctx.tick().repeat(100)
        kinds = [write for _, write, _ in accepted]
        assert kinds.count(blocked == "b") == (1 if blocked == "b" else OUTSTANDING)
        assert kinds.count(blocked != "b") > 40

    simulate(testbench)


@pytest.mark.parametrize(
    ("address", "strobes", "code"),
    [(8, 15, 0), (8, 14, 2), (8, 7, 2), (8, 0, 2), (9, 15, 2), (10, 15, 2)],
)
def test_writes_that_are_not_whole_words(address, strobes, code):
    """A write without all strobes or alignment is answered SLVERR and not passed on."""

    async def testbench(ctx, dut, accepted):
        axi = dut.axi
        ctx.set(axi.awaddr, address)
        ctx.set(axi.wstrb, strobes)
        ctx.set(axi.awvalid, 1)
        ctx.set(axi.wvalid, 1)
        await ctx.tick()
        ctx.set(axi.awvalid, 0)
        ctx.set(axi.wvalid, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(axi.bvalid)
        assert ctx.get(axi.bresp).value == code
        assert len(accepted) == (code == 0)

    simulate(testbench)


def test_read_that_is_not_aligned():
    """A read that is not aligned is answered SLVERR and not passed on."""

    async def testbench(ctx, dut, accepted):
        axi = dut.axi
        ctx.set(axi.araddr, 6)
        ctx.set(axi.arvalid, 1)
        await ctx.tick()
        ctx.set(axi.arvalid, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(axi.rvalid)
        assert ctx.get(axi.rresp).value == 2
        assert accepted == []

    simulate(testbench)


def test_parameters():
    """An address width out of range is a ValueError."""
    with pytest.raises(ValueError, match="addr_width is 2, must be 3 to 64"):
        AXI4LiteSignature(2)
