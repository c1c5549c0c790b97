"""Whether a layer's extents fit the machine's memories."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import EngineKind
from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import BATCH, CONNECTION_BITS, TILES_BITS
from backspike.gen.core.shared.bitops import exceeds, select_onehot
from backspike.gen.machine import Machine


class BoundsCheck(wiring.Component):
    """Checks a descriptor's extents (see `engines`), one after the other, and those of the records
    of its connections; and that these bring no more terms than a sum has room for.

    A layer without source tiles would never finish, and weights of too few source tiles are not
    the layer's: such an extent is not `valid`.

    Latency: 5 cycles an extent, up to the first that does not fit.
    """

    def __init__(self, machine: Machine, kind: EngineKind):
        kind = kind.on(machine)
        self._machine, self._kind = machine, kind
        super().__init__(
            {
                "start": In(1),  # one cycle
                "config": In(kind.config),  # stays from the next cycle on until `done`
                "batch": In(BATCH),
                "done": Out(1),  # the last cycle
                "fault": Out(Fault),  # beside `done`
                **self._record_ports(kind),
            }
        )

    @staticmethod
    def _record_ports(kind: EngineKind) -> dict:
        if not kind.record_fields:
            return {}
        return {
            "busy": Out(1),
            "connection": Out(CONNECTION_BITS),  # whose record is asked for, while busy
            "record": In(kind.record),  # beside connection
        }

    def elaborate(self, platform):
        m = Module()
        kind = self._kind
        extents = kind.extents(self.config, self.batch)
        own = len(extents)
        if kind.record_fields:
            extents += kind.record_extents(self.config, self.record, self.batch)
        limits = [extent.memory.size(self._machine) for extent in extents]
        check = Signal(len(extents))  # one-hot
        # What a memory that is not used takes does not matter, and of one that is there is nothing
        # to look at where its extent is not valid.
        used, invalid = Signal(len(extents)), Signal(len(extents))
        # Both stand still from SELECT on.
        m.d.sync += [
            used.eq(Cat(Value.cast(extent.applies).any() for extent in extents)),
            invalid.eq(Cat(~Value.cast(extent.valid).any() for extent in extents)),
        ]
        operands = []
        for name in ("base", "count", "times"):
            column = [Value.cast(getattr(extent, name)) for extent in extents]
            chosen = select_onehot(column, check)
            operands.append(Signal(len(chosen), name=name, reset_less=True))
            m.d.sync += operands[-1].eq(chosen)
        base, count, times = operands
        product = Signal(len(count) + len(times), reset_less=True)
        total = Signal(max(len(base), len(product)) + 1, reset_less=True)
        excess = Signal(len(extents), reset_less=True)
        beyond = Cat(exceeds(total, limit) for limit in limits) | invalid
        m.d.sync += excess.eq(beyond & used & check)
        fault = select_onehot([Const(e.memory.fault.value, 4) for e in extents], check)
        last, many = Signal(), Signal()
        m.d.sync += Cat(last, many).eq(Cat(self._last(m, check, own)))
        busy = self.busy if kind.record_fields else Signal()
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [check.eq(1), busy.eq(1)]
                    m.next = "SELECT"
            with m.State("SELECT"):
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += product.eq(count * times)
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += total.eq(base + product)
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += check.eq(Mux(check[-1], 1 << own, check << 1))
                m.next = "SELECT"
                with m.If(excess.any()):
                    m.d.comb += Value.cast(self.fault).eq(fault)
                with m.Elif(last & many):
                    m.d.comb += self.fault.eq(Fault.TERMS)
                with m.If(excess.any() | last):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += busy.eq(0)
                    m.next = "IDLE"
                if kind.record_fields:
                    with m.Elif(check[-1]):
                        m.d.sync += self.connection.eq(self.connection + 1)
        return m

    def _last(self, m: Module, check: Signal, own: int) -> tuple[Value, Value]:
        """(the extent in hand is the last, the records bring too many terms)."""
        kind, machine = self._kind, self._machine
        if not kind.record_fields:
            return check[-1], Const(0)
        connections = self.config.connections
        bits = len(connections)
        following = Signal(bits)
        walked = Mux(self.record.diagonal, 1, self.record[next(iter(kind.record_fields))])
        tiles = Signal(TILES_BITS + CONNECTION_BITS)  # of all records
        begun = Signal(bits)  # records of which the tiles are counted
        m.d.comb += following.eq(self.connection + 1)
        with m.If(check[own] & (begun != following)):
            m.d.sync += [tiles.eq(tiles + walked), begun.eq(following)]
        with m.If(self.start):
            m.d.sync += [self.connection.eq(0), tiles.eq(0), begun.eq(0)]
        last = Mux(check[-1], following == connections, check[own - 1] & (connections == 0))
        return last, exceeds(tiles, kind.terms(machine) // machine.lanes)
