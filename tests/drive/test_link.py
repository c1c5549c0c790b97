"""The link's driver on good and bad lines: no wrong value, nothing lost or done twice, no hang."""

import contextlib
import os
import threading
import time
import tty

import numpy as np
import pytest

from backspike.drive.frames import pack
from backspike.drive.link import SILENT, TRIES, LinkPort
from backspike.drive.link_torture import RATE, torture
from backspike.drive.serial_line import SerialLine
from backspike.gen.host.access import BusError, BusTimeoutError
from backspike.gen.link.echo_design import MAP
from backspike.gen.link.protocol import WORDS
from backspike.ir.errors import LinkError
from backspike.sim.noisy_line import KINDS, NoisyLine
from backspike.sim.verilator.uart import Uart, UartLine
from tests.support.linked import MEMORY, uart

pytestmark = pytest.mark.verilator


@pytest.fixture
def port():
    port = LinkPort(UartLine(uart()), MAP)
    yield port
    port.close()


def test_as_any_port(port):
    """What `Simulator` does with the same words and mistakes."""
    words = np.random.default_rng(0).integers(0, 2**32, 200, np.uint32)
    port.write_block("memory", words)
    assert port.read_block("memory", 200).tolist() == words.tolist()
    port.write(MEMORY + 8, 1, 2)
    assert port.read_block(MEMORY + 4, 4).tolist() == [words[1], 1, 2, words[4]]
    assert port.read_block("memory", 0).size == 0
    port.write_block("memory", [])
    port.write("bell", 9)
    assert (port.read("rung"), port.read("last")) == (1, 9)
    assert port.wait("last", 0xF, 9) == 9
    with pytest.raises(BusTimeoutError, match=r"last is 0x00000009 after 9999 cycles, waiting"):
        port.wait("last", 1, 0, limit=9999)
    with pytest.raises(ValueError, match="value is 0x2, must have bits within the mask 0x1"):
        port.wait("last", 1, 2)
    with pytest.raises(ValueError, match="words are 0 to 4294967296"):
        port.write_block("memory", [0, 2**32])
    with pytest.raises(ValueError, match="words at 0xffc, must be at a multiple of 4"):
        port.read_block(0xFFC, 2)
    with pytest.raises(BusError, match=r"^write of 0x00000100 at 0x000000 \(bell\) was answered S"):
        port.write("bell", 0x100)
    with pytest.raises(BusError, match=r"^read at 0x000000 \(bell\) was answered SLVERR$"):
        port.read("bell")
    assert port.failures == 0
    assert port.clock == RATE.clock


def test_a_refusal_in_a_long_block_is_found_where_it_is(port):
    """A refusal inside a block names its own address; what came before it is done."""
    end = MEMORY + 4 * MAP.window("memory").words
    with pytest.raises(BusError) as caught:
        port.write_block(end - 4 * 60, range(100, 170))
    assert caught.value.address == end
    assert "write of 0x000000a0" in str(caught.value)
    assert port.read_block(end - 8, 2).tolist() == [158, 159]
    with pytest.raises(BusError) as caught:
        port.read_block(end - 4 * 60, 70)
    assert caught.value.address == end


def test_frames_grow_on_a_good_line(port):
    """On a good line, a block of 256 words becomes one frame."""
    for _ in range(10):
        port.read_block("memory", 256)
    before = port.requests
    port.read_block("memory", 256)
    assert port.requests - before == 1
    assert WORDS == 256


@pytest.mark.parametrize("skew", [-0.02, 0.02])
def test_a_bad_line(skew):
    """On a line that damages frames no value is wrong, and nothing is lost or done twice."""
    found = torture(250, 0.01, 5, skew=skew)
    assert found.requests >= 250
    assert found.failures > 150
    assert min(found.damaged.values()) > 100
    assert found.values > 1000
    assert found.wrong == 0
    assert found.rung == found.counted > 30
    assert found.refused > 5


class Scripted:
    """A way for bytes that does to the nth send, or receipt, what it was told."""

    def __init__(self, **deeds):
        self.deeds, self.calls = deeds, 0

    def __call__(self, data: bytes) -> bytes:
        if not data:
            return data
        self.calls += 1
        deed = self.deeds.get(f"n{self.calls}")
        return data if deed is None else deed(data)


def test_a_lost_answer_does_not_ring_twice():
    """A request whose answer is lost is done once."""
    back = Scripted()
    port = LinkPort(UartLine(uart(), bytes, back), MAP)
    for deed in (lambda data: b"", lambda data: data[:-3], lambda data: bytes(len(data))):
        before = port.read("rung")
        back.deeds = {f"n{back.calls + 1}": deed}
        port.write("bell", 1)
        assert port.read("rung") == before + 1
    assert port.failures == 3


def test_a_lost_request_is_sent_again():
    """A request that is lost, cut or damaged is sent again and done once."""
    there = Scripted()
    port = LinkPort(UartLine(uart(), there), MAP)
    for deed in (lambda data: b"", lambda data: data[:-5], lambda data: b"\x55" + data[2:]):
        before = port.read("rung")
        there.deeds = {f"n{there.calls + 1}": deed}
        port.write("bell", 1)
        assert port.read("rung") == before + 1
    # The rest of the one that was cut off is called damaged when the next frame begins.
    assert port.failures == 4


