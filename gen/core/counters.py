"""Counters of a run: what each engine did, and what a perfect one would have needed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import ENGINES

CONDITIONS = {
    "working": "busy",
    "event": "events",
    "stuck": "token",
    "starved": "vector",
    "blocked": "drain",
    "refused": "port",
}
"""Inputs of each engine, high in the cycles to count, and the counters."""


class Counters(wiring.Component):
    """32-bit counters, cleared when a run begins, counting while it lasts.

    The bound of fp and bp is the number of events. Of wg it is max(m, 2 n) for each layer, with m
    the events and n the row tiles that are updated (read and written through one port).

    Ports: clear, count; inputs NAME_CONDITION (see CONDITIONS), and wg_loaded (a new layer begins),
    wg_rows (a row tile is updated); outputs cycles, overlap (some engine is busy), NAME_COUNTER as
    in the map.
    """

    def __init__(self):
        ports = {"clear": In(1), "count": In(1), "cycles": Out(32), "overlap": Out(32)}
        for name in ENGINES:
            ports |= {f"{name}_{condition}": In(1) for condition in CONDITIONS}
            ports |= {f"{name}_{counter}": Out(32) for counter in CONDITIONS.values()}
            ports |= {f"{name}_bound": Out(32)}
        super().__init__(ports | {"wg_loaded": In(1), "wg_rows": In(1)})

    def elaborate(self, platform):
        m = Module()

        def counter(output, condition):
            with m.If(self.clear):
                m.d.sync += output.eq(0)
            with m.Elif(self.count & condition):
                m.d.sync += output.eq(output + 1)

        counter(self.cycles, 1)
        some = self.fp_working | self.bp_working | self.wg_working
        counter(self.overlap, some)
        for name in ENGINES:
            for condition, output in CONDITIONS.items():
                counter(getattr(self, f"{name}_{output}"), getattr(self, f"{name}_{condition}"))
        m.d.comb += [self.fp_bound.eq(self.fp_events), self.bp_bound.eq(self.bp_events)]

        # The layer in hand, and what is sure of the layers before it.
        events = Signal(32)
        rows = Signal(32)
        before = Signal(32)
        layer = Signal(32)
        m.d.comb += [
            layer.eq(Mux(events > (rows << 1), events, rows << 1)),
            self.wg_bound.eq(before + layer),
        ]
        m.d.sync += [
            events.eq(events + (self.count & self.wg_event)),
            rows.eq(rows + (self.count & self.wg_rows)),
        ]
        with m.If(self.wg_loaded):
            m.d.sync += [before.eq(before + layer), events.eq(0), rows.eq(0)]
        with m.If(self.clear):
            m.d.sync += [before.eq(0), events.eq(0), rows.eq(0)]
        return m
