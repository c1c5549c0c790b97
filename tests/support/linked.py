"""A bridge and its UART in Verilator, for the link's tests: what torture uses."""

import numpy as np

from backspike.drive.frames import Unpacker, pack
from backspike.drive.link_torture import RATE, torture_library
from backspike.gen.link.echo_design import MAP
from backspike.gen.link.protocol import ANSWER, REQUEST, VERSION, Op, Status
from backspike.sim.verilator.uart import Uart

MEMORY = MAP.window("memory").base
BELL, RUNG = MAP.register("bell").offset, MAP.register("rung").offset


def uart(skew: float = 0.0) -> Uart:
    return Uart(torture_library(), RATE, skew=skew)


def request(
    op: Op | int, sequence: int, address: int = 0, words=(), *, count: int | None = None, **more
) -> bytes:
    """A request's body."""
    words = np.asarray(words, "<u4")
    fields = {"version": VERSION, "count": words.size if count is None else count, **more}
    fields |= {"op": op, "sequence": sequence, "address": address}
    header = REQUEST.const(fields).as_bits()
    return header.to_bytes(REQUEST.size // 8, "little") + words.tobytes()


class Raw:
    """Says what it is told to over a UART, and hears what comes: (status, sequence, count, words).

    open: say hello first.
    """

    def __init__(self, *, open: bool = True):
        self.uart = uart()
        self._unpacker = Unpacker()
        if open:
            assert self.ask(request(Op.HELLO, 0, 77))[0][3][0] == 77

    def ask(self, *bodies: bytes) -> list[tuple]:
        """Frames of these bodies, back to back."""
        return self.say(b"".join(map(pack, bodies)))

    def say(self, data: bytes) -> list[tuple]:
        """Bytes; returns the answers until the line is quiet."""
        self.uart.send(data)
        self.uart.stir()
        answers = []
        while not self.uart.quiet:
            answers += map(self._answer, self._unpacker.feed(self.uart.run()))
        assert not self._unpacker.damaged
        return answers

    def reset(self, after: int) -> None:
        """Resets the board so many cycles from now, and forgets what comes till all is quiet."""
        while after > 0:
            self.uart.run(min(after, 1000))
            after -= 1000
        self.uart.reset()
        self.uart.stir()
        while not self.uart.quiet:
            self.uart.run()
        self._unpacker = Unpacker()

    @staticmethod
    def _answer(body: bytes) -> tuple:
        header = ANSWER.from_bits(int.from_bytes(body[:4], "little"))
        assert header.version == VERSION
        words = np.frombuffer(body[4:], "<u4").tolist()
        return Status(header.status), header.sequence, header.count, words

    def read(self, address: int, count: int = 1) -> list[int]:
        """By a link of our own making: hello, and a read."""
        self.ask(request(Op.HELLO, 200))
        [(status, _, got, words)] = self.ask(request(Op.READ, 201, address, count=count))
        assert (status, got) == (Status.OKAY, count)
        return words
