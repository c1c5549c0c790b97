"""Lanes: files of exact sums, accumulating one event a cycle in all lanes at once."""

import itertools

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.drain import later
from backspike.gen.core.shared.scan import event_layout
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.numerics.half import HALF_FIXED, PRODUCT_FIXED, Half
from backspike.gen.numerics.unpack import Factor, Unpack, UnpackProduct, factor

BLOCKS = 4
"""Blocks of sums that there is room for: one that accumulates, others that wait or drain."""
SUM_LATENCY = 1
"""Cycles from an entry that a drain asks for to its sums: a block RAM's."""
PART = 52
"""Bits of a sum that are added in one cycle at the most."""
ENTRY = range(DEPTH)
STEP = data.StructLayout({"write": 1, "replace": 1, "entry": ENTRY, "block": range(BLOCKS)})
"""One addition: to an entry of that block, or in its place, if it is the first."""


def most_terms(machine: Machine, engine: str) -> int:
    """The most terms that a sum of `engine` can have in a run that is not refused.

    This follows from what must fit (see `dispatch.extents`). A layer that has a task has one tile
    or more, and a batch a block or more. fp adds a row of weights for each source and the bias:
    tiles * (sources + bias) is at most weight_rows; they come in tiles of P, and source_tiles *
    blocks is at most spike_units. bp adds an element for each neuron of
    the next layer, P of them a tile: next_tiles * blocks is at most units. wg adds a row for each
    of DEPTH entries of a block: tiles * blocks is at most units.
    """
    if engine == "fp":
        return min(machine.weight_rows, machine.spike_units * machine.lanes)
    return machine.units * (machine.lanes if engine == "bp" else DEPTH)


def sum_width(machine: Machine, engine: str) -> int:
    """Bits of an exact sum of `engine`: of halves in units of 2^-24, for bp of products in 2^-48.

    A term's magnitude is less than 2^40 (2^80), so that of n terms is less than n * 2^40, and the
    sign is counted in HALF_FIXED (PRODUCT_FIXED).
    """
    guard = (most_terms(machine, engine) - 1).bit_length()
    return (PRODUCT_FIXED if engine == "bp" else HALF_FIXED) + guard


