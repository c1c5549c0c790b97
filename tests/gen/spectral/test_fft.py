"""gen.spectral.fft: lines as golden's `fft`, of every size, at a unit's widths and alone.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import functools
import gc

import cocotb
import numpy as np
import pytest
import torch
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.fft import FFT, latency
from backspike.gen.spectral.layout import LOG, point_layout, transformed_width
from backspike.golden.fft import Words, bit_reversed, fft
from backspike.ir.spectral_constants import WIDTH
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.coroutines import each_coroutine
from tests.support.pipelines import check, fields, hard_integers, signed_field
from tests.support.streams import Bench

FORMS = {
    "least": {"log_size": 3},
    "even": {"log_size": 4},
    "mantissas": {"log_size": 5, "width": 14, "mantissa": 18},
    "unit": {"log_size": 7},
    "alone": {"log_size": 8, "width": 16, "mantissa": 18},
    "greatest": {"log_size": 9},
}
SIZES = [(name, n) for name, form in FORMS.items() for n in range(3, form["log_size"] + 1)]
STALLED = 6
"""log2 of the longest line on the bench with stalls."""

# cocotb


def bench_lines(rng, log_points: int, count: int) -> list[list[tuple[int, int]]]:
    high = (1 << WIDTH - 1) - 1

    def part() -> int:
        return rng.choice([high, -high - 1]) if rng.random() < 0.3 else rng.randint(-high - 1, high)

    return [[(part(), part()) for _ in range(1 << log_points)] for _ in range(count)]


def points(line: list[tuple[int, int]]) -> list[dict]:
    return [{"re": re, "im": im, "first": int(n == 0)} for n, (re, im) in enumerate(line)]


def transformed(line: list[tuple[int, int]]) -> list[dict]:
    """As the words leave: in the order of bit-reversed frequencies."""
    re, im = torch.tensor(line).unbind(-1)
    place = bit_reversed(len(line))
    out = fft(Words(re, im))
    return points(list(zip(out.re[place].tolist(), out.im[place].tolist(), strict=True)))


async def begin(bench: Bench, dut, log_points: int, stalls: tuple[float, float] = (0.0, 0.0)):
    """Clears the component, wherever it is; a source and a sink for lines of another length."""
    bench.agents.clear()
    dut.i__valid.value = bench.rng.getrandbits(1)
    dut.o__ready.value = bench.rng.getrandbits(1)
    dut.clear.value = 1
    dut.log_points.value = log_points
    for _ in range(2):
        await bench.tick()
        assert not int(dut.i__ready.value), "a word is taken, and forgotten"
    dut.clear.value = 0
    source = bench.source("i", point_layout(WIDTH), stalls[0])
    return source, bench.sink("o", point_layout(transformed_width(WIDTH, STALLED)), stalls[1])


def same(got: list[dict], want: list[dict]) -> None:
    for n, (point, right) in enumerate(zip(got, want, strict=False)):
        assert point == right, f"word {n}: got {point}, want {right}"


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)])
async def stalls(dut, stalls):
    """Line after line; then lines of another length, with words of the last ones inside."""
    bench = Bench(dut, 1)
    await bench.reset()
    for log_points in (3, STALLED, 4, STALLED - 1, 3):
        source, sink = await begin(bench, dut, log_points, stalls)
        lines = bench_lines(bench.rng, log_points, 5)
        want = [point for line in lines for point in transformed(line)]
        unmarked = [{"re": 5, "im": -7, "first": 0}]
        source.queue.extend(unmarked * bench.rng.randrange(20))
        source.queue.extend(point for line in lines for point in points(line))
        source.queue.extend(unmarked * (2 << STALLED))
        while len(sink.got) < len(want):
            await bench.tick()
        same(sink.got, want)


@cocotb.test()
async def forgotten_lines(dut):
    """Wherever a line is cleared away, nothing of it comes out, and the next is right."""
    bench = Bench(dut, 2)
    await bench.reset()
    for n in range(60):
        log_points = bench.rng.choice([3, 4])
        source, sink = await begin(bench, dut, log_points, (0.1, 0.1))
        [line] = bench_lines(bench.rng, log_points, 1)
        want = transformed(line)
        source.queue.extend([*points(line), *[{"re": 1, "im": 2, "first": 0}] * 400])
        whole = 2 * latency(STALLED, log_points)
        await bench.tick(2 * whole if n % 3 == 0 else bench.rng.randrange(whole))
        assert n % 3 or len(sink.got) >= len(want)
        same(sink.got, want)


@cocotb.test()
async def a_word_a_cycle(dut):
    """Without stalls a word goes in and out every cycle, `latency` cycles apart, of any length."""
    bench = Bench(dut, 3)
    await bench.reset()
    for log_points in range(3, STALLED + 1):
        source, sink = await begin(bench, dut, log_points)
        source.queue.extend(points([(0, 0)] * (1 << log_points)) * 8)
        await bench.until(lambda source=source: not source.queue)
        assert sink.got[0]["first"]
        assert source.sent == list(range(source.sent[0], source.sent[-1] + 1))
        assert sink.cycles == list(range(sink.cycles[0], sink.cycles[-1] + 1))
        assert sink.cycles[0] - source.sent[0] == latency(STALLED, log_points)


# Outside


class Several(wiring.Component):
    """Transforms in one simulation. Ports of one called a: a_valid, a_payload, a_o_valid, a_o."""

    def __init__(self):
        ports = {"clear": In(1), "log_points": In(LOG)}
        for name, form in FORMS.items():
            width = form.get("width", WIDTH)
            ports[f"{name}_valid"] = In(1)
            ports[f"{name}_payload"] = In(point_layout(width))
            ports[f"{name}_o_valid"] = Out(1)
            ports[f"{name}_o"] = Out(point_layout(transformed_width(width, form["log_size"])))
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        for name, form in FORMS.items():
            m.submodules[name] = part = FFT(**form)
            m.d.comb += [
                part.clear.eq(self.clear),
                part.log_points.eq(self.log_points),
                part.i.valid.eq(getattr(self, f"{name}_valid")),
                part.i.payload.eq(getattr(self, f"{name}_payload")),
                part.o.ready.eq(1),
                getattr(self, f"{name}_o_valid").eq(part.o.valid),
                getattr(self, f"{name}_o").eq(part.o.payload),
            ]
        return m


@functools.cache
def built() -> ArrayBench:
    return ArrayBench(Several(), "transforms")


def run_lines(name: str, log_points: int, lines: Words, *, gap: float = 0.0) -> Words:
    """Transforms (count, points) as they came out, after the component was cleared.

    The last line is pushed out by noise, and noise stands where nothing is valid.
    """
    form = FORMS[name]
    log_size, width = form["log_size"], form.get("width", WIDTH)
    rng = np.random.default_rng(log_points)
    re, im = (part.flatten().numpy() for part in lines)
    count, steps = len(re), latency(**form, log_points=log_points)
    cycles = int((count + steps) / (1 - gap) * 1.1) + 100
    valid = rng.random(cycles) >= gap
    valid[0] = False  # cleared
    at = np.flatnonzero(valid)
    noise = [rng.integers(-(1 << width - 1), 1 << width - 1, cycles) for _ in range(2)]
    first = rng.integers(0, 2, cycles)
    first[at] = 0
    first[at[:count]] = np.arange(count) % (1 << log_points) == 0
    for part, given in zip(noise, (re, im), strict=True):
        part[at[:count]] = given
    payload = fields(re=(noise[0], width), im=(noise[1], width), first=(first, 1))
    inputs = {
        f"{name}_valid": valid.astype(np.uint64),
        f"{name}_payload": payload,
        "log_points": np.full(cycles, log_points, np.uint64),
        "clear": np.arange(cycles, dtype=np.uint64) == 0,
    }
    got = built()(**inputs)
    # A word is seen in the cycle after the step that it comes with.
    there = np.flatnonzero(got[f"{name}_o_valid"][1:]) + 1
    assert there[0] == at[steps - 1] + 1, f"{there[0] - at[0]} cycles, not {steps} steps"
    assert (there == at[steps - 1 : -1] + 1 if valid[-1] else at[steps - 1 :] + 1).all()
    out, size = got[f"{name}_o"][there[:count]], transformed_width(width, log_size)
    check("first", out >> np.uint64(2 * size), first[at[:count]], re, im)
    return Words(
        *(
            torch.from_numpy(signed_field(out, n * size, size)).unflatten(0, (-1, 1 << log_points))
            for n in range(2)
        )
    )


def compare(name: str, log_points: int, lines: Words, **options) -> None:
    got = run_lines(name, log_points, lines, **options)
    want = fft(lines, FORMS[name].get("mantissa"))
    place = bit_reversed(1 << log_points)
    for part, x, y in zip(("re", "im"), got, want, strict=True):
        check(part, x.flatten().numpy(), y[:, place].flatten().numpy())


def hard_lines(name: str, log_points: int, count: int) -> Words:
    """Noise of every size, corners of the square, impulses, tones at full scale, constants."""
    rng = np.random.default_rng(log_points)
    width, n = FORMS[name].get("width", WIDTH), 1 << log_points
    greatest = (1 << width - 1) - 1
    least = -greatest - 1
    lines = [np.full((2, n), x) for x in (greatest, least, 0, 1, -1)]
    for x in (greatest, least):
        for at in (0, 1, n // 2, n - 1):
            impulse = np.zeros((2, n), np.int64)
            impulse[rng.integers(0, 2), at] = x
            lines.append(impulse)
    for k in range(0, n, max(1, n // 16)):
        angles = 2 * np.pi * (k * np.arange(n) / n + rng.random())
        tone = np.stack([np.cos(angles), np.sin(angles)])
        lines.append((tone * greatest).round().astype(np.int64))
        # The corners nearest to a tone add up to the most that there can be, about sqrt(2) more.
        lines.append(np.where(tone >= 0, greatest, least))
    while len(lines) < count:
        kind = rng.integers(0, 3)
        if kind == 0:
            lines.append(rng.choice([greatest, least], (2, n)))
        elif kind == 1:
            lines.append(np.stack([hard_integers(rng, n, width) for _ in range(2)]))
        else:
            lines.append(rng.integers(least, greatest + 1, (2, n)) >> rng.integers(0, width))
    order = rng.permutation(len(lines))
    both = torch.from_numpy(np.stack(lines)[order].astype(np.int64))
    return Words(both[:, 0], both[:, 1])


@pytest.mark.verilator
@pytest.mark.parametrize(("name", "log_points"), SIZES)
def test_lines(name, log_points):
    """Hard lines are transformed as by golden's `fft`, for every form and length."""
    compare(name, log_points, hard_lines(name, log_points, 60))


