"""The engine of passes: a 2-D transform is one pass along the rows and one along the columns."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.memory.prefetch import Prefetch
from backspike.gen.memory.rows import READ_LATENCY, read_signature, write_signature
from backspike.gen.spectral.align import Align
from backspike.gen.spectral.exponents import LineExponents
from backspike.gen.spectral.fft import FFT, latency
from backspike.gen.spectral.layout import EXPONENT, LOG, SAMPLE, column_layout, transformed_width
from backspike.gen.spectral.machine import SMALLEST, SpectralMachine
from backspike.gen.spectral.pack import Pack
from backspike.gen.spectral.pass_sequence import COMMAND, PassSequence
from backspike.gen.spectral.pixel_sums import TAPS
from backspike.gen.spectral.walk import Walk
from backspike.ir.spectral_constants import WIDTH

FETCH = READ_LATENCY + 1
"""Cycles from a place to its sample: the address has a register."""
SETTLE = Pack.latency + LineExponents.latency
"""Cycles after a pass's last word in which it is written, and counted among the exponents."""


def lines_inside(log_size: int) -> int:
    """The most lines that are being transformed at once, or are about to be."""
    ways = {
        n: Align.latency + latency(log_size, n) for n in range(exact_log2(SMALLEST), log_size + 1)
    }
    return max(-(-way // (1 << n)) + 1 for n, way in ways.items())


def pass_cycles(machine: SpectralMachine, log_points: int, log_lines: int) -> int:
    """Cycles of a pass along 2^log_lines lines of 2^log_points samples, if nothing waits."""
    words = 1 << (log_points + log_lines)
    way = FETCH + 3 + Align.latency + latency(machine.log_size, log_points)
    return words + way + SETTLE


def run_cycles(machine: SpectralMachine, log_height: int, log_width: int) -> int:
    """Cycles that a run is busy, if the analysis never makes it wait."""
    return pass_cycles(machine, log_width, log_height) + pass_cycles(machine, log_height, log_width)


class Passes(wiring.Component):
    """Runs golden `transform` on the frame store in place, or the transforms of a pair.

    A pass reads line after line, aligns each to its greatest exponent, transforms it and writes it
    back where it was. Beside the store it keeps the greatest exponent of each line, of the pass to
    come; so that a run that is not `fresh` goes on with what the last run left, at the same size.

    Throughput: a sample a cycle in a pass. A run takes `run_cycles` cycles if `columns` never
    waits.

    Parameter: the machine.

    Ports: start (while not busy), beside command (COMMAND; no pair that is not fresh, or back),
    log_height and log_width (3 to log2 of the machine's size, constant while busy); busy (from
    the cycle after start); read, write: the frame store's, words SAMPLE at row * size + column.
    columns: a stream of the columns' transforms, `column_layout`, column after column in the
    order 0, 1, W-1, 2, W-2 … W/2, each with its rows as they leave the transform; taps: the
    samples that the first pass of a pair reads, row after row, one in each cycle that is `valid`.
    """

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        self._place = data.StructLayout({"place": machine.log_size, "line": machine.log_size})
        super().__init__(
            {
                "start": In(1),
                "command": In(COMMAND),
                "log_height": In(LOG),
                "log_width": In(LOG),
                "busy": Out(1),
                "read": Out(read_signature(SAMPLE.size, machine.points)),
                "write": Out(write_signature(SAMPLE.size, machine.points)),
                "columns": Out(stream.Signature(column_layout(machine))),
                "taps": Out(TAPS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.run = run = PassSequence()
        m.submodules.exponents = exponents = LineExponents(log_size=self._machine.log_size)
        m.submodules.fft = fft = FFT(self._machine.log_size)
        m.d.comb += [
            run.start.eq(self.start),
            run.asked.eq(self.command),
            run.log_height.eq(self.log_height),
            run.log_width.eq(self.log_width),
            self.busy.eq(run.busy),
            fft.clear.eq(~run.work),
            fft.log_points.eq(run.log_points),
        ]
        samples = self._read(m, run, exponents)
        first, line, taken = self._transform(m, run, samples, fft)
        # A line's exponent waits until its words are transformed.
        depth = lines_inside(self._machine.log_size)
        m.submodules.lines = lines = fifo.SyncFIFO(width=EXPONENT, depth=depth)
        m.d.comb += [lines.w_en.eq(taken & first), lines.w_data.eq(line)]
        finished = self._write_back(m, run, fft, lines, exponents)
        trace = Signal(SETTLE - 2)
        m.d.sync += trace.eq(Mux(run.work, Cat(finished, trace), 0))
        m.d.comb += run.settled.eq(trace[-1])
        return m

    def _walk(self, m, run, name: str, *, reverse: bool) -> Walk:
        """A walk over the places of each pass."""
        m.submodules[name] = walk = Walk(log_size=self._machine.log_size, reverse=reverse)
        m.d.comb += [
            walk.start.eq(run.begin),
            walk.log_points.eq(run.log_points),
            walk.log_lines.eq(run.log_lines),
            walk.mirrored.eq(run.command.pair & run.second),
        ]
        return walk

    def _read(self, m, run, exponents):
        """Read samples beside their lines' exponents, line after line: a stream of rows."""
        reader = self._walk(m, run, "reader", reverse=False)
        m.submodules.fetch = fetch = Prefetch(
            address_width=self._place.size,
            row_width=SAMPLE.size + EXPONENT,
            tag_width=2,
            latency=FETCH,
        )
        reading = Signal()
        at = Signal(self._place, reset_less=True)
        m.d.sync += at.eq(fetch.address)
        m.d.comb += [
            fetch.i.valid.eq(reading),
            fetch.i.payload.address.eq(Cat(reader.place, reader.line)),
            fetch.i.payload.tag.eq(Cat(reader.first, reader.last)),
            reader.step.eq(reading & fetch.i.ready),
            self.read.addr.eq(_address(run, at)),
            exponents.columns.eq(run.second),
            exponents.line.eq(at.line),
            fetch.row.eq(Cat(self.read.data, exponents.exponent)),
        ]
        with m.If(run.begin):
            m.d.sync += reading.eq(1)
        with m.Elif(reader.step & reader.last):
            m.d.sync += reading.eq(0)
        return fetch.o

    def _transform(self, m, run, samples, fft):
        """Align lines and transform them; (a line's first sample, its exponent, it is taken).

        After the last sample any words follow, to push the last line out. Those that are left when
        the next pass begins are not in a line, so the transform ignores them.
        """
        m.submodules.align = align = Align()
        command, host_samples = run.command, run.command.fresh & ~run.second
        flushing = Signal()
        sample = data.View(SAMPLE, samples.payload.row[: SAMPLE.size])
        line = Signal(EXPONENT)
        first, last = samples.payload.tag
        taken = Signal()
        m.d.comb += [
            line.eq(Mux(host_samples, 0, samples.payload.row[SAMPLE.size :])),
            taken.eq(samples.valid & align.i.ready),
            samples.ready.eq(align.i.ready),
            align.i.valid.eq(samples.valid | flushing),
            align.i.payload.first.eq(first & ~flushing),
            align.i.payload.line.eq(line),
            align.i.payload.sample.re.eq(Mux(command.back, sample.im, sample.re)),
            align.i.payload.sample.im.eq(Mux(command.back, sample.re, sample.im)),
            align.i.payload.sample.exponent.eq(Mux(host_samples, 0, sample.exponent)),
        ]
        wiring.connect(m, align.o, fft.i)
        m.d.sync += [
            self.taps.valid.eq(taken & command.pair & ~run.second),
            self.taps.re.eq(sample.re),
            self.taps.im.eq(sample.im),
        ]
        with m.If(run.begin):
            m.d.sync += flushing.eq(0)
        with m.Elif(taken & last):
            m.d.sync += flushing.eq(1)
        return first, line, taken

    def _write_back(self, m, run, fft, lines, exponents):
        """Write what is transformed to the store, or hand it to the analysis; whether all is."""
        writer = self._walk(m, run, "writer", reverse=True)
        width = transformed_width(WIDTH, self._machine.log_size)
        m.submodules.pack = pack = Pack(width=width, tag_width=self._place.size)
        command, to_columns = run.command, run.command.pair & run.second
        finished = Signal()
        word = fft.o.payload
        word_valid = Signal()
        m.d.comb += [
            word_valid.eq(fft.o.valid & run.work & ~finished),
            self.columns.valid.eq(word_valid & to_columns),
            self.columns.payload.re.eq(word.re),
            self.columns.payload.im.eq(word.im),
            self.columns.payload.exponent.eq(lines.r_data),
            self.columns.payload.row.eq(writer.place),
            pack.i.valid.eq(word_valid & ~to_columns),
            pack.i.payload.word.re.eq(Mux(command.back, word.im, word.re)),
            pack.i.payload.word.im.eq(Mux(command.back, word.re, word.im)),
            pack.i.payload.line.eq(lines.r_data),
            pack.i.payload.tag.eq(Cat(writer.place, writer.line)),
            pack.o.ready.eq(1),
            fft.o.ready.eq(self.columns.ready | ~to_columns),
            writer.step.eq(word_valid & fft.o.ready),
            lines.r_en.eq(writer.step & writer.ends),
        ]
        written = data.View(self._place, pack.o.payload.tag)
        m.d.comb += [
            self.write.en.eq(pack.o.valid),
            self.write.addr.eq(_address(run, written)),
            self.write.data.eq(pack.o.payload.sample),
            exponents.update.eq(pack.o.valid),
            exponents.place.eq(written.place),
            exponents.value.eq(pack.o.payload.sample.exponent),
            exponents.replace.eq(written.line == 0),
        ]
        with m.If(run.begin):
            m.d.sync += finished.eq(0)
        with m.Elif(writer.step & writer.last):
            m.d.sync += finished.eq(1)
        return finished


def _address(run, at):
    """The store's address of a place in a line of this pass."""
    return Mux(run.second, Cat(at.line, at.place), Cat(at.place, at.line))
