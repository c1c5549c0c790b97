"""A run of the transform: a pass along the rows, then one along the columns."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import LOG

COMMAND = data.StructLayout({"pair": 1, "back": 1, "fresh": 1})
"""A run. pair: forward, and the columns' transforms go to the analysis instead of the store; back:
N times the inverse in each pass; fresh: samples are as the host wrote them, their exponents 0."""


class PassSequence(wiring.Component):
    """Holds what a run was asked for, and begins its two passes one after the other.

    Latency: `begin` comes in the cycle after `start`, or after `settled` of the first pass.
    """

    start: In(1)  # while not busy, beside `asked` and the sizes
    asked: In(COMMAND)
    log_height: In(LOG)  # constant while busy
    log_width: In(LOG)
    settled: In(1)  # the pass under way has left no trace
    busy: Out(1)
    begin: Out(1)  # a pass begins: one cycle
    work: Out(1)  # a pass is under way
    command: Out(COMMAND)
    second: Out(1)  # the pass along the columns
    log_points: Out(LOG)  # samples of a line of this pass
    log_lines: Out(LOG)

    def elaborate(self, platform):
        m = Module()
        with m.FSM() as fsm:
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("IDLE")),
                self.begin.eq(fsm.ongoing("BEGIN")),
                self.work.eq(fsm.ongoing("WORK")),
            ]
            with m.State("IDLE"):
                m.d.sync += [
                    self.command.eq(self.asked),
                    self.second.eq(0),
                    self.log_points.eq(self.log_width),
                    self.log_lines.eq(self.log_height),
                ]
                with m.If(self.start):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.next = "WORK"
            with m.State("WORK"):
                with m.If(self.settled):
                    m.d.sync += [
                        self.second.eq(1),
                        self.log_points.eq(self.log_height),
                        self.log_lines.eq(self.log_width),
                    ]
                    with m.If(self.second):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "BEGIN"
        return m
