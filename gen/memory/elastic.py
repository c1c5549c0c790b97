"""Elastic buffers: registers that cut the paths of a stream."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class _Cut(wiring.Component):
    """A stream in and the same stream out."""

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})


class RegisterSlice(_Cut):
    """Cuts every path of a stream: `o` and `i.ready` come from registers.

    Latency: one cycle. Throughput: one per cycle.

    Parameter: shape of the payload.
    """

    def elaborate(self, platform):
        m = Module()
        came, left = Value.cast(self.i.payload), Value.cast(self.o.payload)
        first = Signal(len(came), reset_less=True)
        second = Signal(len(came), reset_less=True)  # what came while the first could not leave
        valid, waits = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(~waits), self.o.valid.eq(valid), left.eq(first)]
        with m.If(~waits):
            m.d.sync += second.eq(came)
        with m.If(~valid | self.o.ready):
            m.d.sync += [
                first.eq(Mux(waits, second, came)),
                valid.eq(waits | self.i.valid),
                waits.eq(0),
            ]
        with m.Else():
            m.d.sync += waits.eq(waits | self.i.valid)
        return m


class TwoEntryFIFO(_Cut):
    """Two-entry FIFO in flip-flops. `o.ready` drives only the read pointer, never the data
    registers, which keeps the path short. (A FIFO in distributed RAM takes a third more LUTs.)

    Latency: one cycle. Throughput: one per cycle.

    Parameter: shape of the payload.
    """

    def elaborate(self, platform):
        m = Module()
        came, left = Value.cast(self.i.payload), Value.cast(self.o.payload)
        places = [Signal(len(came), name=f"place{n}", reset_less=True) for n in range(2)]
        write, read = Signal(2), Signal(2)  # they differ by what is held
        m.d.comb += [
            self.i.ready.eq((write ^ read) != 2),
            self.o.valid.eq(write != read),
            left.eq(Mux(read[0], places[1], places[0])),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += write.eq(write + 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += read.eq(read + 1)
        for n, place in enumerate(places):
            with m.If((write[0] == n) & self.i.ready):
                m.d.sync += place.eq(came)
        return m
