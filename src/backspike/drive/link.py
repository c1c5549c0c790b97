"""A core behind a serial line: requests, answers, and what is done when one is damaged."""

import secrets
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from backspike.drive.frames import Unpacker, pack
from backspike.drive.serial_line import Line
from backspike.gen.host.access import (
    BusError,
    BusTimeoutError,
    Words,
    as_words,
    byte_address,
    check_mask,
)
from backspike.gen.host.registers import BYTES, RegisterMap
from backspike.gen.link.protocol import (
    ANSWER,
    REQUEST,
    STATUS_TEXT,
    VERSION,
    WORDS,
    Op,
    Status,
)
from backspike.ir.errors import LinkError

TRIES = 50
"""Failures one after the other, of which none brought anything on, after which it is given up. Each
may use up a sequence number, so it must stay well below their 256."""
SILENT = 5
"""The same of those in which not one byte came."""
PATIENCE = 0.5
"""Seconds beyond an answer's own time: operating systems and USB converters hold bytes back."""
SHORT = 16
"""Words of a frame to begin with."""
LONGER, SHORTER = 1.5, 0.8
"""What becomes of a frame's words if the last one got through at once, and if not: on a bad line
they settle where a third gets through, which is near to where most words do."""
SMALLEST = 32
"""Bytes of a short request and its answer, at least: flags, headers, CRCs and a word."""


class _Hello(NamedTuple):
    """The words of HELLO's answer."""

    number: int
    words: int
    clock: int
    baud: int


class _Answer(NamedTuple):
    status: Status
    count: int
    words: Words


class _Tries:
    """Counts failures in a row and says when there were too many."""

    def __init__(self, name: str, baud: int):
        self._name, self._baud = name, baud
        self.total = 0  # failures ever
        self.opened = False
        self.over = ""  # why it was given up
        self.clear()

    def clear(self) -> None:
        """Something has got through."""
        self.failed = self._silent = self._there = self._back = 0
        self._echoed = False

    def count(self, *, damaged: bool, came: int, echoed: bool = False) -> None:
        """A try has failed: the board said so (damaged), or nothing good came in time.

        came: bytes that did. echoed: our own frame was among them. Raises LinkError.
        """
        self.total += 1
        self.failed += 1
        self._silent = 0 if came else self._silent + 1
        self._there += damaged
        self._echoed = self._echoed or echoed
        self._back += bool(came) and not damaged
        self.over = self._verdict()
        self.check()

    def check(self) -> None:
        """Raises LinkError if it has been given up."""
        if self.over:
            raise LinkError(f"{self._name} {self.over}")

    def _verdict(self) -> str:
        if self._echoed:
            return (
                "sends back what it is sent: a loopback is there, or a terminal that echoes, and "
                "must be a board with backspike's link"
            )
        if self._silent >= SILENT:
            if self.opened:
                return f"has stopped answering: {SILENT} tries were in vain"
            return (
                f"does not answer: a board with backspike's link at {self._baud} baud is needed "
                "there"
            )
        if self.failed >= TRIES:
            if self.opened:
                return (
                    f"has damaged {TRIES} frames in a row ({self._there} on the way there, "
                    f"{self._back} on the way back or lost): a better line is needed"
                )
            return (
                f"answers, but nothing of it is readable at {self._baud} baud: the rate that the "
                "board was built for is needed, and backspike's link"
            )
        return ""