def test_noise_before_a_request_does_not_ring_twice():
    """The bridge calls the noise damaged, and carries out the request behind it."""
    there = Scripted()
    port = LinkPort(UartLine(uart(), there), MAP)
    there.deeds = {f"n{there.calls + 1}": lambda data: b"\x7e\x55\x55\x7e" + data}
    port.write("bell", 1)
    assert port.read("rung") == 1
    assert port.failures == 1


class Dead:
    """A line on which `answer` comes to whatever is sent."""

    name, baud = "serial port X", 1_000_000

    def __init__(self, answer: bytes = b""):
        self.answer, self.sent = answer, 0
        self._waiting = b""

    def send(self, data: bytes) -> None:
        self.sent += 1
        self._waiting = self.answer

    def receive(self, seconds: float) -> bytes:
        assert seconds < 1
        data, self._waiting = self._waiting, b""
        return data

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "tries", "message"),
    [
        (b"", SILENT, "serial port X does not answer: a board with backspike's link at 1000000"),
        (b"\x00\xe6\x1e", TRIES, "serial port X answers, but nothing of it is readable at 1000000"),
        (pack(b"login: "), TRIES, "serial port X answers, but nothing of it is readable"),
        (
            pack(bytes([0x1F, 0, 0, 0])),
            TRIES,
            "serial port X answers, but nothing of it is readable",
        ),
        (pack(bytes([0x16, 0, 0, 0])), 1, "serial port X has another version of the link"),
    ],
)
def test_what_is_no_board(answer, tries, message):
    """Silence, noise and another version are LinkErrors, each after its number of tries."""
    line = Dead(answer)
    with pytest.raises(LinkError, match=message):
        LinkPort(line, MAP)
    assert line.sent == tries


class Loop(Dead):
    """A line that sends back what it is sent, as far as `damage` leaves it."""

    def __init__(self, damage=bytes):
        super().__init__()
        self._damage = damage

    def send(self, data: bytes) -> None:
        super().send(data)
        self._waiting = self._damage(data)


LOOPBACK = "serial port X sends back what it is sent: a loopback is there"


def test_a_loopback_is_recognised_at_once():
    """After the first frame, and not as a wrong baud rate after all tries."""
    line = Loop()
    with pytest.raises(LinkError, match=LOOPBACK):
        LinkPort(line, MAP)
    assert line.sent == 1


def test_a_loopback_that_damages_is_recognised_by_its_first_whole_frame():
    """Until then it might be anything."""
    sends = iter([b"\x55", b"\x7e\x55\x7e"])
    line = Loop(lambda data: next(sends, data))
    with pytest.raises(LinkError, match=LOOPBACK):
        LinkPort(line, MAP)
    assert line.sent == 3


def test_a_board_behind_a_line_that_echoes():
    """As half-duplex lines do: the board's answer comes after the echo, and is taken."""

    class Echoing(UartLine):
        def send(self, data: bytes) -> None:
            super().send(data)
            self.echo = data

        def receive(self, seconds: float) -> bytes:
            echo, self.echo = self.echo, b""
            return echo or super().receive(seconds)

    port = LinkPort(Echoing(uart()), MAP)
    port.write("bell", 3)
    assert port.read("last") == 3
    assert port.failures == 0


def test_a_loopback_as_a_serial_port():
    """A pseudo-terminal whose other side sends everything back."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)

    def loop():
        with contextlib.suppress(OSError):  # until it is closed
            while data := os.read(ours, 4096):
                os.write(ours, data)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    line, begin = SerialLine(os.ttyname(theirs)), time.monotonic()
    try:
        with pytest.raises(LinkError, match="sends back what it is sent"):
            LinkPort(line, MAP)
        assert time.monotonic() - begin < 5
    finally:
        line.close()
        os.close(theirs)
        os.close(ours)


def test_a_line_that_gets_worse_is_given_up():
    """A line that damages every frame is given up, and stays closed when it gets better."""
    there = NoisyLine(0, 1)
    port = LinkPort(UartLine(uart(), there), MAP)
    port.write("bell", 1)
    there.share = 0.5
    with pytest.raises(LinkError, match=f"has damaged {TRIES} frames in a row"):
        port.read_block("memory", 256)
    there.share, frames = 0.0, port.frames
    with pytest.raises(LinkError, match=f"has damaged {TRIES} frames in a row"):
        port.read("rung")
    assert port.frames == frames


def test_a_reset_of_the_board_is_noticed():
    """A board that was reset is a LinkError at the next access."""
    line = UartLine(uart())
    port = LinkPort(line, MAP)
    port.write("bell", 1)
    line.uart.reset()
    with pytest.raises(LinkError, match="the board was reset, and what it held is lost"):
        port.write("bell", 2)


def test_another_rate_is_told():
    """A board at another baud rate is a LinkError that says so."""
    model: Uart = uart(skew=0.5)
    with pytest.raises(
        LinkError, match=r"(answers, but nothing of it is readable|does not answer)"
    ):
        LinkPort(UartLine(model), MAP)


def test_damage_is_what_it_says():
    """The noisy line damages its share of bytes, of every kind, the same for one seed."""
    data = bytes(range(256)) * 400
    damage = NoisyLine(0.03, 7)
    assert damage(data) != data
    assert damage(b"") == b""
    for kind in KINDS:
        assert abs(damage.counts[kind] / len(data) - 0.01) < 0.002
    same = NoisyLine(0.03, 7)
    assert same(data) == NoisyLine(0.03, 7)(data)
    assert NoisyLine(0, 7)(data) == data
    with pytest.raises(ValueError, match=r"share is 1\.5, must be 0 to 1"):
        NoisyLine(1.5, 0)
