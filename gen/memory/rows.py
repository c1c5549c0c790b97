"""Memories of rows: one write port, and one read port for each reader."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

READ_LATENCY = 2
"""Cycles from address to data: the block RAM and the fabric register that timing needs after it."""


def write_signature(width: int, depth: int, lanes: int = 1) -> wiring.Signature:
    """A write port as its user drives it; `en` has a bit for each of `lanes` equal parts."""
    return wiring.Signature({"en": Out(lanes), "addr": Out(ceil_log2(depth)), "data": Out(width)})


def read_signature(width: int, depth: int, *, stalling: bool = False) -> wiring.Signature:
    """A read port as its user drives it; data comes READ_LATENCY cycles after the address.

    stalling: `en` has a bit for each of these cycles, that is for the block RAM's register and the
    one after it; a register whose bit is low keeps what it holds.
    """
    return wiring.Signature(
        {
            "addr": Out(ceil_log2(depth)),
            "data": In(width),
            **({"en": Out(READ_LATENCY)} if stalling else {}),
        }
    )


class RowMemory(wiring.Component):
    """Rows with one writer and `readers` readers.

    Every reader has its own copy, so each copy is a simple dual-port block RAM. A row must not be
    read in the cycle that writes it: tokens order engines, and the host reads and writes at rest.

    Latency: READ_LATENCY cycles. Throughput: one write and one read a reader and cycle.

    Parameters: width in bits, depth in rows, readers, parts (of equal width) with
    a write enable of their own; stalling: of the read ports, see `read_signature`.
    """

    def __init__(
        self, *, width: int, depth: int, readers: int = 1, parts: int = 1, stalling: bool = False
    ):
        self._width = width
        self._depth = depth
        self._parts = parts
        self._readers = readers
        self._stalling = stalling
        port = read_signature(width, depth, stalling=stalling)
        super().__init__(
            {
                "write": In(write_signature(width, depth, parts)),
                **{f"read{n}": In(port) for n in range(readers)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        attrs: dict[str, int | str] = {"no_rw_check": 1}
        if self._stalling:
            attrs["ram_style"] = "block"  # also where it is small: LUTs are scarcer
        for n in range(self._readers):
            copy = memory.Memory(shape=self._width, depth=self._depth, init=[], attrs=attrs)
            m.submodules[f"copy{n}"] = copy
            write = copy.write_port(granularity=self._width // self._parts)
            read = copy.read_port()
            port = getattr(self, f"read{n}")
            data = Signal(self._width, reset_less=True)
            m.d.comb += [
                write.en.eq(self.write.en),
                write.addr.eq(self.write.addr),
                write.data.eq(self.write.data),
                read.addr.eq(port.addr),
                port.data.eq(data),
            ]
            if self._stalling:
                m.d.comb += read.en.eq(port.en[0])
                with m.If(port.en[1]):
                    m.d.sync += data.eq(read.data)
            else:
                m.d.sync += data.eq(read.data)
        return m
