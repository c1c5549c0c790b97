"""The UART: bytes at all rates, with clocks apart, noise and breaks."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from backspike.gen.link.uart import Rate, Receiver, Transmitter

RATES = [
    Rate(4_000_000, 1_000_000),
    Rate(25_000_000, 3_000_000),
    Rate(48_000_000, 3_000_000),
    Rate(25_000_000, 1_000_000),
]


def line_of(data: bytes, bit: float, gap: float = 0.0, offset: float = 0.0) -> np.ndarray:
    """Samples, one a cycle, of bytes whose bits take `bit` cycles, `gap` bits between them."""
    levels = []
    for byte in data:
        levels += [0, *(byte >> n & 1 for n in range(8)), 1]
    edges = [offset + 3 * bit]
    for n in range(len(levels)):
        edges.append(edges[-1] + bit * (1 + (gap if n % 10 == 9 else 0)))
    cycles = np.arange(int(edges[-1] + 3 * bit))
    at = np.searchsorted(edges, cycles, side="right") - 1
    return np.array([1, *levels, 1])[np.clip(at + 1, 0, len(levels) + 1)]


def received(rate: Rate, line: np.ndarray) -> list[tuple[int, int]]:
    """What the receiver makes of samples: (byte, error)."""
    dut, found = Receiver(rate), []

    async def bench(ctx):
        for level in line:
            ctx.set(dut.line, int(level))
            if ctx.get(dut.o.valid):
                found.append((ctx.get(dut.o.payload.data), ctx.get(dut.o.payload.error)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.cycles:.1f}")
@pytest.mark.parametrize("skew", [-1, 0, 1])
def test_bytes_arrive_though_clocks_differ(rate, skew):
    """Back to back, at the limit of the tolerance, beginning anywhere within a cycle."""
    assert rate.tolerance > 0.02
    rng = np.random.default_rng(int(rate.cycles) + skew)
    bit = rate.cycles * (1 + skew * 0.99 * rate.tolerance)
    for offset in (0.0, 0.3, 0.6, 0.9):
        data = bytes([0x00, 0xFF, 0x55, 0x80, 0x01]) + rng.bytes(7)
        assert received(rate, line_of(data, bit, offset=offset)) == [(byte, 0) for byte in data]


def test_one_wrong_sample_does_no_harm():
    """One inverted sample away from an edge changes no byte."""
    rate, data = RATES[1], b"\xa5\x00\xff\x3c"
    clean = line_of(data, rate.cycles, gap=2)
    rng = np.random.default_rng(0)
    for at in rng.choice(len(clean), 60, replace=False):
        edge = np.flatnonzero(np.diff(clean))
        if np.abs(edge - at).min() < 2:
            continue  # an edge that moves is what tolerance is about
        line = clean.copy()
        line[at] ^= 1
        assert received(rate, line) == [(byte, 0) for byte in data], at


def test_a_break_is_one_bad_byte():
    """A long break is one bad byte, and the next byte is right."""
    rate = RATES[1]
    byte = line_of(b"\x7e", rate.cycles)
    line = np.concatenate([byte, np.zeros(int(40 * rate.cycles), int), byte, byte])
    assert received(rate, line) == [(0x7E, 0), (0x00, 1), (0x7E, 0), (0x7E, 0)]


def test_a_missing_stop_bit_is_told():
    """A byte without its stop bit comes with an error, the next without."""
    rate = RATES[0]
    line = line_of(b"\x0f", rate.cycles)
    stop = int((3 + 9) * rate.cycles)
    line[stop : stop + 4] = 0
    assert received(rate, np.concatenate([line, line_of(b"\x33", 4)])) == [(0x0F, 1), (0x33, 0)]


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.cycles:.1f}")
def test_transmitted_edges_are_where_they_belong(rate):
    """Each bit of the transmitter holds for its time at every rate, bytes back to back."""
    data = bytes([0x55, 0x00, 0xFF, 0xA3])
    dut, line = Transmitter(rate), []

    async def bench(ctx):
        for byte in data:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            taken = False
            while not taken:
                taken = bool(ctx.get(dut.i.ready))
                line.append(ctx.get(dut.line))
                await ctx.tick()
            ctx.set(dut.i.valid, 0)
        for _ in range(int(11 * rate.cycles)):
            line.append(ctx.get(dut.line))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    at = 0
    for n, byte in enumerate(data):
        begin = at + line[at:].index(0)
        assert n == 0 or begin - at <= 2  # back to back
        for bit, level in enumerate((0, *(byte >> n & 1 for n in range(8)), 1)):
            first, last = begin + bit * rate.cycles + 1, begin + (bit + 1) * rate.cycles - 1
            assert set(line[int(np.ceil(first)) : int(last) + 1]) == {level}, (byte, bit)
        at = round(begin + 10 * rate.cycles)
    assert set(line[at + 1 :]) == {1}


def test_rates_that_cannot_be():
    """A clock that is no 4 to 1000 times the baud rate is a ValueError."""
    for clock, baud in ((3_000_000, 1_000_000), (100_000_000, 9_600), (0, 1), (1, 0)):
        with pytest.raises(ValueError, match=rf"clock is {clock} Hz and baud {baud}, must"):
            Rate(clock, baud)
