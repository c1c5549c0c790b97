"""A board's top: clock, reset, a core behind its serial line, lights."""

from amaranth.hdl import ClockDomain, ClockSignal, Const, Module, ResetSignal
from amaranth.lib import io, wiring

from backspike.gen.boards.board import Board, Pin
from backspike.gen.boards.clock import Clock
from backspike.gen.boards.status_leds import StatusLeds
from backspike.gen.link.serial_core import SerialCore


class BoardTop(wiring.Component):
    """All that is in a board's part. Its pins are the platform's.

    Parameters: board; core, with ports axi, running and fault. Elaborates on `board.platform()`.
    """

    def __init__(self, board: Board, core: wiring.Component):
        self._board, self._core = board, core
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        board, core = self._board, self._core
        m.domains.sync = ClockDomain()
        m.submodules.clock = clock = Clock(board.family, board.clock)
        m.submodules.serial = serial = SerialCore(core, board.rate)
        m.submodules.leds = leds = StatusLeds(board.clock)
        clock.clk.attrs["keep"] = "true"  # or synthesis calls it by another of its names
        platform.add_clock_constraint(clock.clk, board.clock)

        requested = {}

        def port(pin: Pin):
            resource, *path = pin[:2], *pin[2:]
            if resource not in requested:
                requested[resource] = platform.request(*resource, dir="-")
            found = requested[resource]
            for name in path:
                found = getattr(found, name)
            return found

        def take(name: str, pin: Pin):
            m.submodules[f"pin_{name}"] = buffer = io.Buffer("i", port(pin))
            return buffer.i

        def give(name: str, pin: Pin, value) -> None:
            m.submodules[f"pin_{name}"] = buffer = io.Buffer("o", port(pin))
            m.d.comb += buffer.o.eq(value)

        m.d.comb += [
            ClockSignal().eq(clock.clk),
            ResetSignal().eq(clock.rst),
            serial.rx.eq(take("rx", (*board.uart, "rx"))),
            leds.running.eq(core.running),
            leds.fault.eq(core.fault),
            leds.trouble.eq(serial.trouble),
        ]
        if board.reset is not None:
            m.d.comb += clock.pressed.eq(take("reset", board.reset))
        give("tx", (*board.uart, "tx"), serial.tx)
        give("alive", board.alive, leds.alive)
        give("error", board.error, leds.error)
        for n, pin in enumerate(board.high):
            give(f"high{n}", pin, Const(1))
        return m
