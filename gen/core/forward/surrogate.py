"""A layer's surrogate: which code a membrane potential has, found among the edges step by step."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import HALF_BITS, TABLE
from backspike.gen.numerics.half import Half
from backspike.gen.pipeline import Pipeline

STEPS = 4
"""Bits of a code: one is found in each step."""


def order(half) -> Value:
    """An unsigned key of 16 bits that orders halves (there is no -0) as numbers."""
    bits = Value.cast(half)
    return Cat(bits[:15] ^ bits[15].replicate(15), ~bits[15])


class SurrogateLookup(wiring.Component):
    """The number of edges that u reaches, by binary search: edges must not fall.

    A step compares with one of 1, 2, 4 or 8 edges, which it reads from a memory of its own.

    Latency: `latency` cycles. Throughput: one u a cycle.
    """

    latency = STEPS

    table: In(TABLE)  # an edge is written
    i_key: In(HALF_BITS)  # order(u)
    o: Out(STEPS)  # the code

    def elaborate(self, platform):
        m = Module()
        index = self.table.index
        edge = Signal(HALF_BITS)
        m.d.comb += edge.eq(order(Half(self.table.half)))
        pipeline = Pipeline(m)
        pipeline.put("key", self.i_key, at=0)
        code = Signal(0)
        for n in range(STEPS):
            # Edges that this step may reach: 7; 3, 11; 1, 5, 9, 13; 0, 2, .. 14.
            low = STEPS - 1 - n
            addressed = Signal(name=f"addressed{n}")
            m.d.comb += addressed.eq(self.table.write & (index[: low + 1] == (1 << low) - 1))
            at = index[low + 1 :]
            if n < 2:
                edges = [
                    Signal(HALF_BITS, name=f"edge{n}_{k}", reset_less=True) for k in range(1 << n)
                ]
                for k, register in enumerate(edges):
                    with m.If(addressed & (at == k)):
                        m.d.sync += register.eq(edge)
                reached = Mux(code, edges[-1], edges[0])
            else:
                m.submodules[f"edges{n}"] = edges = memory.Memory(shape=16, depth=1 << n, init=[])
                read, write = edges.read_port(domain="comb"), edges.write_port()
                m.d.comb += [
                    write.en.eq(addressed),
                    write.addr.eq(at),
                    write.data.eq(edge),
                    read.addr.eq(code),
                ]
                reached = read.data
            bit = pipeline.get("key", at=n) >= reached
            code = pipeline.register(f"bits{n}", Cat(bit, code), at=n + 1)
        m.d.comb += self.o.eq(code)
        return m
