"""gen.spectral.passes against golden's transforms, in a bench with a frame store."""

import numpy as np
import pytest
import torch
from amaranth.hdl import Cat, Module, Mux, Shape
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from backspike.gen.memory.rows import RowMemory, read_signature, write_signature
from backspike.gen.spectral.layout import EXPONENT, SAMPLE, column_layout
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.pass_sequence import COMMAND
from backspike.gen.spectral.passes import Passes, run_cycles
from backspike.golden.fft import bit_reversed, fft
from backspike.golden.spectral import Samples, align, transform, transform_lines
from backspike.ir.spectral_constants import MANTISSA
from backspike.sim.bench.array_bench import ArrayBench

MACHINE = SpectralMachine(name="bench", size=32)
LOGS = range(3, MACHINE.log_size + 1)
SIZES = [(log_height, log_width) for log_height in LOGS for log_width in LOGS]
HIGH = (1 << (MANTISSA - 1)) - 1
KINDS = ("noise", "extremes", "checkerboard", "corner", "impulse", "smooth", "constant")


class Bench(wiring.Component):
    """Passes and a store, which is the host's while the passes rest."""

    def __init__(self):
        self._passes = Passes(MACHINE)
        ports = self._passes.signature.members
        super().__init__(
            {
                **{name: port for name, port in ports.items() if name not in ("read", "write")},
                "host_read": In(read_signature(SAMPLE.size, MACHINE.points)),
                "host_write": In(write_signature(SAMPLE.size, MACHINE.points)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.passes = passes = self._passes
        m.submodules.store = store = RowMemory(width=SAMPLE.size, depth=MACHINE.points)
        for name in ("columns", "taps"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(passes, name))
        for name in ("start", "command", "log_height", "log_width"):
            m.d.comb += getattr(passes, name).eq(getattr(self, name))
        m.d.comb += self.busy.eq(passes.busy)
        for port, inner, host in (
            (store.read0, passes.read, self.host_read),
            (store.write, passes.write, self.host_write),
        ):
            m.d.comb += port.addr.eq(Mux(self.busy, inner.addr, host.addr))
        for name in ("en", "data"):
            inner, host = getattr(passes.write, name), getattr(self.host_write, name)
            m.d.comb += getattr(store.write, name).eq(Mux(self.busy, inner, host))
        m.d.comb += Cat(passes.read.data, self.host_read.data).eq(store.read0.data.replicate(2))
        return m


def packed(layout: data.StructLayout, **fields: np.ndarray) -> np.ndarray:
    words = np.zeros(1, np.uint64)
    for name, field in layout.members.items():
        bits = fields[name].astype(np.int64).view(np.uint64) & np.uint64(mask(field))
        words = words | bits << np.uint64(layout[name].offset)
    return words


def unpacked(layout: data.StructLayout, words: np.ndarray) -> dict[str, np.ndarray]:
    fields = {}
    for name, shape in layout.members.items():
        bits = (words >> np.uint64(layout[name].offset) & np.uint64(mask(shape))).astype(np.int64)
        negative = Shape.cast(shape).signed & (bits > mask(shape) >> 1)
        fields[name] = bits - negative * (mask(shape) + 1)
    return fields


def mask(shape) -> int:
    return (1 << Shape.cast(shape).width) - 1


class Engine:
    """The bench, simulated: samples in and out, and runs."""

    def __init__(self):
        self._run = ArrayBench(Bench(), "passes_bench")

    def write(self, image: Samples) -> None:
        fields = {name: part.numpy().ravel() for name, part in image._asdict().items()}
        self._run(
            host_write__en=np.ones(image.re.numel(), np.int64),
            host_write__addr=addresses(*image.re.shape),
            host_write__data=packed(SAMPLE, **fields),
        )

    def read(self, height: int, width: int) -> Samples:
        where = np.append(addresses(height, width), [0, 0])
        words = self._run(host_read__addr=where)["host_read__data"][2:]
        parts = unpacked(SAMPLE, words)
        return Samples(*(torch.from_numpy(part).view(height, width) for part in parts.values()))

    def run(self, log_height: int, log_width: int, ready=None, reset: int | None = None, **command):
        """Outputs of all cycles of a run; it must end in time. reset: the cycle to reset it in."""
        cycles = run_cycles(MACHINE, log_height, log_width) + 1
        ready = np.ones(cycles, np.int64) if ready is None else ready
        start = np.zeros(len(ready), np.int64)
        start[0] = 1
        rst = np.zeros(len(ready), np.int64)
        if reset is not None:
            rst[reset] = 1
        fields = {name: np.array([command.pop(name, 0)]) for name in COMMAND.members}
        assert not command
        found = self._run(
            rst=rst,
            start=start,
            command=packed(COMMAND, **fields).repeat(len(ready)),
            log_height=np.full(len(ready), log_height),
            log_width=np.full(len(ready), log_width),
            columns__ready=ready,
        )
        idle = self._run(columns__ready=np.ones(50, np.int64))
        assert not idle["busy"].any(), "the run did not end"
        assert not idle["columns__valid"].any()
        assert not idle["taps__valid"].any()
        return found


def addresses(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (rows * MACHINE.size + columns).ravel()


def image(rng, kind: str, height: int, width: int) -> Samples:
    """Samples as a host may write them, and noise for the exponents, which nobody may look at."""
    shape = (2, height, width)
    rows, columns = np.mgrid[:height, :width]
    if kind == "noise":
        parts = rng.integers(-HIGH - 1, HIGH, shape, endpoint=True)
    elif kind == "extremes":
        parts = rng.choice([-HIGH - 1, HIGH], shape)
    elif kind == "checkerboard":
        parts = np.stack([np.where((rows + columns) % 2, HIGH, -HIGH - 1)] * 2)
    elif kind == "constant":
        parts = np.full(shape, -HIGH - 1)
    elif kind in ("corner", "impulse"):
        parts = np.zeros(shape, np.int64)
        at = (0, 0) if kind == "corner" else (rng.integers(height), rng.integers(width))
        parts[:, at[0], at[1]] = rng.choice([-HIGH - 1, HIGH, 1], 2)
    else:  # large low frequencies, and rows from loud to silent
        wave = np.cos(2 * np.pi * rows / height) + np.sin(2 * np.pi * columns / width)
        loud = HIGH / 2.5 * 0.5 ** (rng.integers(18) * rows / height)
        parts = (np.stack([wave, np.roll(wave, 1)]) * loud).round() + rng.integers(-2, 3, shape)
    exponent = rng.integers(1 << EXPONENT, size=shape[1:])
    return Samples(*(torch.from_numpy(part.astype(np.int64)) for part in (*parts, exponent)))


def fresh(image: Samples) -> Samples:
    return image._replace(exponent=torch.zeros_like(image.exponent))


def same(got: Samples, want: Samples) -> None:
    for name in ("exponent", "re", "im"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), name)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.mark.verilator
@pytest.mark.parametrize("kind", KINDS)
def test_transforms(engine, kind):
    """There and back, or back and forth; with what the last run left, four passes in all."""
    rng = np.random.default_rng(1)
    for n, (log_height, log_width) in enumerate(SIZES):
        height, width = 1 << log_height, 1 << log_width
        given = image(rng, kind, height, width)
        engine.write(given)
        want = fresh(given)
        for turn in range(2):
            back = (n + turn) % 2
            engine.run(log_height, log_width, fresh=not turn, back=back)
            want = transform(want, back=bool(back))
            same(engine.read(height, width), want)


@pytest.mark.verilator
@pytest.mark.parametrize("share", [1.0, 0.5, 0.05], ids=lambda share: f"ready-{share}")
def test_pair(engine, share):
    """The columns' transforms, in their order, and all samples for the pixel sums."""
    rng = np.random.default_rng(2)
    for n, (log_height, log_width) in enumerate(SIZES):
        if share < 0.5 and n % 3:
            continue
        height, width = 1 << log_height, 1 << log_width
        pair = image(rng, KINDS[n % len(KINDS)], height, width)
        engine.write(pair)
        cycles = run_cycles(MACHINE, log_height, log_width)
        if share < 1:
            cycles += int(height * width / share * 1.5) + 500
        ready = (rng.random(cycles + 1) < share).astype(np.int64)
        found = engine.run(log_height, log_width, ready, fresh=1, pair=1)

        tapped = found["taps__valid"] == 1
        for part in ("re", "im"):
            bits = found[f"taps__{part}"][tapped].astype(np.int64)
            signed = bits - (bits > HIGH) * 2 * (HIGH + 1)
            np.testing.assert_array_equal(signed, getattr(pair, part).numpy().ravel())

        valid, payload = found["columns__valid"] == 1, found["columns__payload"]
        held = np.flatnonzero(valid & (ready == 0))
        assert valid[held + 1].all()
        assert (payload[held + 1] == payload[held]).all()
        got = unpacked(column_layout(MACHINE), payload[valid & (ready == 1)])
        words, line = align(transform_lines(fresh(pair)).transposed())
        transformed = fft(words)
        order = torch.tensor([0, *(c for k in range(1, width // 2) for c in (k, width - k))])
        order = torch.cat([order, torch.tensor([width // 2])])
        rows = bit_reversed(height)
        np.testing.assert_array_equal(got["row"], rows.repeat(width))
        np.testing.assert_array_equal(got["exponent"], line[order].expand(-1, height).flatten())
        for part in ("re", "im"):
            want = getattr(transformed, part)[order][:, rows]
            np.testing.assert_array_equal(got[part], want.flatten(), part)

        # What the first pass wrote is left in the store.
        same(engine.read(height, width), transform_lines(fresh(pair)))


@pytest.mark.verilator
@pytest.mark.parametrize("pair", [0, 1])
def test_cycles(engine, pair):
    """A run of every size is busy for exactly `run_cycles`."""
    for log_height, log_width in SIZES:
        busy = engine.run(log_height, log_width, fresh=1, pair=pair)["busy"]
        assert busy.sum() == run_cycles(MACHINE, log_height, log_width)


def test_cycles_of_large_images():
    """For each of two passes there is little but a cycle for each sample."""
    for size, most in ((128, 1.03), (256, 1.015), (512, 1.0075)):
        machine = SpectralMachine(name="large", size=size)
        assert run_cycles(machine, machine.log_size, machine.log_size) <= most * 2 * size**2


@pytest.mark.verilator
@pytest.mark.parametrize("pair", [0, 1])
def test_reset(engine, pair):
    """Wherever a run is cut off, the next one is right."""
    rng = np.random.default_rng(3)
    given = image(rng, "noise", 8, 16)
    for cycle in rng.integers(1, run_cycles(MACHINE, 3, 4), 40):
        engine.run(3, 4, fresh=1, pair=pair, back=1 - pair, reset=cycle)
        engine.write(given)
        engine.run(3, 4, fresh=1)
        same(engine.read(8, 16), transform(fresh(given)))
