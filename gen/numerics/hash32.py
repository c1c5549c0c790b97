"""A counter-based hash: random bits that depend on a name, not on when or where they are drawn."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.pipeline import Pipeline
from backspike.ir.constants import HASH_OFFSET, HASH_ROUNDS


class Hash32(wiring.Component):
    """hash(key, word): a 32-bit number in which every bit of key and word has its say.

        x = word ^ key ^ HASH_OFFSET
        for a, b, c, d in HASH_ROUNDS:
            x += x << a                                                     (modulo 2^32)
            x ^= rotate_left(x, b) ^ rotate_left(x, c) ^ rotate_left(key, d)

    For each key it is a permutation of the words: shift and add multiplies by an odd number, and
    three rotations of 32 bits are invertible. No multiplier; an adder and a row of LUT4 a round.

    Latency: `latency` cycles. Throughput: one a cycle; free running, without enable.
    """

    latency = len(HASH_ROUNDS)

    i_key: In(32)
    i_word: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m)
        pipeline.put("key", self.i_key, at=0)
        x = self.i_word ^ self.i_key ^ HASH_OFFSET
        for n, (a, b, c, d) in enumerate(HASH_ROUNDS):
            key = pipeline.get("key", at=n)
            product = Signal(32, name=f"product{n}")
            m.d.comb += product.eq(x + (x << a))
            mixed = product ^ product.rotate_left(b) ^ product.rotate_left(c) ^ key.rotate_left(d)
            x = pipeline.register(f"state{n}", mixed, at=n + 1)
        m.d.comb += self.o.eq(x)
        return m
