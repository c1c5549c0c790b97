"""The records of a population's connections, as its engine reads them."""

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import EngineKind
from backspike.gen.core.layout import CONNECTION_BITS, CONNECTIONS, RECORD


class RecordTable(wiring.Component):
    """CONNECTIONS records in distributed memory: written field by field, read as a whole.

    Latency: combinational from `connection` to `o`; what is written is there a cycle later.
    """

    def __init__(self, kind: EngineKind):
        self._kind = kind
        super().__init__(
            {
                "record": In(RECORD),  # a field is written
                "connection": In(CONNECTION_BITS),
                "o": Out(kind.record),
            }
        )

    def elaborate(self, platform):
        m = Module()
        written = self.record
        for field in self._kind.record_fields.values():
            rows = memory.Memory(shape=field.width, depth=CONNECTIONS, init=[])
            m.submodules[field.name] = rows
            read, write = rows.read_port(domain="comb"), rows.write_port()
            m.d.comb += [
                write.en.eq(written.write & (written.field == field.word)),
                write.addr.eq(written.connection),
                write.data.eq(written.word),
                read.addr.eq(self.connection),
                self.o[field.name].eq(read.data),
            ]
        return m
