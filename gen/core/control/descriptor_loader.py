"""Loading a layer's descriptor into registers, a word a cycle."""

import itertools

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import EngineKind
from backspike.gen.core.layout import DESCRIPTOR_WORDS, LAYER_BITS, TABLE, WORD_BITS
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature


class DescriptorLoader(wiring.Component):
    """Reads one engine's descriptor of a layer.

    Descriptor words enter a shift register at the last field and move up one field per word, so no
    write decoder is needed; a field's register is as wide as the widest word that passes through
    it. The words of a table are passed on.

    Latency: READ_LATENCY cycles more than the descriptor has words.
    """

    def __init__(self, machine: Machine, kind: EngineKind):
        self._kind = kind
        depth = machine.layers * DESCRIPTOR_WORDS
        super().__init__(
            {
                "start": In(1),  # one cycle
                "layer": In(LAYER_BITS),  # stays from then on until `done`
                "descriptors": Out(read_signature(WORD_BITS, depth)),
                "config": Out(kind.config),
                **({"table": Out(TABLE)} if kind.table else {}),  # its rows, one after the other
                "done": Out(1),  # the last cycle: `config` is complete in the next
            }
        )

    def elaborate(self, platform):
        m = Module()
        table = self._kind.table
        fields = [f for f in self._kind.fields.values() if f.name not in table]
        words = len(fields) + len(table)
        widths = itertools.accumulate((field.width for field in fields), max)
        registers = [Signal(width, name=f.name) for f, width in zip(fields, widths, strict=True)]
        word, loading = Signal(range(words + READ_LATENCY)), Signal()
        m.d.comb += [
            *(self.config[f.name].eq(register)
              for f, register in zip(fields, registers, strict=True)),
            self.descriptors.addr.eq(self.layer * DESCRIPTOR_WORDS + word),
            self.done.eq(loading & (word == words - 1 + READ_LATENCY)),
        ]  # fmt: skip
        m.d.sync += word.eq(word + 1)
        with m.If(self.start):
            m.d.sync += [word.eq(0), loading.eq(1)]
        with m.If(self.done):
            m.d.sync += loading.eq(0)
        with m.If(loading & (word >= READ_LATENCY) & (word < len(fields) + READ_LATENCY)):
            m.d.sync += [
                register.eq(after)
                for register, after in zip(
                    registers, [*registers[1:], self.descriptors.data], strict=True
                )
            ]
        if table:
            begin = len(fields) + READ_LATENCY
            m.d.sync += [
                self.table.write.eq(loading & (word >= begin)),
                self.table.index.eq(word - begin),
                self.table.half.eq(self.descriptors.data),
            ]
        return m
