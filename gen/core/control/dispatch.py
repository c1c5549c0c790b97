"""Dispatching: an engine's queue of tasks, its layers' descriptors, and their check."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.control.bounds_check import BoundsCheck
from backspike.gen.core.control.descriptor_loader import DescriptorLoader
from backspike.gen.core.control.record_table import RecordTable
from backspike.gen.core.control.task_queue import TaskQueue
from backspike.gen.core.engines import EngineKind
from backspike.gen.core.layout import CONNECTION_BITS, TABLE, WORD_BITS, descriptor_words
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import read_signature

QUEUE = ("start", "dry_run", "begin", "end", "batch", "abort", "tasks", "counts", "completed",
         "position", "o", "done", "busy", "running", "waiting", "fault")  # fmt: skip
"""Ports that are the queue's, see `TaskQueue`."""


class Dispatcher(wiring.Component):
    """Gives an engine its tasks, one after the other, each with its layer's descriptor.

    A run is tried first (`dry_run`): every task and every layer is checked, without the engine.
    """

    def __init__(self, machine: Machine, kind: EngineKind):
        self._kind = kind = kind.on(machine)
        self._queue = TaskQueue(machine)
        self._loader = DescriptorLoader(machine, kind)
        self._check = BoundsCheck(machine, kind)
        super().__init__(
            {
                **{name: self._queue.signature.members[name] for name in QUEUE},
                "descriptors": Out(read_signature(WORD_BITS, descriptor_words(machine))),
                "config": Out(kind.config),  # of the task's layer
                **({"table": Out(TABLE)} if kind.table else {}),  # rows, before the task
                **self._record_ports(kind),
                "loaded": Out(1),  # `config` has changed (one cycle; the engine is empty)
            }
        )

    @staticmethod
    def _record_ports(kind: EngineKind) -> dict:
        if not kind.record_fields:
            return {}
        return {
            "connection": In(CONNECTION_BITS),  # of the task's layer
            "record": Out(kind.record),  # of this connection, in the same cycle
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        m.submodules.loader = loader = self._loader
        m.submodules.check = check = self._check
        for name in QUEUE:
            member = self.signature.members[name]
            outer, inner = getattr(self, name), getattr(queue, name)
            if member.dimensions:
                m.d.comb += [to.eq(value) for to, value in zip(inner, outer, strict=True)]
            elif member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
            else:
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        wiring.connect(m, wiring.flipped(self.descriptors), loader.descriptors)
        m.d.comb += [
            loader.start.eq(queue.load),
            loader.layer.eq(queue.layer),
            queue.load_done.eq(loader.done),
            self.config.eq(loader.config),
            self.loaded.eq(loader.done),
            check.start.eq(queue.check),
            check.config.eq(loader.config),
            check.batch.eq(self.batch),
            queue.check_done.eq(check.done),
            queue.check_fault.eq(check.fault),
        ]
        m.d.sync += queue.tile_valid.eq(queue.o.payload.tile < loader.config.tiles)
        if "record" in self.signature.members:
            m.submodules.records = records = RecordTable(self._kind)
            m.d.comb += [
                records.record.eq(loader.record),
                records.connection.eq(Mux(check.busy, check.connection, self.connection)),
                check.record.eq(records.o),
                self.record.eq(records.o),
            ]
        if "table" in self.signature.members:
            m.d.comb += self.table.eq(loader.table)
        return m