class Lane(wiring.Component):
    """One lane: a vector element, and a file of DEPTH sums that it is added to.

    Throughput: one addition a cycle. A long sum is added in two parts, the upper one a cycle
    later: each part's way from its memory through the adder and back takes one cycle, so nothing
    else changes. Latency from `step` to `total`: the number of parts, `latency`.

    Parameters: product: add element * factor in units of 2^-48 instead of element in 2^-24;
    width: of a sum.

    Ports: go: gates what makes the term; load: take `element`; shift (halves only): in the gated
    cycle after load; factor (product only): in the gated cycle after load; step: add the term, the
    cycle after it is made: a gated cycle after load (product: two). total: the sum, signed.
    """

    def __init__(self, *, product: bool, width: int):
        self._product = product
        self.width = width
        self.latency = -(-width // PART)
        super().__init__(
            {
                "go": In(1),
                "load": In(1),
                "element": In(Half),
                **({"factor": In(Factor)} if product else {"shift": In(1)}),
                "step": In(STEP),
                "total": Out(signed(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self._product:
            m.submodules.term = term = UnpackProduct()
            m.d.comb += [
                term.i_half.eq(self.element),
                term.i_factor.eq(self.factor),
                term.en.eq(self.go),
            ]
        else:
            m.submodules.term = term = Unpack()
            m.d.comb += [term.i.eq(self.element), term.en.eq(self.go & self.shift)]
        m.d.comb += term.load.eq(self.go & self.load)

        addend = Signal(signed(self.width))  # with its sign in all bits
        m.d.comb += addend.eq(term.o)
        step, carry = self.step, term.carry
        size = -(-self.width // self.latency)
        done = []
        for n in range(self.latency):
            bits = slice(n * size, min((n + 1) * size, self.width))
            width = bits.stop - bits.start
            m.submodules[f"sums{n}"] = sums = memory.Memory(shape=width, depth=DEPTH, init=[])
            read, write = sums.read_port(domain="comb"), sums.write_port()
            total = Signal(width + 1, name=f"total{n}")
            part = later(m, addend[bits], n, f"addend{n}")
            m.d.comb += [
                read.addr.eq(step.entry),
                total.eq(part + Mux(step.replace, 0, read.data) + carry),
                write.en.eq(step.write),
                write.addr.eq(step.entry),
                write.data.eq(total),
            ]
            done.append(later(m, total[:width], self.latency - n, f"done{n}"))
            step = later(m, step, 1, f"step{n}")
            carry = later(m, total[width], 1, f"carry{n}")
        m.d.comb += self.total.eq(Cat(done))
        return m


class Accumulator(wiring.Component):
    """All lanes of an engine: joins events with the vectors of their lines and adds them up.

    Every sum goes into a buffer as well as into its lane's file, so when a block ends it is there
    for the drain and the lanes go on with the next. There is room for BLOCKS blocks: so long and
    short ones even out.

    Throughput: one event a cycle, as long as vectors are there and the buffer has room when a
    block ends. Latency: `latency` cycles from the event that ends a block to `start`.

    Ports: i_events (see `event_layout`; with `value` if product), i_vectors {row of P halves}, one
    for each line. drain: start (one cycle; the sums of a block are there from the next cycle
    on), touched (beside start: entries that had a term; the others are zero), busy (the drain's
    answer, from the next cycle until the one in which it asks for the last sum), entry, sums
    (SUM_LATENCY cycles after entry).
    stall_vector, stall_drain: the event stream waits for this, this cycle; event: one is added.
    """

    def __init__(self, *, lanes: int, lines: int, product: bool, width: int):
        self._product = product
        self._lanes = [Lane(product=product, width=width) for _ in range(lanes)]
        self._stages = (UnpackProduct.latency if product else Unpack.latency) - 1
        self.latency = self._stages + self._lanes[0].latency + 1
        self.width = width
        event = event_layout(lines, DEPTH, 0)
        payload = {"event": event, **({"value": Half} if product else {})}
        super().__init__(
            {
                "i_events": In(stream.Signature(data.StructLayout(payload))),
                "i_vectors": In(stream.Signature(data.ArrayLayout(16, lanes))),
                "start": Out(1),
                "busy": In(1),
                "entry": In(ENTRY),
                "sums": Out(data.ArrayLayout(signed(width), lanes)),
                "touched": Out(DEPTH),
                "stall_vector": Out(1),
                "stall_drain": Out(1),
                "event": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        go = Signal()
        event_shape = self.i_events.payload.event.shape()
        events = [
            Signal(event_shape, name=f"event{n}", reset_less=True) for n in range(self._stages)
        ]
        valid = Signal(self._stages)
        with m.If(go):
            m.d.sync += valid.eq((valid << 1) | self.i_events.valid)
            m.d.sync += events[0].eq(self.i_events.payload.event)
            m.d.sync += [b.eq(a) for a, b in itertools.pairwise(events)]
        m.d.comb += self.i_events.ready.eq(go)

        # An event comes with its line's vector; after the last stage its term is there to be added.
        head, tail = self.i_events.payload.event, events[-1]
        take = self.i_events.valid & head.hit & head.first
        end = valid[-1] & tail.end
        block = Signal(range(BLOCKS))  # the one that accumulates
        held = Signal(range(BLOCKS))  # how many have ended and are not drained
        full = Signal()  # held is BLOCKS - 1
        finish = Signal()  # a block ends
        accumulated = Signal(DEPTH)  # entries that have a term
        now = Signal(DEPTH)
        step = Signal(STEP)
        m.d.comb += [
            self.stall_vector.eq(take & ~self.i_vectors.valid),
            self.stall_drain.eq(end & full),
            go.eq(~self.stall_vector & ~self.stall_drain),
            self.i_vectors.ready.eq(take & ~self.stall_drain),
            self.event.eq(go & valid[-1] & tail.hit),
            finish.eq(go & end),
            now.eq(accumulated | Mux(self.event, 1 << tail.i, 0)),
        ]
        m.d.sync += [
            accumulated.eq(Mux(finish, 0, now)),
            block.eq(block + finish),
            step.write.eq(self.event),
            step.replace.eq(~accumulated.bit_select(tail.i, 1)),
            step.entry.eq(tail.i),
            step.block.eq(block),
        ]

        if self._product:
            multiplier = Signal(Factor, reset_less=True)
            with m.If(go):
                m.d.sync += multiplier.eq(factor(self.i_events.payload.value))
        for n, lane in enumerate(self._lanes):
            m.submodules[f"lane{n}"] = lane
            m.d.comb += [
                lane.go.eq(go),
                lane.load.eq(take),
                lane.element.eq(self.i_vectors.payload[n]),
                lane.step.eq(step),
            ]
            if self._product:
                m.d.comb += lane.factor.eq(multiplier)
            else:
                m.d.comb += lane.shift.eq(valid[0] & events[0].hit & events[0].first)

        # The buffer; blocks leave it in turn. (No block that drains is one that accumulates.)
        ready = Signal(range(BLOCKS))  # blocks that are complete and not begun
        draining = Signal()
        drained = Signal(DEPTH)  # entries that have a sum, of the block that drains
        drain_block = Signal(range(BLOCKS), init=BLOCKS - 1)
        next_block = Signal(range(BLOCKS))  # after drain_block
        untouched = Signal(reset_less=True)
        written = self._lanes[0].latency
        complete = Signal(written)  # (not `later`: a reset must end it)
        last = later(m, step, written, "last")
        buffer = memory.Memory(
            shape=self.width * len(self._lanes),
            depth=BLOCKS * DEPTH,
            init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        masks = memory.Memory(shape=DEPTH, depth=BLOCKS, init=[])
        m.submodules.buffer, m.submodules.masks = buffer, masks
        write, read = buffer.write_port(), buffer.read_port()
        mask_write, mask_read = masks.write_port(), masks.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(last.write),
            write.addr.eq(Cat(last.entry, last.block)),
            write.data.eq(Cat(lane.total for lane in self._lanes)),
            read.en.eq(draining),
            read.addr.eq(Cat(self.entry, drain_block)),
            mask_write.en.eq(finish),
            mask_write.addr.eq(block),
            mask_write.data.eq(now),
            mask_read.addr.eq(next_block),
            self.touched.eq(mask_read.data),
            self.start.eq(~self.busy & (ready != 0)),
        ]
        held_next = (held + finish - (draining & ~self.busy))[: len(held)]
        m.d.sync += [
            complete.eq(Cat(finish, complete)),
            ready.eq(ready + complete[-1] - self.start),
            held.eq(held_next),
            full.eq(held_next == BLOCKS - 1),
            draining.eq(self.start | (draining & self.busy)),
            untouched.eq(~drained.bit_select(self.entry, 1)),
        ]
        with m.If(self.start):
            m.d.sync += [
                drained.eq(self.touched),
                drain_block.eq(next_block),
                next_block.eq(next_block + 1),
            ]
        for n in range(len(self._lanes)):
            total = read.data.word_select(n, self.width)
            m.d.comb += self.sums[n].eq(Mux(untouched, 0, total))
        return m
