"""The loss at a read-out: where its errors begin, and what they are made of."""

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.engines import BACKWARD
from backspike.gen.core.layout import BASE_BITS, HALF_BITS
from backspike.gen.core.shared.rows import delayed_or_mux
from backspike.gen.core.shared.source import HEADER
from backspike.gen.core.shared.time_sequencer import slot_layout
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature
from backspike.gen.pipeline import Pipeline

BACKWARD_HEADER = data.StructLayout({**HEADER.members, "logits": BASE_BITS})
"""What the backward drain needs to know of a block: if it is a read-out's, the unit of its logits,
too."""
TERMS = data.StructLayout({"logit": HALF_BITS, "onehot": 1})
"""What a drain unit makes an error of, round(α o - onehot), or what the host has put in the place
of the logits o."""


class Loss(wiring.Component):
    """The side of the backward drain that read-outs have, and no other population.

    No sum comes to a read-out: a block begins with its header alone. Its errors are made of logits
    and labels, which are read here, and handed to the drain units.

    Latency: `latency` cycles from `slot` to `o`. Throughput: one slot a cycle.
    """

    latency = READ_LATENCY + 1

    def __init__(self, machine: Machine):
        self._lanes, self._reuse = machine.lanes, machine.bp_reuse
        lanes, units = machine.lanes, machine.lanes // machine.bp_reuse
        super().__init__(
            {
                "config": In(BACKWARD.config),
                "buffer": In(1),  # which of two buffers the labels are in
                "waiting": In(1),  # there is a header, and the drain is not busy
                "begin": Out(1),  # the block of this header begins
                "header": In(BACKWARD_HEADER),  # of the block that drains
                "slot": In(slot_layout(machine.bp_reuse)),
                "logits": Out(read_signature(lanes * 16, machine.readout_units * DEPTH)),
                "labels": Out(read_signature(16, 2 * machine.readout_units * DEPTH)),
                "o": Out(data.ArrayLayout(TERMS, units)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, reuse, slot = self._lanes, self._reuse, self.slot
        pipeline = Pipeline(m)  # from cycle 0, that of `slot`
        pipeline.put("phase", slot.phase, at=0)
        pipeline.put("tile", self.header.tile, at=0)
        label_address = Cat(slot.sample, self.header.set)[: len(self.labels.addr) - 1]
        m.d.comb += [
            self.begin.eq(self.waiting & self.config.loss),
            self.logits.addr.eq(Cat(slot.sample, self.header.logits)),
            self.labels.addr.eq(Cat(label_address, self.buffer)),
        ]

        phase_bits, lane_bits = (reuse - 1).bit_length(), exact_log2(lanes)
        phase, tile = (pipeline.get(name, at=READ_LATENCY) for name in ("phase", "tile"))
        label = self.labels.data
        lane = pipeline.register("label_lane", label[:lane_bits], at=self.latency)
        in_tile = pipeline.register("label_in_tile", label[lane_bits:] == tile, at=self.latency)
        logits = [self.logits.data.word_select(n, HALF_BITS) for n in range(lanes)]
        lane_phase = pipeline.get("phase", at=self.latency)[:phase_bits]
        for n, terms in enumerate(self.o):
            served = Cat(lane_phase, Const(n, lane_bits - phase_bits))
            m.d.comb += [
                terms.logit.eq(delayed_or_mux(m, logits, n, phase, reuse, "logit")),
                terms.onehot.eq(in_tile & (lane == served)),
            ]
        return m
