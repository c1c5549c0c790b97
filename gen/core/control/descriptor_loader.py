"""Loading a layer's descriptor into registers and tables, a word a cycle."""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.engines import EngineKind
from backspike.gen.core.layout import (
    CONNECTION_BITS,
    DESCRIPTOR_WORDS,
    LAYER_BITS,
    RECORD,
    RECORD_WORDS,
    TABLE,
    WORD_BITS,
    descriptor_words,
)
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature


class DescriptorLoader(wiring.Component):
    """Reads one engine's descriptor of a layer, and the records of its connections.

    Descriptor words enter a shift register at the last field and move up one field per word, so no
    write decoder is needed; a field's register is as wide as the widest word that passes through
    it. The words of a table and of records are passed on. Of a table that the layer does not use
    only those come that are asked for before this is known.

    Latency: READ_LATENCY + 1 cycles more than there are words.
    """

    def __init__(self, machine: Machine, kind: EngineKind):
        self._kind = kind = kind.on(machine)
        self._layers = machine.layers
        super().__init__(
            {
                "start": In(1),  # one cycle
                "layer": In(LAYER_BITS),  # stays from then on until `done`
                "descriptors": Out(read_signature(WORD_BITS, descriptor_words(machine))),
                "config": Out(kind.config),
                **({"table": Out(TABLE)} if kind.table else {}),  # its rows, one after the other
                **({"record": Out(RECORD)} if kind.record_fields else {}),  # likewise
                "done": Out(1),  # the last cycle: in the next all is there
            }
        )

    def elaborate(self, platform):
        m = Module()
        kind, table = self._kind, self._kind.table
        fields = [f for f in kind.fields.values() if f.name not in table]
        words = len(fields) + len(table)
        widths = itertools.accumulate((field.width for field in fields), max)
        registers = [Signal(width, name=f.name) for f, width in zip(fields, widths, strict=True)]
        m.d.comb += [
            self.config[f.name].eq(register) for f, register in zip(fields, registers, strict=True)
        ]

        # What is asked for, and READ_LATENCY cycles later what comes.
        asking, of_record = Signal(), Signal()
        word = Signal(range(max(words, RECORD_WORDS)))
        connection = Signal(CONNECTION_BITS + 1)
        place = self.layer * DESCRIPTOR_WORDS + word
        # The last field has come READ_LATENCY + 1 cycles after it was asked for.
        bare = Cat(self.config[name] for name in kind.bare).any()
        over = word == words - 1
        if kind.bare:
            over |= bare & (word == len(fields) + READ_LATENCY)
        with m.If(asking):
            m.d.sync += word.eq(word + 1)
            with m.If(~of_record & over):
                m.d.sync += [word.eq(0), asking.eq(0)]
                if kind.record_fields:
                    m.d.sync += [of_record.eq(1), asking.eq(self.config.connections != 0)]
        if kind.record_fields:
            after = (connection + 1)[: len(connection)]
            with m.If(asking & of_record & (word == len(kind.record_fields) - 1)):
                m.d.sync += [word.eq(0), connection.eq(after)]
                m.d.sync += asking.eq(after != self.config.connections)
            # Records lie behind all descriptors, of which there is a power of two.
            bits = exact_log2(RECORD_WORDS)
            behind = len(self.descriptors.addr) - 1
            record = (self.config.record + connection)[: behind - bits]
            place = Mux(of_record, Cat(word[:bits], record, Const(1, 1)), place)
        with m.If(self.start):
            m.d.sync += [asking.eq(1), of_record.eq(0), word.eq(0), connection.eq(0)]
        m.d.comb += self.descriptors.addr.eq(place)
        asked = Cat(asking, of_record, word, connection)
        stages = []
        for n in range(READ_LATENCY):
            stages.append(Signal(len(asked), name=f"asked{n}"))
            m.d.sync += stages[n].eq(asked)
            asked = stages[n]
        comes, is_record, at = asked[0], asked[1], asked[2 : 2 + len(word)]
        m.d.sync += self.done.eq(comes & ~stages[-2][0])

        with m.If(comes & ~is_record & (at < len(fields))):
            m.d.sync += [
                register.eq(after)
                for register, after in zip(
                    registers, [*registers[1:], self.descriptors.data], strict=True
                )
            ]
        if table:
            m.d.sync += [
                self.table.write.eq(comes & ~is_record & (at >= len(fields))),
                self.table.index.eq(at - len(fields)),
                self.table.half.eq(self.descriptors.data),
            ]
        if kind.record_fields:
            m.d.sync += [
                self.record.write.eq(comes & is_record),
                self.record.connection.eq(asked[2 + len(word) :]),
                self.record.field.eq(at),
                self.record.word.eq(self.descriptors.data),
            ]
        return m
