"""Registers in a row that may stall."""

from amaranth.hdl import Module, Signal


def elastic(m: Module, *, valid, ready, stages: int) -> tuple[list[Signal], Signal]:
    """The handshake of a pipeline whose stages move on one by one, each when the next is empty or
    moves on itself: so gaps close while the consumer waits.

    valid: there is something to take in; ready: the consumer takes what the last stage holds.

    Returns (moves, valid): stage n's registers load in a cycle in which moves[n] is high, so
    moves[0] means ready for the producer; and whether the last stage holds something.
    """
    moves = [Signal(name=f"move{n}") for n in range(stages)]
    for n, move in enumerate(moves):
        holds = Signal(name=f"valid{n}")
        m.d.comb += move.eq(~holds | (ready if n == stages - 1 else moves[n + 1]))
        with m.If(move):
            m.d.sync += holds.eq(valid)
        valid = holds
    return moves, valid