@pytest.mark.verilator
@pytest.mark.parametrize("name", FORMS)
def test_lines_with_gaps(name):
    """Gaps between words change no transform, at the shortest and the longest length."""
    for log_points in (3, FORMS[name]["log_size"]):
        compare(name, log_points, hard_lines(name, log_points, 30), gap=0.4)


def ratio_in_db(got: Words, words: Words) -> torch.Tensor:
    """Signal to error of each line, against float64."""
    exact = torch.fft.fft(torch.complex(words.re.double(), words.im.double()))
    place = bit_reversed(words.re.shape[-1])
    error = torch.complex(got.re.double(), got.im.double()) - exact[:, place]
    power = [x.abs().square().sum(-1) for x in (exact, error)]
    return 10 * torch.log10(power[0] / power[1])


@pytest.mark.verilator
def test_precision_of_256_points():
    """The figures that docs/spectral.md has beside those of other cores."""
    rng = np.random.default_rng(0)
    full, n = 32767, 256
    angles = 2 * np.pi * np.arange(n)[:, None] * np.arange(n) / n
    signals = {
        "uniform": rng.uniform(-full, full, (2, 300, n)),
        "gaussian": (rng.standard_normal((2, 300, n)) * full / 4).clip(-full, full),
        "tones": full * np.stack([np.cos(angles), np.sin(angles)]),
    }
    mean, least = {}, {}
    for name, samples in signals.items():
        words = Words(*torch.from_numpy(samples.round().astype(np.int64)))
        ratios = ratio_in_db(run_lines("alone", 8, words), words)
        mean[name], least[name] = float(ratios.mean()), float(ratios.min())
        print(f"{name}: mean {mean[name]:.1f}, least {least[name]:.1f} dB")
    assert mean["uniform"] > 95.5
    assert mean["gaussian"] > 93.5
    assert least["tones"] > 88


@each_coroutine(__name__)
def test_stalls(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (FFT(STALLED), "fft"))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refused():
    """Sizes and mantissas out of range are ValueErrors."""
    for log_size in (2, 10):
        with pytest.raises(ValueError, match=f"log_size is {log_size}, must be 3 to 9"):
            FFT(log_size)
    with pytest.raises(ValueError, match="mantissa is 18, must be 20 or more"):
        FFT(7, mantissa=18)
    gc.collect()  # Amaranth warns of the unfinished objects now, where it is expected
