"""The bridge, frame by frame: what it carries out, what it refuses, what it never does twice."""

import numpy as np
import pytest

from backspike.drive.frames import pack
from backspike.drive.link_torture import RATE
from backspike.gen.link.echo_design import MAP
from backspike.gen.link.protocol import WORDS, Op, Status
from tests.support.linked import BELL, MEMORY, RUNG, Raw, request

pytestmark = pytest.mark.verilator


@pytest.fixture
def raw():
    raw = Raw()
    yield raw
    raw.uart.close()


def test_hello_tells_what_it_is():
    """A hello is answered with its number, the longest frame, the clock and the rate."""
    raw = Raw(open=False)
    for number in (0xFFFF_FFFF, 0x7E7D_7E7D):
        [answer] = raw.ask(request(Op.HELLO, 9, number))
        assert answer == (Status.OKAY, 9, 4, [number, WORDS, RATE.clock, RATE.baud])


def test_words_are_written_and_read(raw):
    """A block of words is read as written, and a fixed address gets every word."""
    words = list(np.random.default_rng(0).integers(0, 2**32, WORDS))
    assert raw.ask(request(Op.WRITE, 1, MEMORY, words)) == [(Status.OKAY, 1, WORDS, [])]
    [answer] = raw.ask(request(Op.READ, 2, MEMORY + 4, count=WORDS - 1))
    assert answer == (Status.OKAY, 2, WORDS - 1, words[1:])
    assert raw.ask(request(Op.READ, 3, MEMORY, count=WORDS)) == [(Status.OKAY, 3, WORDS, words)]
    # All at one address: the bell rings for each.
    assert raw.ask(request(Op.WRITE, 4, BELL, [1, 2, 3], fixed=1)) == [(Status.OKAY, 4, 3, [])]
    [answer] = raw.ask(request(Op.READ, 5, RUNG, count=2, fixed=1))
    assert answer == (Status.OKAY, 5, 2, [3, 3])


def test_refusals_of_the_core(raw):
    """The words before a refusal are done, those after it are not begun."""
    [answer] = raw.ask(request(Op.WRITE, 1, BELL, [1, 2, 3]))  # `rung` cannot be written
    assert answer == (Status.SLVERR, 1, 1, [])
    [answer] = raw.ask(request(Op.READ, 2, RUNG, count=5))  # nothing is behind `last`
    assert answer == (Status.SLVERR, 2, 2, [1, 1])
    [answer] = raw.ask(request(Op.READ, 3, MEMORY + 2, count=1))
    assert answer == (Status.SLVERR, 3, 0, [])
    # Addresses that the port does not have are not cut to those that it has.
    last = (1 << MAP.addr_width) - 4
    for address in (1 << MAP.addr_width, 1 << 31, (1 << 31) + BELL):
        assert raw.ask(request(Op.WRITE, 4, address, [7])) == [(Status.DECERR, 4, 0, [])]
        assert raw.ask(request(Op.READ, 5, address, count=1)) == [(Status.DECERR, 5, 0, [])]
    assert raw.ask(request(Op.READ, 6, last, count=2))[0][0] == Status.SLVERR
    assert raw.read(RUNG) == [1]


def test_a_request_is_carried_out_once(raw):
    """A repeated request is answered from memory; the register behind it changes once."""
    ring = request(Op.WRITE, 1, BELL, [5])
    for _ in range(3):
        assert raw.ask(ring) == [(Status.OKAY, 1, 1, [])]
    assert raw.ask(request(Op.READ, 2, RUNG, count=1)) == [(Status.OKAY, 2, 1, [1])]
    raw.ask(request(Op.WRITE, 3, BELL, [5]))
    # Its answer is repeated as it was, whatever asks for it.
    for again in (request(Op.READ, 3, RUNG, count=1), request(Op.REPEAT, 3)):
        assert raw.ask(again) == [(Status.OKAY, 3, 1, [])]
    raw.ask(request(Op.READ, 4, RUNG, count=2))
    assert raw.ask(request(Op.REPEAT, 4)) == [(Status.OKAY, 4, 2, [2, 5])]
    assert raw.ask(request(Op.REPEAT, 5)) == [(Status.MISSED, 5, 0, [])]
    assert raw.ask(request(Op.REPEAT, 4)) == [(Status.OKAY, 4, 2, [2, 5])]
    assert raw.ask(request(Op.WRITE, 5, BELL, [6])) == [(Status.OKAY, 5, 1, [])]
    assert raw.read(RUNG) == [3]


def test_nothing_is_done_for_a_damaged_frame(raw):
    """Every byte of a frame changed, dropped and doubled: the bell does not ring."""
    raw.ask(request(Op.WRITE, 1, BELL, [1]))
    whole = pack(request(Op.WRITE, 2, BELL, [0x20]))
    rng = np.random.default_rng(1)
    for at in range(1, len(whole) - 2):
        changed = bytes([whole[at] ^ int(rng.integers(1, 256))])
        for middle in (changed, b"", whole[at : at + 1] * 2):
            answers = raw.say(whole[:at] + middle + whole[at + 1 :])
            assert answers, "no answer"
            assert {answer[:3] for answer in answers} == {(Status.DAMAGED, 1, 0)}
    for short in range(1, len(whole) - 4):
        assert raw.say(whole[: short + 1] + b"\x7e") == [(Status.DAMAGED, 1, 0, [])]
    assert raw.say(b"\x7e" * 30) == []
    assert raw.say(whole[2:-2] + whole) == [(Status.DAMAGED, 1, 0, []), (Status.OKAY, 2, 1, [])]
    assert raw.read(RUNG) == [2]


