"""Run control of the spectral unit: what may start, and when it is over."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.layout import LOG, MAX_PASSES
from backspike.gen.spectral.machine import SMALLEST, SpectralMachine

REQUEST = data.StructLayout({"pair": 1, "back": 1, "continues": 1})
"""What the host wants: the spectral sums of a pair instead of a transform; the inverse transform;
the transform of the last result instead of the samples that the host has written."""
PASSES = 2
"""Passes of a run: rows, then columns."""


class Fault(enum.Enum, shape=3):
    """Why a run was refused. `map` has a sentence for each."""

    NONE = 0
    SIZE = 1
    PAIR_BACK = 2
    PAIR_CONTINUES = 3
    EMPTY = 4
    RESULT = 5
    RESIZED = 6
    PASSES = 7


class Content(enum.Enum, shape=2):
    """What the frame store holds."""

    NOTHING = 0
    SAMPLES = 1
    RESULT = 2


class SpectralControl(wiring.Component):
    """Starts a run if it is sound, and knows what the frame store holds.

    Latency: `go` comes two cycles after `doorbell`, and `busy` one after; if the run is refused
    `busy` is high for one cycle, and `fault` stands when it falls. A run ends in the first cycle
    after `go` in which `working` is low.

    Ports: doorbell (one cycle) with request, log_height and log_width, which stay while `busy` is
    high; written: the host has written a sample; go (one cycle); accepted: the request, from `go`
    to the end of the run; working: the engines are; busy; fault: of the last doorbell; content and
    passes: what the frame store holds, and passes done since the host wrote it; cycles of the last
    run, `go` included.

    A refused doorbell changes nothing but `fault`.
    """

    def __init__(self, machine: SpectralMachine):
        self.machine = machine
        super().__init__(
            {
                "doorbell": In(1),
                "request": In(REQUEST),
                "log_height": In(LOG),
                "log_width": In(LOG),
                "written": In(1),
                "go": Out(1),
                "accepted": Out(REQUEST),
                "working": In(1),
                "busy": Out(1),
                "fault": Out(Fault),
                "content": Out(Content),
                "passes": Out(range(MAX_PASSES + 1)),
                "cycles": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        asked = self.accepted
        result_height, result_width = Signal(LOG), Signal(LOG)
        fault = Signal(Fault)

        def is_size(log):
            return (log >= SMALLEST.bit_length() - 1) & (log <= self.machine.log_size)

        with m.If(~is_size(self.log_height) | ~is_size(self.log_width)):
            m.d.comb += fault.eq(Fault.SIZE)
        with m.Elif(asked.pair & asked.back):
            m.d.comb += fault.eq(Fault.PAIR_BACK)
        with m.Elif(asked.pair & asked.continues):
            m.d.comb += fault.eq(Fault.PAIR_CONTINUES)
        with m.Elif(~asked.continues & (self.content != Content.SAMPLES)):
            m.d.comb += fault.eq(Fault.EMPTY)
        with m.Elif(asked.continues & (self.content != Content.RESULT)):
            m.d.comb += fault.eq(Fault.RESULT)
        with m.Elif(
            asked.continues
            & ((self.log_height != result_height) | (self.log_width != result_width))
        ):
            m.d.comb += fault.eq(Fault.RESIZED)
        with m.Elif(asked.continues & (self.passes > MAX_PASSES - PASSES)):
            m.d.comb += fault.eq(Fault.PASSES)

        with m.If(self.written):
            m.d.sync += [self.content.eq(Content.SAMPLES), self.passes.eq(0)]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("REST"))
            with m.State("REST"):
                with m.If(self.doorbell):
                    m.d.sync += asked.eq(self.request)
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += self.fault.eq(fault)
                m.next = "REST"
                with m.If(fault == Fault.NONE):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                # Until the run is over there is nothing to go on with: a pair leaves its rows
                # transformed, and a reset whatever there is.
                m.d.comb += self.go.eq(1)
                m.d.sync += [
                    self.content.eq(Content.NOTHING),
                    self.cycles.eq(1),
                    result_height.eq(self.log_height),
                    result_width.eq(self.log_width),
                ]
                m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += self.cycles.eq(self.cycles + 1)
                with m.If(~self.working):
                    m.next = "REST"
                    with m.If(~asked.pair):
                        m.d.sync += [
                            self.content.eq(Content.RESULT),
                            self.passes.eq(self.passes + PASSES),
                        ]
        return m
