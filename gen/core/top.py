"""The training core: three engines, their memories, and the host port."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.control.counters import Counters
from backspike.gen.core.control.run import RunControl
from backspike.gen.core.engine import Engine
from backspike.gen.core.engines import KINDS, UPDATE
from backspike.gen.core.faults import Fault
from backspike.gen.core.forward.unit import CODE
from backspike.gen.core.layout import BATCH, TASK_BITS, descriptor_words, part_bits, row_width
from backspike.gen.core.map import IDENT, SIZES, VERSION, core_map, option
from backspike.gen.core.shared.window import TABLE_BITS
from backspike.gen.core.weights import WeightMemory
from backspike.gen.host.axi4lite import AXI4LiteSignature
from backspike.gen.host.host_port import HostPort
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.host import HostMemory
from backspike.gen.memory.rows import RowMemory
from backspike.ir.constants import ENGINES


class Core(wiring.Component):
    """The training core of a machine.

    Ports: axi, the host port (AXI4-Lite subordinate; see rtl/MACHINE/registers.md); running, a
    doorbell is being obeyed; fault, the last one was refused.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        self.map = core_map(machine)
        super().__init__(
            {
                "axi": In(AXI4LiteSignature(self.map.addr_width)),
                "running": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        m.submodules.host = registers = HostPort(self.map, self._identification())
        m.submodules.control = control = RunControl()
        wiring.connect(m, wiring.flipped(self.axi), registers.axi)

        engines = {}
        for name, kind in KINDS.items():
            m.submodules[name] = engines[name] = Engine(machine, kind.on(machine))
        writes = self._memories(m, registers, engines, ~control.busy)
        self._control(m, registers, engines, control, writes)
        self._counters(m, registers, engines, control)
        return m

    def _identification(self) -> dict:
        """The registers that say which machine this is."""
        machine = self.machine
        sizes = ("lanes", "fp_reuse", "bp_reuse", "wg_reuse", "layers")
        return {
            "ident": IDENT,
            "version": VERSION,
            "machine": {"depth": DEPTH, **{name: getattr(machine, name) for name in sizes}},
            "sizes": {name: exact_log2(getattr(machine, name)) for name in SIZES},
            "weight_rows": machine.weight_rows,
            "units": machine.units,
            "gradient_units": machine.gradients,
            "options": {
                field.name: option(machine, field.name)
                for field in self.map.register("options").fields
            },
        }

    def _control(self, m, registers, engines, control, writes) -> None:
        """Doorbell, queues, tokens, status."""
        configuration = Cat(
            registers.batch.as_value(),
            registers.time.as_value(),
            *(getattr(registers, f"queue_{name}").as_value() for name in ENGINES),
        )
        before = Signal(len(configuration))
        m.d.sync += before.eq(configuration)
        saturated, changed, locked = Signal(), Signal(), Signal()
        batch = Signal(BATCH)
        # No access comes before the write before it has been answered: so registers are in time for
        # the next one, and what the doorbell starts is busy by then.
        m.d.sync += [changed.eq((configuration != before) | writes), locked.eq(control.busy)]
        m.d.comb += [
            *(batch[name].eq(registers.batch[name]) for name in ("samples", "sets")),
            *(batch[name].eq(registers.time[name]) for name in ("steps", "last_steps", "spans")),
            batch.blocks.eq(control.blocks),
            registers.lock.eq(locked),
            registers.status.running.eq(locked),
            registers.status.saturated.eq(saturated),
            registers.status.fault.eq(control.fault),
            registers.status.fault_engine.eq(control.fault_engine),
            registers.status.fault_task.eq(control.fault_task),
            self.running.eq(registers.status.running),
            self.fault.eq(control.fault != Fault.NONE),
            control.doorbell.eq(registers.start.valid),
            control.changed.eq(changed),
            control.batch.eq(batch),
        ]
        with m.If(registers.clear.valid):
            m.d.sync += saturated.eq(0)
        with m.If(Cat(engine.drain_saturated for engine in engines.values()).any()):
            m.d.sync += saturated.eq(1)

        buffers = (registers.buffer.forward, *2 * (registers.buffer.backward,))
        for n, name in enumerate(ENGINES):
            engine = engines[name]
            queue = getattr(registers, f"queue_{name}")
            m.d.comb += [
                engine.batch.eq(batch),
                engine.buffer.eq(buffers[n]),
                engine.carry.eq(registers.buffer.carry),
                engine.extent.full.eq(
                    Mux(buffers[n], registers.extent1.full, registers.extent0.full)
                ),
                engine.extent.partial.eq(
                    Mux(buffers[n], registers.extent1.partial, registers.extent0.partial)
                ),
                engine.queue_start.eq(control.go),
                engine.queue_dry_run.eq(control.dry_run),
                engine.queue_abort.eq(control.abort),
                engine.queue_begin.eq(queue.begin),
                engine.queue_end.eq(queue.end),
                *(
                    engine.queue_counts[k].eq(engines[other].queue_completed)
                    for k, other in enumerate(ENGINES)
                ),
                control.queues_running[n].eq(engine.queue_running),
                control.queues_waiting[n].eq(engine.queue_waiting),
                control.faults[n].eq(engine.queue_fault),
                control.positions[n].eq(engine.queue_position),
            ]

    def _memories(self, m, registers, engines, rest):
        """Memories between engines and host; returns whether the host writes tasks or layers.

        While the core is at rest the host's windows have the read and write ports.
        """
        machine = self.machine
        fp, bp, wg = engines.values()
        row, tile, rows = row_width(machine), machine.lanes * DEPTH, machine.units * DEPTH
        gradient_rows, readout = machine.gradients * DEPTH, machine.readout_units * DEPTH

        def shared(name, part, *, write=None, readers=()):
            m.submodules[f"{name}_memory"] = part
            wiring.connect(m, getattr(registers, name), part.host)
            m.d.comb += part.rest.eq(rest)
            local(None, part, write=write, readers=readers)

        def local(name, part, *, write=None, readers=()):
            if name is not None:
                m.submodules[f"{name}_memory"] = part
            if write is not None:
                wiring.connect(m, write, part.write)
            for n, reader in enumerate(readers):
                wiring.connect(m, reader, getattr(part, f"read{n}"))

        shared(
            "spikes",
            HostMemory(width=tile, depth=2 * machine.spike_units, readers=2, stalling=True),
            write=fp.drain_spikes,
            readers=(fp.front_spikes, wg.front_spikes),
        )
        shared(
            "codes",
            HostMemory(
                width=machine.lanes * CODE.size, depth=rows, writable=False, shown=(CODE.size, 8)
            ),
            write=fp.drain_codes,
            readers=(bp.drain_codes,),
        )
        shared(
            "gradients",
            HostMemory(width=row, depth=gradient_rows, readers=2, halves=True, stalling=True),
            write=bp.drain_gradients,
            readers=(bp.front_gradients, wg.front_gradients),
        )
        shared(
            "logits",
            HostMemory(width=row, depth=readout, halves=True),
            write=fp.drain_logits,
            readers=(bp.drain_logits,),
        )
        labels = HostMemory(width=16, depth=2 * readout, host_only=True)
        shared("labels", labels, readers=(bp.drain_labels,))
        local(
            "active",
            RowMemory(width=DEPTH, depth=machine.units, stalling=True),
            write=fp.drain_active,
            readers=(bp.front_active,),
        )
        shared(
            "masks",
            HostMemory(width=tile, depth=machine.gradients, readers=2, stalling=True),
            write=bp.drain_masks,
            readers=(bp.front_masks, wg.front_masks),
        )
        if machine.momentum:
            moments = HostMemory(width=row, depth=machine.weight_rows, halves=True)
            shared(
                "moments", moments, write=wg.drain_moments_write, readers=(wg.drain_moments_read,)
            )
        if machine.windows:
            readers = [engine.front_windows for engine in engines.values()]
            table = HostMemory(width=TABLE_BITS, depth=machine.windows, readers=3, host_only=True)
            shared("windows", table, readers=readers)
        if machine.parts:
            parts = RowMemory(width=machine.lanes * part_bits(machine), depth=machine.weight_rows)
            local("parts", parts, write=wg.drain_parts_write, readers=(wg.drain_parts_read,))
            m.d.comb += [
                wg.drain_take.eq(registers.buffer.take),
                wg.drain_keep.eq(registers.buffer.keep),
            ]
        changed = []
        for name, engine in engines.items():
            layers = HostMemory(width=32, depth=descriptor_words(machine), host_only=True)
            tasks = HostMemory(width=TASK_BITS, depth=machine.tasks, host_only=True)
            shared(f"layers_{name}", layers, readers=(engine.queue_descriptors,))
            shared(f"tasks_{name}", tasks, readers=(engine.queue_tasks,))
            for part in (layers, tasks):
                changed.append(part.host.request.valid & part.host.request.payload.write)
        self._weights(m, registers, fp, bp, wg, rest)
        return Cat(changed).any()

    def _weights(self, m, registers, fp, bp, wg, rest) -> None:
        """The weight memory: rows for wg (never refused), then fp; columns for bp."""
        m.submodules.weights = weights = WeightMemory(self.machine)
        wiring.connect(m, registers.weights, weights.host)
        row, column = weights.row, weights.column
        m.d.comb += [
            weights.rest.eq(rest),
            row.address.eq(Mux(wg.drain_row_valid, wg.drain_row_address, fp.front_row.address)),
            row.write.eq(wg.drain_row_write),
            row.load.eq(wg.drain_row_load),
            row.data.eq(wg.drain_row_data),
            wg.drain_row_vector.eq(row.vector),
            fp.front_row.grant.eq(~wg.drain_row_valid),  # at rest it asks for nothing
            fp.front_row.vector.eq(row.vector),
            column.address.eq(bp.front_column.address),
            bp.front_column.grant.eq(1),
            bp.front_column.vector.eq(column.vector),
        ]

    def _counters(self, m, registers, engines, control) -> None:
        """What each engine does, into the map's counters, a cycle later."""
        m.submodules.counters = counters = Counters()
        wiring.connect(m, registers.counters, counters.host)
        m.d.sync += [
            counters.clear.eq(control.begins),
            counters.count.eq(control.running),
            counters.wg_loaded.eq(engines[UPDATE.name].loaded),
            counters.wg_rows.eq(engines[UPDATE.name].drain_rows),
        ]
        for name, engine in engines.items():
            conditions = {
                "working": engine.busy,
                "event": engine.event,
                "stuck": engine.queue_waiting & ~engine.busy,
                "starved": engine.stall_vector,
                "blocked": engine.stall_drain,
                "refused": engine.stall_port,
            }
            for condition, value in conditions.items():
                m.d.sync += getattr(counters, f"{name}_{condition}").eq(value)
