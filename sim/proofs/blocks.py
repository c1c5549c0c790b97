"""The order of a batch's blocks: that of plain loops over sets and spans."""

from amaranth.hdl import Mux, Signal, Value

from backspike.sim.proofs.bench import Bench, Inside
from backspike.sim.proofs.proof import Bug, Load, Proof

BITS = 3
"""Bits of addresses. A sum or product depends on no higher bits of its operands than its own."""
BLOCKS = 1 << BITS
"""Blocks of a batch at the most: those that have an address."""
ORDER = "core.shared.block_order"


class BlockLoops:
    """Loops over the sets and spans of a batch, which has any number of both, with up to BLOCKS
    blocks in all. With `step` over sets only, in one span.

    batch: the port that is given these numbers.
    """

    def __init__(self, bench: Bench, batch, *, reverse: bool):
        self.bench, self.reverse = bench, reverse
        self.sets, self.spans = (bench.constant(BITS + 1, name) for name in ("sets", "spans"))
        self.blocks = Signal(BITS + 1, name="blocks")
        every = self.sets * self.spans
        bench.given((every != 0) & (every <= BLOCKS))
        bench.module.d.comb += [
            self.blocks.eq(every),
            batch.sets.eq(self.sets),
            batch.spans.eq(self.spans),
            batch.blocks.eq(self.blocks),
        ]
        self.set, self.span = Signal(BITS, name="set"), Signal(BITS, name="span")
        self.step = Signal(name="one_span")
        self.ends_there = bench.past(1, "ends_are_there")
        """A `BlockOrder` knows the batch: from a cycle after the reset on."""
        self._by = -1 if reverse else 1
        self._set_begin, self._set_end = (0, self.sets - 1)[:: self._by]
        self._span_begin, self._span_end = (0, self.spans - 1)[:: self._by]

    @property
    def block(self) -> Value:
        """Number of the block in hand."""
        return (self.set * self.spans + self.span)[:BITS]

    @property
    def head(self) -> Value:
        """It is of the first span."""
        return self.span == 0

    @property
    def tail(self) -> Value:
        """It is of the last span."""
        return self.span == self.spans - 1

    def before(self, delay, carry) -> tuple[Value, Value, Value]:
        """(block, void, other): which one the sources of a connection are of, with a delay that of
        the span before, in this order; whether there is none; whether the batch before has it."""
        if self.reverse:
            outside, late = delay & self.tail, self.block + 1
        else:
            outside = delay & self.head
            end_of_set = self.set * self.spans + self.spans - 1
            late = Mux(self.head, end_of_set, self.block - 1)
        return Mux(delay, late, self.block), outside & ~carry, outside & carry

    @property
    def at_begin(self) -> Value:
        """It is the first one; with `step` of its span."""
        return (self.set == self._set_begin) & (self.step | (self.span == self._span_begin))

    @property
    def at_end(self) -> Value:
        """It is the last one."""
        return (self.set == self._set_end) & (self.step | (self.span == self._span_end))

    def begin(self, step=0, at=0) -> list:
        """Statements that go to the first block; with `step` of span `at`, in this order."""
        first = self._span_begin + self._by * Mux(step, at, 0)
        return [self.step.eq(step), self.set.eq(self._set_begin), self.span.eq(first)]

    def count(self) -> list:
        """Statements that go to the next block."""
        over = self.span == self._span_end
        return [
            self.span.eq(
                Mux(self.step, self.span, Mux(over, self._span_begin, self.span + self._by))
            ),
            self.set.eq(self.set + Mux(self.step | over, self._by, 0)),
        ]

    def registers(self, order: Inside, under_way) -> None:
        """How the registers of a `BlockOrder` belong to the loops, while these are under way."""
        bench = self.bench
        with bench.module.If(self.ends_there):
            for name in ("blocks", "sets", "spans"):
                end = order["ends"][name]
                bench.always(end == (getattr(self, name) - 1)[: len(end)])
        with bench.module.If(under_way):
            bench.always((self.set < self.sets) & (self.span < self.spans))
            bench.always((order.component.set == self.set) & (order["span"] == self.span))
            bench.always(order.component.block == self.block)


def order(load: Load, *, reverse: bool) -> Bench:
    """Blocks come as the loops have them, and the last one says so.

    `next` comes when it likes, after a start and not after the last block.
    """
    bench = Bench()
    device = load(ORDER).BlockOrder(bits=BITS, reverse=reverse)
    inside = bench.device(device, "order", wired=("batch",))
    loops = BlockLoops(bench, device.batch, reverse=reverse)
    m = bench.module
    started = Signal(name="started")
    with m.If(device.start):
        m.d.sync += [started.eq(1), *loops.begin(device.step, device.at)]
    with m.Elif(device.next):
        m.d.sync += loops.count()
    bench.given(
        ~device.start | (bench.past(1, "begun") & (~device.step | (device.at < loops.spans)))
    )
    bench.given(~device.next | (started & ~device.last & ~device.start))
    stays = bench.past(device.start | started, "stays")
    bench.given(~stays | device.start | (device.step == bench.past(device.step, "step_before")))
    with m.If(started & ~device.start):
        bench.always(loops.step == device.step)
        bench.always((device.block == loops.block) & (device.set == loops.set))
        bench.always((device.head == loops.head) & (device.tail == loops.tail))
        bench.always(device.last == loops.at_end)
    loops.registers(inside, started)
    moves = started & device.next
    bench.possible(moves & loops.step & (loops.span == 1) & (loops.set == 1) & (loops.sets == 3))
    bench.possible(moves & ~loops.step & (loops.block == 4) & (loops.spans == 3))
    return bench


PROOFS = (
    Proof(
        name="block-order",
        claim="blocks come set by set and span by span, or in one span set by set; the last one "
        "says so",
        bench=lambda load: order(load, reverse=False),
        depth=2,
        search=10,
        bugs=(
            Bug(
                "in one span, the next set is the next block",
                ORDER,
                "on(self.block, self.batch.spans)",
                "on(self.block)",
            ),
            Bug(
                "one span ends where the batch does",
                ORDER,
                'last = Mux(self.step, self.set == ends["sets"], self.block == ends["blocks"])',
                'last = self.block == ends["blocks"]',
            ),
        ),
    ),
    Proof(
        name="order-reverse",
        claim="the same from the last block to the first",
        bench=lambda load: order(load, reverse=True),
        depth=2,
        search=10,
        bugs=(
            Bug(
                "in each set but the last the first span comes first",
                ORDER,
                "span.eq(start_of_set)",
                "span.eq(0)",
            ),
            Bug(
                "a set ends with its last span",
                ORDER,
                "wraps, start_of_set = self.head,",
                "wraps, start_of_set = self.tail,",
            ),
            Bug(
                "one span begins with the batch's last set, but as many blocks from its begin",
                ORDER,
                'first = (ends["blocks"] - offset, ends["sets"], ends["spans"] - offset)',
                'first = (ends["blocks"] - offset, ends["sets"], offset)',
            ),
        ),
    ),
)
