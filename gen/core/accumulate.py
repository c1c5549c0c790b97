"""Lanes: files of exact sums, accumulating one event a cycle in all lanes at once."""

import itertools

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.scan import event_layout
from backspike.gen.machine import DEPTH
from backspike.gen.numerics.half import HALF_FIXED, PRODUCT_FIXED, Half
from backspike.gen.numerics.unpack import Product, Unpack

GUARD_HALVES = 15
"""2^15 halves of any size add up without overflow."""
GUARD_PRODUCTS = 11
"""2^11 products of any two halves add up without overflow."""
HALVES_SUM = HALF_FIXED + GUARD_HALVES
PRODUCTS_SUM = PRODUCT_FIXED + GUARD_PRODUCTS
ENTRY = range(DEPTH)


class Lane(wiring.Component):
    """One lane: a vector element, and files of DEPTH sums that take turns.

    While one file accumulates, another is read by the drain. The first term of an entry
    replaces what the entry held.

    Latency: an element is added 2 cycles after its `load`, and in the file a cycle later; with
    `product` it is added 3 cycles after, and in the file 2 cycles later. Throughput: one event a
    cycle.

    Parameters: product: add element * value in units of 2^-48 instead of element in 2^-24;
    files: how many there are.

    Ports, all gated by `go`: load: take `element`; value (product only), beside load;
    shift (halves only): the cycle after load; add: to `entry`, or `replace` it; file: which file
    accumulates. drain_file, drain_entry, drain_sum (combinational): another file.
    """

    def __init__(self, *, product: bool, files: int = 2):
        self._product = product
        self._files = files
        self.width = PRODUCTS_SUM if product else HALVES_SUM
        self._low = self.width // 2 if product else self.width
        super().__init__(
            {
                "go": In(1),
                "load": In(1),
                "shift": In(1),
                "element": In(Half),
                **({"value": In(Half)} if product else {}),
                "add": In(1),
                "replace": In(1),
                "entry": In(ENTRY),
                "file": In(range(files)),
                "drain_file": In(range(files)),
                "drain_entry": In(ENTRY),
                "drain_sum": Out(signed(self.width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self._product:
            m.submodules.term = term = Product()
            m.d.comb += [term.i_a.eq(self.element), term.i_b.eq(self.value), term.en.eq(self.go)]
        else:
            m.submodules.term = term = Unpack()
            m.d.comb += [term.i.eq(self.element), term.en.eq(self.go & self.shift)]
        m.d.comb += term.load.eq(self.go & self.load)

        # One adder serves all files; that a term replaces is part of choosing the file. A long sum
        # is added in two parts, the upper one a cycle later: each part's way from its memory
        # through the adder and back takes one cycle, so nothing else changes.
        now = Signal(self._step_layout(), name="low")
        m.d.comb += [
            now.write.eq(self.go & self.add),
            now.replace.eq(self.replace),
            now.entry.eq(self.entry),
            now.file.eq(self.file),
        ]
        # (A slice would lose the sign that a short term has to be extended with.)
        low_term = term.o[: self._low] if self._low < self.width else term.o
        low, carry = self._part(m, "low", now, low_term, 0)
        parts = [low]
        if self._low < self.width:
            then = Signal(self._step_layout(), name="high")
            high_term = Signal(signed(len(term.o) - self._low), reset_less=True)
            late_carry = Signal(reset_less=True)
            m.d.sync += [
                then.eq(now),
                high_term.eq(term.o[self._low :]),
                late_carry.eq(carry),
            ]
            high, _ = self._part(m, "high", then, high_term, late_carry)
            parts.append(high)
        m.d.comb += self.drain_sum.eq(Cat(parts))
        return m

    def _step_layout(self) -> data.StructLayout:
        return data.StructLayout(
            {"write": 1, "replace": 1, "entry": ENTRY, "file": range(self._files)}
        )

    def _part(self, m: Module, name: str, step, term, carry):
        """Files of some bits of the sums, and their adder: (what the drain reads, carry out)."""
        width = self._low if name == "low" else self.width - self._low
        total = Signal(width + 1, name=f"{name}_total")
        sums = []
        for n in range(self._files):
            m.submodules[f"{name}{n}"] = file = memory.Memory(shape=width, depth=DEPTH, init=[])
            read_port, write_port = file.read_port(domain="comb"), file.write_port()
            accumulating = step.file == n
            m.d.comb += [
                read_port.addr.eq(Mux(accumulating, step.entry, self.drain_entry)),
                write_port.en.eq(step.write & accumulating),
                write_port.addr.eq(step.entry),
                write_port.data.eq(total),
            ]
            sums.append(read_port.data)
        addend = Signal(width, name=f"{name}_term")
        m.d.comb += [
            addend.eq(term),
            total.eq(addend + Mux(step.replace, 0, Array(sums)[step.file]) + carry),
        ]
        return Array(sums)[self.drain_file], total[width]


class Accumulator(wiring.Component):
    """All lanes of an engine: joins events with the vectors of their lines and adds them up.

    Throughput: one event a cycle, as long as vectors are there and a file is free when a sum ends:
    with two files the drain must be done with its own; with three a finished file may wait for it,
    so long and short blocks even out. Latency from an event to its sum: 3 cycles (halves), 5
    (products).

    Ports: i_events (see `event_layout`; with `value` if product), i_vectors {row of P halves}, one
    for each line. drain: start (one cycle; the sums of a block are there from the next cycle
    on), touched (beside start: entries that had a term; the others are zero), busy (the drain's
    answer, from the next cycle until the one in which it reads the last sum), entry, sums
    (combinational).
    stall_vector, stall_drain: the event stream waits for this, this cycle; event: one is added.
    """

    def __init__(self, *, lanes: int, lines: int, product: bool, files: int = 2):
        if files not in (2, 3):
            raise ValueError(f"files is {files}: 2 or 3 is allowed")
        self._lanes = lanes
        self._product = product
        self._files = files
        self.width = PRODUCTS_SUM if product else HALVES_SUM
        event = event_layout(lines, DEPTH, 0)
        payload = {"event": event, **({"value": 16} if product else {})}
        super().__init__(
            {
                "i_events": In(stream.Signature(data.StructLayout(payload))),
                "i_vectors": In(stream.Signature(data.ArrayLayout(16, lanes))),
                "start": Out(1),
                "busy": In(1),
                "entry": In(ENTRY),
                "sums": Out(data.ArrayLayout(signed(self.width), lanes)),
                "touched": Out(DEPTH),
                "stall_vector": Out(1),
                "stall_drain": Out(1),
                "event": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        go = Signal()
        stages = 4 if self._product else 3
        event_shape = self.i_events.payload.event.shape()
        events = [Signal(event_shape, name=f"event{n}", reset_less=True) for n in range(stages)]
        valid = Signal(stages)
        with m.If(go):
            m.d.sync += valid.eq((valid << 1) | self.i_events.valid)
            m.d.sync += events[0].eq(self.i_events.payload.event)
            m.d.sync += [b.eq(a) for a, b in itertools.pairwise(events)]
        m.d.comb += self.i_events.ready.eq(go)

        # Stage 0 takes the line's vector; the last stage adds.
        head, tail = events[0], events[-1]
        finish = Signal()  # a block's sums are complete
        waiting = Signal()  # a complete file waits for the drain
        # The upper part of a product's last term is added a cycle after its lower part.
        at_once = Const(not self._product)
        blocked = self.busy & waiting if self._files > 2 else self.busy | waiting
        take = valid[0] & head.hit & head.first
        add = valid[-1] & tail.hit
        end = valid[-1] & tail.end
        m.d.comb += [
            self.stall_vector.eq(take & ~self.i_vectors.valid),
            self.stall_drain.eq(end & blocked),
            go.eq(~self.stall_vector & ~self.stall_drain),
            self.i_vectors.ready.eq(go & take),
            finish.eq(go & end),
            self.start.eq(~self.busy & (waiting | (finish & at_once))),
            self.event.eq(go & add),
            self.empty.eq(~valid.any()),
        ]

        # Files take turns in a ring: one accumulates, the one before it may wait, or drains.
        file = Signal(range(self._files))
        waiting_file = Signal.like(file)
        drain_file = Signal.like(file)
        accumulated = Signal(DEPTH)  # entries that have a term: of the file that accumulates,
        queued = Signal(DEPTH)  # of the one that waits,
        drained = Signal(DEPTH)  # of the one that drains
        now = Signal(DEPTH)
        m.d.comb += [
            now.eq(accumulated | Mux(self.event, 1 << tail.i, 0)),
            self.touched.eq(Mux(waiting, queued, now)),
        ]
        m.d.sync += accumulated.eq(Mux(finish, 0, now))
        with m.If(self.start):
            m.d.sync += [
                drained.eq(self.touched),
                drain_file.eq(Mux(waiting, waiting_file, file)),
                waiting.eq(0),
            ]
        with m.If(finish):
            m.d.sync += file.eq(Mux(file == self._files - 1, 0, file + 1))
            with m.If(self.busy | waiting | ~at_once):
                m.d.sync += [waiting.eq(1), waiting_file.eq(file), queued.eq(now)]

        if self._product:
            value = Signal(16, reset_less=True)
            with m.If(go):
                m.d.sync += value.eq(self.i_events.payload.value)
        for n in range(self._lanes):
            m.submodules[f"lane{n}"] = lane = Lane(product=self._product, files=self._files)
            if self._product:
                m.d.comb += lane.value.eq(value)
            m.d.comb += [
                lane.go.eq(go),
                lane.load.eq(take),
                lane.shift.eq(valid[1] & events[1].hit & events[1].first),
                lane.element.eq(self.i_vectors.payload[n]),
                lane.add.eq(add),
                lane.replace.eq(~accumulated.bit_select(tail.i, 1)),
                lane.entry.eq(tail.i),
                lane.file.eq(file),
                lane.drain_file.eq(drain_file),
                lane.drain_entry.eq(self.entry),
                self.sums[n].eq(Mux(drained.bit_select(self.entry, 1), lane.drain_sum, 0)),
            ]
        return m
