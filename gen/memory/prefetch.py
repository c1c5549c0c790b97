"""Reading a memory as a stream: requests in, rows out, in order."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.memory.rows import READ_LATENCY, RowMemory


def request_signature(address_width: int, tag_width: int) -> stream.Signature:
    """Requests: an address, and what shall come beside its row."""
    return stream.Signature(data.StructLayout({"address": address_width, "tag": tag_width}))


def row_signature(row_width: int, tag_width: int) -> stream.Signature:
    """Rows with their requests' tags."""
    return stream.Signature(data.StructLayout({"row": row_width, "tag": tag_width}))


class ReadPipe(wiring.Component):
    """Turns a read port that may stall, and has no other user, into a stream.

    The memory's own registers hold the rows, and all move on together, unless a row is there and
    not taken: so one enable serves them. A gap between requests stays while the consumer waits.

    Latency: READ_LATENCY cycles from request to row. Throughput: one a cycle.

    Parameters: widths in bits.

    Ports: i {address, tag}; o {row, tag}; address, en, row: the memory's read port (or several,
    side by side); see `read_signature`.
    """

    def __init__(self, *, address_width: int, row_width: int, tag_width: int):
        self._tag_width = tag_width
        super().__init__(
            {
                "i": In(request_signature(address_width, tag_width)),
                "o": Out(row_signature(row_width, tag_width)),
                "address": Out(address_width),
                "en": Out(READ_LATENCY),
                "row": In(row_width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.address.eq(self.i.payload.address),
            self.o.payload.row.eq(self.row),
        ]
        move = Signal()
        valid, tag = self.i.valid, self.i.payload.tag
        for n in range(READ_LATENCY):
            holds = Signal(name=f"valid{n}")
            held = Signal(self._tag_width, name=f"tag{n}", reset_less=True)
            with m.If(move):
                m.d.sync += [holds.eq(valid), held.eq(tag)]
            valid, tag = holds, held
        m.d.comb += [
            move.eq(~valid | self.o.ready),
            self.en.eq(move.replicate(READ_LATENCY)),
            self.i.ready.eq(move),
            self.o.valid.eq(valid),
            self.o.payload.tag.eq(tag),
        ]
        return m


class Prefetch(wiring.Component):
    """Turns a memory with a fixed latency, and other users maybe, into a stream that may stall.

    A request is issued when the buffer has room for its row (credits), so nothing is lost however
    long the consumer waits, and while it does not wait a row comes every cycle. The buffer is a
    block RAM.

    Latency: `latency` cycles of the memory + 1 + READ_LATENCY of the buffer from request to row,
    in all `latency` of this component. Throughput: one a cycle.

    Parameters: widths in bits; latency of the memory; depth: rows requested and not yet taken, a
    power of two. It must cover the latency and what a row has to wait for its consumer anyway.

    Ports: i {address, tag}; o {row, tag}; the memory's `address` (with `valid`, answered by
    `grant` where the port is shared) and `row`, `latency` cycles after it was granted.

    Raises ValueError if depth is no power of two, or not enough to cover the latency.
    """

    def __init__(
        self, *, address_width: int, row_width: int, tag_width: int, latency: int, depth: int = 16
    ):
        self._memory_latency = latency
        self._depth = depth
        self._row_width = row_width
        self._tag_width = tag_width
        self.latency = latency + 1 + READ_LATENCY
        if depth <= self.latency or depth & (depth - 1):
            raise ValueError(f"depth is {depth}, must be a power of two over {self.latency}")
        super().__init__(
            {
                "i": In(request_signature(address_width, tag_width)),
                "o": Out(row_signature(row_width, tag_width)),
                "address": Out(address_width),
                "valid": Out(1),
                "grant": In(1, init=1),
                "row": In(row_width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth, places = self._depth, exact_log2(self._depth)
        width = self._row_width + self._tag_width
        m.submodules.buffer = buffer = RowMemory(width=width, depth=depth, stalling=True)
        m.submodules.pipe = pipe = ReadPipe(address_width=places, row_width=width, tag_width=0)
        wanted = Signal(places + 1)  # rows requested and not yet taken, up to depth
        write, read = Signal(places + 1), Signal(places + 1)  # they differ by the rows stored
        issue, leave, store, load = Signal(), Signal(), Signal(), Signal()
        room = ~wanted[-1]
        m.d.comb += [
            self.address.eq(self.i.payload.address),
            self.valid.eq(self.i.valid & room),
            self.i.ready.eq(room & self.grant),
            issue.eq(self.valid & self.grant),
            leave.eq(self.o.valid & self.o.ready),
            load.eq(pipe.i.valid & pipe.i.ready),
        ]
        m.d.sync += [
            wanted.eq(wanted + issue - leave),
            write.eq(write + store),
            read.eq(read + load),
        ]

        present, tag = issue, self.i.payload.tag
        for n in range(self._memory_latency):
            next_present = Signal(name=f"present{n}")
            next_tag = Signal(self._tag_width, name=f"tag{n}", reset_less=True)
            m.d.sync += [next_present.eq(present), next_tag.eq(tag)]
            present, tag = next_present, next_tag
        m.d.comb += [
            store.eq(present),
            buffer.write.en.eq(store),
            buffer.write.addr.eq(write[:places]),
            buffer.write.data.eq(Cat(self.row, tag)),
            pipe.i.valid.eq(write != read),
            pipe.i.payload.address.eq(read[:places]),
            buffer.read0.addr.eq(pipe.address),
            buffer.read0.en.eq(pipe.en),
            pipe.row.eq(buffer.read0.data),
            self.o.valid.eq(pipe.o.valid),
            Cat(self.o.payload.row, self.o.payload.tag).eq(pipe.o.payload.row),
            pipe.o.ready.eq(self.o.ready),
        ]
        return m