class LinkPort:
    """A core's port at the other end of a line; see `Port`.

    A frame that was damaged or lost is sent again, one that was carried out is not carried out
    again. On a bad line frames get shorter, on a good one longer, up to what the board takes.
    `clock`: of the core, in Hz. `requests` that were answered, `frames` that they took, `failures`
    among these, `bytes` both ways and `seconds` count what crossed the line.

    Raises LinkError if the other end is silent, unreadable, a loopback, no backspike, or was reset.
    Once it has been given up, it raises whatever is asked.
    """

    def __init__(self, line: Line, registers: RegisterMap, *, patience: float = PATIENCE):
        self.registers = registers
        self.bytes = self.frames = self.requests = 0
        self.seconds = 0.0
        self._line, self._patience = line, patience
        self._tries = _Tries(line.name, line.baud)
        self._unpacker = Unpacker()
        self._sequence = 0
        self._longest, self._words = WORDS, float(SHORT)
        told = self._hello()
        self._longest = min(WORDS, told.words)
        self.clock, self._cycles = told.clock, told.clock / told.baud
        self._tries.opened = True

    @property
    def failures(self) -> int:
        """Tries that failed, of all."""
        return self._tries.total

    def close(self) -> None:
        """Gives the line back."""
        self._line.close()

    def write(self, address: int | str, *words: int) -> None:
        self.write_block(address, words)

    def read(self, address: int | str) -> int:
        return int(self.read_block(address, 1)[0])

    def write_block(self, address: int | str, words: np.ndarray | Sequence[int]) -> None:
        data = as_words(words)
        first = byte_address(self.registers, address, data.size)
        done = 0
        while done < data.size:
            part = data[done : done + int(self._words)]
            at = first + done * BYTES
            answer = self._ask(Op.WRITE, at, len(part), part.astype("<u4").tobytes())
            if answer is None:
                continue
            if answer.status != Status.OKAY:
                refused = at + answer.count * BYTES
                self._refuse(f"write of {int(part[answer.count]):#010x}", refused, answer)
            done += len(part)

    def read_block(self, address: int | str, words: int) -> Words:
        first = byte_address(self.registers, address, words)
        parts, done = [np.empty(0, np.uint32)], 0
        while done < words:
            count = min(words - done, int(self._words))
            at = first + done * BYTES
            answer = self._ask(Op.READ, at, count)
            if answer is None:
                continue
            if answer.status != Status.OKAY:
                self._refuse("read", at + answer.count * BYTES, answer)
            parts.append(answer.words)
            done += count
        return np.concatenate(parts)

    def wait(
        self,
        address: int | str,
        mask: int,
        value: int,
        *,
        interval: int = 64,
        limit: int = 10_000_000,
    ) -> int:
        """See `Port`. A look takes many more cycles than `interval`; that is ignored."""
        check_mask(mask, value)
        first = byte_address(self.registers, address, 1)
        looks = 1 + limit / (SMALLEST * 10 * self._cycles)
        while looks > 0:
            word = self.read(first)
            if word & mask == value:
                return word
            looks -= 1
        raise BusTimeoutError(
            f"{self.registers.at(first)} is {word:#010x} after {limit} cycles, "
            f"waiting for {value:#x} under the mask {mask:#x}"
        )

    def _hello(self) -> _Hello:
        """Opens the link: what was said before, to whomever, is forgotten."""
        number = secrets.randbits(32)
        while True:
            self._send(Op.HELLO, number, 0)
            answer = self._answer(Op.HELLO, len(_Hello._fields))
            if answer is None:
                continue
            told = _Hello(*map(int, answer.words))
            if told.number == number:
                return told
            self._tries.count(damaged=False, came=1)  # to somebody before us

    def _ask(self, op: Op, address: int, count: int, payload: bytes = b"") -> _Answer | None:
        """Has a request carried out once. None: it has not been, and may be cut differently."""
        self._tries.check()
        self._sequence = (self._sequence + 1) % 256
        self._send(op, address, count, payload)
        answer = self._answer(op, count)
        if answer is not None:
            self.requests += 1
            self._words = min(self._words * LONGER, self._longest)
            return answer
        self._words = max(self._words * SHORTER, 1)
        if op == Op.READ:
            return None  # whether it was carried out makes no difference
        while True:
            self._send(Op.REPEAT, 0, 0)
            answer = self._answer(op, count)
            if answer is not None and answer.status == Status.MISSED:
                return None
            if answer is not None:
                self.requests += 1
                return answer

    def _send(self, op: Op, address: int, count: int, payload: bytes = b"") -> None:
        header = REQUEST.const(
            {
                "op": op,
                "version": VERSION,
                "sequence": self._sequence,
                "count": count,
                "address": address,
            }
        ).as_bits()
        self._request = header.to_bytes(REQUEST.size // 8, "little") + payload
        frame = pack(self._request)
        begin = time.perf_counter()
        self._line.send(frame)
        self.seconds += time.perf_counter() - begin
        self.bytes += len(frame)
        self.frames += 1
        self._sent = len(frame)

    def _answer(self, op: Op, count: int) -> _Answer | None:
        """The answer to the last request, if it comes whole; None if that has failed."""
        expected = self._sent + (SMALLEST + count * BYTES if op != Op.WRITE else SMALLEST)
        begin = time.perf_counter()
        deadline = begin + self._patience + 2 * expected * 10 / self._line.baud
        came, damaged = 0, self._unpacker.damaged
        answer, echoed = None, False
        while answer is None and damaged == self._unpacker.damaged:
            data = self._line.receive(max(0.0, deadline - time.perf_counter()))
            came += len(data)
            for body in self._unpacker.feed(data):
                # No answer equals its request. An echo is a fault only if nothing else comes.
                if body == self._request:
                    echoed = True
                else:
                    answer = answer or self._parse(body, op, count)
            if not data:
                break
        self.seconds += time.perf_counter() - begin
        self.bytes += came
        if answer is None or answer.status == Status.DAMAGED:
            self._tries.count(
                damaged=answer is not None, came=came, echoed=echoed and answer is None
            )
            return None
        if answer.status != Status.MISSED:
            self._tries.clear()
        if answer.status in (Status.LENGTH, Status.ALIEN):
            raise LinkError(
                f"{self._line.name} has another version of the link: "
                f"the board says that {STATUS_TEXT[answer.status]}"
            )
        if answer.status == Status.CLOSED:
            raise LinkError(f"{self._line.name}: the board was reset, and what it held is lost")
        return answer

    def _parse(self, body: bytes, op: Op, count: int) -> _Answer | None:
        """The answer in a frame, unless it is to something else."""
        size = ANSWER.size // 8
        if len(body) < size or len(body) % BYTES:
            return None
        header: Any = ANSWER.from_bits(int.from_bytes(body[:size], "little"))
        words = np.frombuffer(body[size:], "<u4")
        if header.version != VERSION:
            return None
        try:
            status = Status(header.status)
        except ValueError:
            return None
        if status == Status.DAMAGED:
            return _Answer(status, 0, words[:0])
        if header.sequence != self._sequence:
            return None
        if status == Status.OKAY and header.count != count:
            return None
        carried = header.count if op != Op.WRITE and status.value <= Status.DECERR.value else 0
        if len(words) != carried or header.count > count:
            return None
        return _Answer(status, header.count, words.astype(np.uint32))

    def _refuse(self, operation: str, address: int, answer: _Answer) -> None:
        raise BusError(operation, address, self.registers.at(address), answer.status.name)
