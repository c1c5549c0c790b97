"""A memory of the engines that the host can look into while the core is at rest."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from backspike.gen.host.bus import WORD, HostBus
from backspike.gen.memory.rows import READ_LATENCY, RowMemory, read_signature, write_signature
from backspike.gen.memory.window import RowWindow, words_of


class HostMemory(wiring.Component):
    """A `RowMemory` whose first read port, and whose write port if `writable`, the host's window
    has while `rest` is high. If both may write, what is written is there a cycle later.

    Parameters: width, depth, readers, stalling: see `RowMemory`; halves: see `RowWindow`; shown:
    pairs of (bits of a lane, bits that the window shows it in, the rest zero), for a read-only
    window; host_only: nobody else writes.

    Ports: write unless host_only, read0, read1 …; host; rest.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        readers: int = 1,
        writable: bool = True,
        halves: bool = False,
        shown: tuple[int, int] | None = None,
        stalling: bool = False,
        host_only: bool = False,
    ):
        self._width, self._depth, self._readers = width, depth, readers
        self._writable, self._halves = writable, halves
        self._stalling, self._host_only = stalling, host_only
        port = read_signature(width, depth, stalling=stalling)
        self._from, self._to = shown or (width, width)
        self._host_width = width // self._from * self._to
        words = depth * words_of(self._host_width)
        super().__init__(
            {
                **({} if host_only else {"write": In(write_signature(width, depth))}),
                **{f"read{n}": In(port) for n in range(readers)},
                "host": In(HostBus(ceil_log2(words))),
                "rest": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parts = words_of(self._width) if self._writable else 1
        m.submodules.rows = rows = RowMemory(
            width=self._width,
            depth=self._depth,
            readers=self._readers,
            parts=parts,
            stalling=self._stalling,
        )
        m.submodules.window = window = RowWindow(
            width=self._host_width, depth=self._depth, latency=READ_LATENCY, halves=self._halves
        )
        wiring.connect(m, wiring.flipped(self.host), window.host)
        host = {
            "en": window.enable,
            "addr": window.address,
            "data": window.data.replicate(-(-self._width // WORD)),
        }
        for name in host:
            value = getattr(rows.write, name)
            if self._host_only:
                m.d.comb += value.eq(host[name])
                continue
            engine = getattr(self.write, name)
            engine = engine.replicate(parts) if name == "en" else engine
            if self._writable:
                # A register after the choice: both writers may be as far away as the memory is
                # wide.
                chosen = Signal.like(value, name=f"chosen_{name}", reset_less=name != "en")
                m.d.sync += chosen.eq(Mux(self.rest, host[name], engine))
                engine = chosen
            m.d.comb += value.eq(engine)
        for n in range(self._readers):
            port, inner = getattr(self, f"read{n}"), getattr(rows, f"read{n}")
            m.d.comb += [inner.addr.eq(port.addr), port.data.eq(inner.data)]
            if self._stalling:
                m.d.comb += inner.en.eq(port.en)
        with m.If(self.rest):
            m.d.comb += rows.read0.addr.eq(window.address)
            if self._stalling:
                m.d.comb += rows.read0.en.eq(~0)
        lanes = self._width // self._from
        m.d.comb += window.row.eq(
            Cat(
                Cat(rows.read0.data.word_select(n, self._from), Const(0, self._to - self._from))
                for n in range(lanes)
            )
        )
        return m
