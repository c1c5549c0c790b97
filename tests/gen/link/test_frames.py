"""Framing in software and in hardware: what one packs the other takes apart, and nothing else."""

import zlib

import numpy as np
import pytest
from amaranth.sim import Simulator

from backspike.drive.frames import Unpacker, pack
from backspike.gen.link.deframer import LONGEST, Deframer
from backspike.gen.link.framer import Framer
from backspike.gen.link.protocol import ANSWER, REQUEST, VERSION, WORDS, Op, Status

SPECIAL = bytes([0x7E, 0x7D, 0x5E, 0x5D, 0x20, 0x00])


def bodies(seed: int, count: int, longest: int = 40) -> list[bytes]:
    """Random bodies, rich in bytes that need care."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        data = bytearray(rng.bytes(int(rng.integers(1, longest))))
        for at in range(len(data)):
            if rng.random() < 0.4:
                data[at] = SPECIAL[rng.integers(len(SPECIAL))]
        found.append(bytes(data))
    return found


def test_pack_by_hand():
    """A frame equals bytes written by hand, with the CRC of RFC 1662."""
    body = b"\x01\x7e\x7d\x02"
    crc = zlib.crc32(body).to_bytes(4, "little")
    assert 0x7E not in crc
    assert 0x7D not in crc
    assert pack(body) == b"\x7e\x01\x7d\x5e\x7d\x5d\x02" + crc + b"\x7e\x7e"
    # What RFC 1662 appends so that the whole has the residue of its appendix C.3.
    assert zlib.crc32(body + crc) ^ 0xFFFFFFFF == 0xDEBB20E3


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_unpacker_finds_what_was_packed(cut):
    """The unpacker finds every body whatever the pieces it is fed in, and counts noise."""
    sent = bodies(1, 200)
    data = b"\x55\x7d" + b"".join(map(pack, sent))  # noise first: a frame of its own
    unpacker, got = Unpacker(), []
    for at in range(0, len(data), cut):
        got += unpacker.feed(data[at : at + cut])
    assert got == sent
    assert unpacker.damaged == 1


def test_unpacker_takes_nothing_damaged():
    """A changed, lost or added byte never gives a body."""
    rng = np.random.default_rng(2)
    for body in bodies(3, 300):
        frame = bytearray(pack(body))
        at = int(rng.integers(1, len(frame) - 2))
        kind = rng.integers(3)
        if kind == 0:
            frame[at] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del frame[at]
        else:
            frame.insert(at, int(rng.integers(256)))
        unpacker = Unpacker()
        assert unpacker.feed(bytes(frame)) == []
        assert unpacker.damaged >= 1


def unframed(data: list[tuple[int, int]], hold=lambda cycle: 0) -> list[dict]:
    """Frames that Deframer finds in (byte, error), one every third cycle."""
    dut, found, memory = Deframer(), [], {}

    async def bench(ctx):
        cycle = 0
        for byte, error in data:
            for valid in (1, 0, 0):
                ctx.set(dut.i.valid, valid)
                ctx.set(dut.i.payload.data, byte)
                ctx.set(dut.i.payload.error, error & valid)
                ctx.set(dut.hold, hold(cycle))
                if ctx.get(dut.words.en):
                    memory[ctx.get(dut.words.addr)] = ctx.get(dut.words.data)
                if ctx.get(dut.done):
                    header: int = ctx.get(dut.header.as_value())
                    length = ctx.get(dut.length)
                    found.append(
                        {
                            "damaged": ctx.get(dut.damaged),
                            "length": length,
                            "header": header.to_bytes(8, "little"),
                            "words": [
                                memory[n] for n in range(max(0, min(length - 12, 1024) // 4))
                            ],
                        }
                    )
                await ctx.tick()
                cycle += 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def good(data: bytes) -> list[tuple[int, int]]:
    return [(byte, 0) for byte in data]


def request(words: int, seed: int = 0) -> bytes:
    header = REQUEST.const({"op": Op.WRITE, "version": VERSION, "sequence": seed, "count": words})
    rng = np.random.default_rng(seed)
    payload = bytearray(rng.bytes(4 * words))
    payload[: words // 2] = bytes(SPECIAL[rng.integers(6)] for _ in range(words // 2))
    return header.as_bits().to_bytes(8, "little") + bytes(payload)


def test_unframe_takes_requests_apart():
    """The hardware finds header, words and length of requests that software packed."""
    sent = [request(words, seed) for seed, words in enumerate([0, 1, 2, 7, WORDS, 3])]
    found = unframed(good(b"".join(map(pack, sent))))
    assert len(found) == len(sent)
    for got, want in zip(found, sent, strict=True):
        assert got["damaged"] == 0
        assert got["length"] == len(want) + 4
        assert got["header"] == want[:8]
        assert got["words"] == np.frombuffer(want[8:], "<u4").tolist()


def test_unframe_says_what_is_damaged():
    """The hardware marks each kind of damage, and takes the next frame."""
    body = request(3, 5)
    whole = pack(body)
    wrong = bytearray(whole)
    wrong[9] ^= 0x10
    missing = [(byte, int(n == 6)) for n, byte in enumerate(whole)]
    long = body + bytes(4 * WORDS)
    cases = [
        (good(bytes(wrong)), [1]),
        (missing, [1]),
        (good(whole[:-3] + b"\x7d\x7e"), [1]),  # the flag cannot be escaped
        (good(b"\x7e\x01\x7e"), [1]),
        (good(b"\x7e\x7e\x7e"), []),
        (good(whole[:8] + whole), [1, 0]),
        (good(whole[:-2] + whole[1:]), [1]),  # the flags between are lost: one long frame
        (good(pack(long)), [0]),
    ]
    for data, want in cases:
        after = unframed(data + good(whole))
        assert [frame["damaged"] for frame in after] == [*want, 0], data
        assert after[-1]["header"] == body[:8]
    assert unframed(cases[-1][0])[0]["length"] == LONGEST + 1


def test_unframe_drops_what_comes_while_held():
    """Held anywhere in the second frame: the first stays till then, and the third comes."""
    first, second, third = request(2, 1), request(2, 2), request(1, 3)
    data = good(pack(first) + pack(second) + pack(third))
    begin, end = 3 * len(pack(first)), 3 * len(pack(first) + pack(second))
    for start in range(begin + 3, end - 6, 16):
        found = unframed(data, lambda cycle, start=start: start <= cycle < start + 5)
        assert [frame["header"][1] for frame in found] == [1, 3], start
        held = unframed(data[: start // 3 + 1], lambda cycle, start=start: start - 3 <= cycle)
        assert [frame["header"] for frame in held] == [first[:8]]


@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_frame_sends_what_the_unpacker_takes(stall):
    """Answers framed by the hardware equal those packed by software, with stalls."""
    rng = np.random.default_rng(4)
    memory = np.frombuffer(request(16, 9)[8:], "<u4").tolist()
    answers = [(Status.OKAY, 1, 16, 16), (Status.SLVERR, 0x7E, 3, 0), (Status.OKAY, 0x7D, 5, 5)]
    dut, sent = Framer(), bytearray()

    async def bench(ctx):
        addresses = [0, 0]
        queue = list(answers)
        for _ in range(1500):
            ctx.set(dut.i.valid, bool(queue))
            if queue:
                status, sequence, count, words = queue[0]
                header = {"status": status, "version": VERSION, "sequence": sequence}
                ctx.set(dut.i.payload.header, {**header, "count": count})
                ctx.set(dut.i.payload.words, words)
            if queue and ctx.get(dut.i.ready):
                queue.pop(0)
            ctx.set(dut.words.data, memory[addresses[0] % 16])
            addresses = [addresses[1], ctx.get(dut.words.addr)]
            ready = rng.random() >= stall
            ctx.set(dut.o.ready, ready)
            if ready and ctx.get(dut.o.valid):
                sent.append(ctx.get(dut.o.payload))
            await ctx.tick()
        assert not queue

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    want = []
    for status, sequence, count, words in answers:
        header = {"status": status, "version": VERSION, "sequence": sequence, "count": count}
        body = ANSWER.const(header).as_bits().to_bytes(4, "little")
        want.append(body + np.array(memory[:words], "<u4").tobytes())
    assert bytes(sent) == b"".join(map(pack, want))