def test_what_is_no_request_is_told_so(raw):
    """Frames of wrong version, length or count get an error status and change nothing."""
    ring = {"sequence": 1, "address": BELL, "words": [1]}
    alien = [
        request(Op.WRITE, version=2, **ring),
        request(Op.WRITE, version=0, **ring),
        request(Op.WRITE, spare=1, **ring),
    ]
    for body in alien:
        assert raw.ask(body) == [(Status.ALIEN, 1, 0, [])]
    length = [
        request(Op.WRITE, count=2, **ring),
        request(Op.WRITE, count=0, **ring),
        request(Op.WRITE, 1, BELL, []),
        request(Op.WRITE, **ring) + b"\0",
        request(Op.READ, 1, RUNG, count=0),
        request(Op.READ, 1, RUNG, count=WORDS + 1),
        request(Op.READ, 1, RUNG, count=0x8001),
        request(Op.READ, 1, RUNG, [1]),
        request(Op.HELLO, 1, 0, count=1),
        request(Op.REPEAT, 1, 0, count=1),
        request(Op.WRITE, 1, MEMORY, range(WORDS + 1)),
        request(Op.WRITE, 1, MEMORY, range(WORDS + 1), count=WORDS),
        request(Op.WRITE, 1, MEMORY, range(3 * WORDS)),
    ]
    for body in length:
        assert raw.ask(body) == [(Status.LENGTH, 1, 0, [])], body[:8].hex()
    for body in (b"\0", b"\0\1", request(Op.READ, 1)[:7]):  # no whole header, but a right CRC
        [(status, *_)] = raw.ask(body)
        assert status in (Status.ALIEN, Status.LENGTH)
    assert raw.read(RUNG) == [0]
    assert raw.read(MEMORY, 4) == [0] * 4


def test_nothing_is_done_before_hello():
    """Before a hello, and after a reset, every request is answered CLOSED."""
    raw = Raw(open=False)
    for body in (request(Op.WRITE, 1, BELL, [1]), request(Op.READ, 0, RUNG, count=1)):
        assert raw.ask(body)[0][0] == Status.CLOSED
    assert raw.ask(request(Op.REPEAT, 0))[0][0] == Status.CLOSED
    assert raw.read(RUNG) == [0]
    raw.uart.reset()
    assert raw.ask(request(Op.WRITE, 202, BELL, [1]))[0][0] == Status.CLOSED
    assert raw.read(RUNG) == [0]


def test_frames_back_to_back_are_done_once_or_not_at_all(raw):
    """What comes before an answer has gone is dropped or done, and the answers say which."""
    rung = 0
    for count in range(2, 9):
        raw.ask(request(Op.HELLO, 0))
        answers = raw.ask(
            request(Op.READ, 1, MEMORY, count=40),
            *(request(Op.WRITE, n, BELL, [n]) for n in range(2, 2 + count)),
        )
        assert answers[0][:3] == (Status.OKAY, 1, 40)
        assert {answer[0] for answer in answers} == {Status.OKAY}
        done = [answer[1] for answer in answers[1:]]
        assert done
        assert done == sorted(set(done))
        rung += len(done)
        assert raw.read(RUNG, 2) == [rung, done[-1]]


def test_an_answer_is_sent_before_the_next_request_is_carried_out(raw):
    """Both use one memory: nothing is mixed up, of what is read or of what is written."""
    words = np.random.default_rng(3).integers(0, 2**32, 200).tolist()
    raw.ask(request(Op.WRITE, 1, MEMORY, words))
    answers = raw.ask(
        request(Op.READ, 2, MEMORY, count=100),
        b"\xff",  # a frame that is dropped while the request is carried out, or called too short
        request(Op.READ, 3, MEMORY + 400, count=100),
        request(Op.WRITE, 4, MEMORY, range(50)),
    )
    read = {answer[1]: answer[3] for answer in answers if answer[0] == Status.OKAY}
    assert read == {2: words[:100], 3: words[100:]}
    answers = raw.ask(
        request(Op.READ, 5, MEMORY, count=100),
        b"\xff",
        request(Op.WRITE, 6, MEMORY, range(50)),
        request(Op.WRITE, 7, MEMORY, range(100, 150)),
    )
    assert [answer[:3] for answer in answers if answer[0] == Status.OKAY] == [
        (Status.OKAY, 5, 100),
        (Status.OKAY, 6, 50),
    ]
    assert raw.read(MEMORY, 200) == [*range(50), *words[50:]]


def test_resets_whatever_it_is_doing(raw):
    """While a request comes, is carried out, or is answered: then all is as at the beginning."""
    rng = np.random.default_rng(8)
    words = rng.integers(0, 2**32, 60).tolist()
    took = raw.uart.cycles
    raw.ask(request(Op.WRITE, 1, MEMORY, words), request(Op.READ, 2, MEMORY, count=60))
    took = raw.uart.cycles - took
    for after in rng.integers(1, took, 40):
        raw.ask(request(Op.HELLO, 0))
        bodies = request(Op.WRITE, 1, MEMORY, words), request(Op.READ, 2, MEMORY, count=60)
        raw.uart.send(b"".join(map(pack, bodies)))
        raw.reset(int(after))
        assert raw.ask(request(Op.WRITE, 3, BELL, [1]))[-1][0] == Status.CLOSED
        assert raw.read(RUNG) == [0]
        assert raw.ask(request(Op.WRITE, 202, MEMORY, words)) == [(Status.OKAY, 202, 60, [])]
        assert raw.read(MEMORY, 60) == words
