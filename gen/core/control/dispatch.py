"""Dispatching: an engine's queue of tasks, its tokens, and its layer descriptor."""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.layout import (
    BATCH,
    DESCRIPTOR_WORDS,
    TABLE,
    TABLES,
    TASK,
    config_layout,
    descriptor_fields,
)
from backspike.gen.core.shared.drain import later
from backspike.gen.core.shared.scan import one_of
from backspike.gen.machine import Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature

COUNT = 10
"""Bits of a count of tasks; a queue holds fewer than 2^COUNT."""


class Fault(Enum, shape=4):
    """Why the core refused to run."""

    NONE = 0
    BATCH = 1
    QUEUE = 2
    LAYER = 3
    TILE = 4
    UNITS = 5
    WEIGHTS = 6
    DEADLOCK = 7


def beyond(total, limit: int):
    """total > limit, a power of two."""
    bit = exact_log2(limit)
    return total[bit + 1 :].any() | (total[bit] & total[:bit].any())


def extents(machine: Machine, engine: str, config, blocks):
    """What must fit: (fault, base, count, times, limit) with base + count * times <= limit, a power
    of two.

    A layer without tiles to read would never come to the last of them: its base is put beyond. So
    is that of weights whose sources are fewer tiles than the layer that they come from.
    """
    units, weight_blocks = machine.units, machine.weight_rows // machine.lanes
    if engine == "bp":
        return [
            (Fault.UNITS, config.output_unit, config.tiles, blocks, units),
            (Fault.UNITS, 0, Mux(config.loss, config.tiles, 0), blocks, machine.readout_units),
            (
                Fault.UNITS,
                Mux(config.loss, 0, Mux(config.next_tiles.any(), config.next_unit, units + 1)),
                Mux(config.loss, 0, config.next_tiles),
                blocks,
                units,
            ),
            (
                Fault.WEIGHTS,
                Mux(
                    config.loss,
                    0,
                    Mux(
                        config.tiles <= config.next_source_tiles,
                        config.next_weights,
                        weight_blocks + 1,
                    ),
                ),
                Mux(config.loss, 0, config.next_tiles),
                config.next_source_tiles,
                weight_blocks,
            ),
        ]
    sources = (
        Fault.UNITS,
        Mux(config.source_tiles.any(), config.source_unit, machine.spike_units + 1),
        config.source_tiles,
        blocks,
        machine.spike_units,
    )
    weights = (
        Fault.WEIGHTS,
        config.weights,
        config.tiles,
        config.source_tiles,
        weight_blocks,
    )
    if engine == "fp":
        readout = Mux(config.readout, config.tiles, 0)
        return [
            sources,
            weights,
            (Fault.UNITS, config.output_unit, Mux(config.readout, 0, config.tiles), blocks, units),
            (Fault.UNITS, 0, readout, blocks, machine.readout_units),
        ]
    return [
        sources,
        weights,
        (Fault.UNITS, config.gradient_unit, config.tiles, blocks, units),
    ]


class Dispatcher(wiring.Component):
    """Works through one engine's queue.

    A task is issued when the other two engines have completed as many tasks of this run as it
    waits for. Counts only grow, so a token is never lost, taken twice or overtaken. Before the
    first task of another layer the engine runs empty and the layer's descriptor is loaded, a word a
    cycle.

    A run is rehearsed first (`rehearse`): every task is checked and counted as completed at once,
    without the engine. So a fault, and a wait that can never end, is found before anything is
    changed.

    Ports: start (one cycle) with rehearse and the queue's range begin, end; abort: end a
    rehearsal, held until all are at rest; batch; tasks, descriptors: the memories; waits_first,
    waits_second: completed counts of the others; completed: ours; position: the task in hand;
    o: the tile to work on, with `config`; table (of engines that have one): its rows, one after the
    other, before that; loaded: `config` has changed (one cycle; the engine is
    empty); done: the engine has finished a task (one cycle); busy: a task is in work; running;
    stuck: waiting for a token; fault (one cycle, rehearsal only).
    """

    def __init__(self, machine: Machine, engine: str):
        self._machine = machine
        self._engine = engine
        layers = exact_log2(machine.layers)
        super().__init__(
            {
                "start": In(1),
                "rehearse": In(1),
                "abort": In(1),
                "begin": In(COUNT + 1),
                "end": In(COUNT + 1),
                "batch": In(BATCH),
                "tasks": Out(read_signature(32, machine.tasks)),
                "descriptors": Out(read_signature(32, machine.layers * DESCRIPTOR_WORDS)),
                "waits_first": In(COUNT + 1),
                "waits_second": In(COUNT + 1),
                "completed": Out(COUNT + 1),
                "position": Out(COUNT + 1),
                "o": Out(stream.Signature(8)),
                "config": Out(config_layout(engine)),
                **({"table": Out(TABLE)} if engine in TABLES else {}),
                "loaded": Out(1),
                "done": In(1),
                "busy": Out(1),
                "running": Out(1),
                "stuck": Out(1),
                "fault": Out(Fault),
            }
        )
        self._layer_bits = layers

    def elaborate(self, platform):
        m = Module()
        machine = self._machine
        rehearsing = Signal()
        position = self.position
        end = Signal(COUNT + 1)
        issued = Signal(COUNT + 1)
        task = Signal(TASK, reset_less=True)
        layer = Signal(4)
        known = Signal()  # `config` is that of `layer`
        delay = Signal(range(READ_LATENCY + 1))
        # The descriptor comes in at its last field's place and moves up a field with every word: so
        # no word has to be told from another. A place is as wide as what passes through it. The
        # table that may follow is passed on.
        rows = TABLES.get(self._engine, [])
        fields = [f for f in descriptor_fields(self._engine).values() if f.name not in rows]
        words = len(fields) + len(rows)
        widths = itertools.accumulate((field.width for field in fields), max)
        places = [Signal(width, name=f.name) for f, width in zip(fields, widths, strict=True)]
        word = Signal(range(words + READ_LATENCY))
        loads = Signal()
        if rows:
            begin = len(fields) + READ_LATENCY
            m.d.sync += [
                self.table.write.eq(loads & (word >= begin)),
                self.table.index.eq(word - begin),
                self.table.half.eq(self.descriptors.data),
            ]
        m.d.comb += [self.config[f.name].eq(at) for f, at in zip(fields, places, strict=True)]

        checks = extents(machine, self._engine, self.config, self.batch.blocks)
        check = Signal(len(checks))  # one-hot
        base, count, times = (
            later(m, one_of([Value.cast(row[n]) for row in checks], check), 1, name)
            for n, name in enumerate(("base", "count", "times"), 1)
        )
        product = Signal(len(count) + len(times), reset_less=True)
        total = Signal(max(len(base), len(product)) + 1, reset_less=True)
        excess = Signal(len(checks), reset_less=True)
        m.d.sync += excess.eq(Cat(beyond(total, row[4]) for row in checks) & check)
        fault = one_of([Const(row[0].value, 4) for row in checks], check)

        m.d.comb += [
            self.tasks.addr.eq(position),
            self.descriptors.addr.eq(layer * DESCRIPTOR_WORDS + word),
            self.o.payload.eq(task.tile),
        ]
        tokens = Signal()
        m.d.comb += tokens.eq(
            (self.waits_first >= task.wait_first) & (self.waits_second >= task.wait_second)
        )
        m.d.comb += self.busy.eq(self.completed != issued)
        beyond_end, at_end = Signal(), Signal()
        m.d.sync += [
            beyond_end.eq((position > end) | (end > machine.tasks)),
            at_end.eq(position == end),
        ]
        finish = Signal()  # a task has been completed
        m.d.comb += finish.eq(self.done)
        with m.If(finish):
            m.d.sync += self.completed.eq(self.completed + 1)

        with m.FSM() as fsm:
            m.d.comb += self.running.eq(~fsm.ongoing("REST"))
            with m.State("REST"):
                with m.If(self.start):
                    m.d.sync += [
                        rehearsing.eq(self.rehearse),
                        position.eq(self.begin),
                        end.eq(self.end),
                        issued.eq(0),
                        self.completed.eq(0),
                        known.eq(0),
                    ]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += delay.eq(delay + 1)
                with m.If(self.abort):
                    m.d.sync += delay.eq(0)
                    m.next = "REST"
                with m.Elif(delay == 0):
                    pass  # the comparisons are of the position before
                with m.Elif(rehearsing & beyond_end):
                    m.d.comb += self.fault.eq(Fault.QUEUE)
                    m.d.sync += delay.eq(0)
                    m.next = "REST"
                with m.Elif(at_end):
                    with m.If(self.completed == issued):
                        m.d.sync += delay.eq(0)
                        m.next = "REST"
                with m.Elif(delay == READ_LATENCY):
                    m.d.sync += [task.eq(self.tasks.data), delay.eq(0)]
                    m.next = "TOKENS"
            with m.State("TOKENS"):
                with m.If(self.abort):
                    m.next = "REST"
                with m.Elif(~tokens):
                    m.d.comb += self.stuck.eq(1)
                with m.Elif(known & (layer == task.layer)):
                    m.next = "ISSUE"
                with m.Elif(self.completed == issued):
                    m.d.sync += [layer.eq(task.layer), known.eq(1), word.eq(0), check.eq(1)]
                    with m.If(task.layer >= machine.layers):
                        m.d.comb += self.fault.eq(Fault.LAYER)
                        m.next = "REST"
                    with m.Else():
                        m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += word.eq(word + 1)
                m.d.comb += loads.eq(1)
                with m.If((word >= READ_LATENCY) & (word < len(fields) + READ_LATENCY)):
                    m.d.sync += [
                        at.eq(after)
                        for at, after in zip(
                            places, [*places[1:], self.descriptors.data], strict=True
                        )
                    ]
                with m.If(word == words - 1 + READ_LATENCY):
                    m.d.comb += self.loaded.eq(1)
                    m.next = "ISSUE"
                    with m.If(rehearsing):
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
                m.d.sync += check.eq(check << 1)
                with m.If(excess.any()):
                    m.d.comb += self.fault.eq(fault)
                    m.next = "REST"
                with m.Elif(check[-1]):
                    m.next = "ISSUE"
                with m.Else():
                    m.next = "SELECT"
            with m.State("ISSUE"):
                with m.If(rehearsing):
                    m.d.comb += finish.eq(task.tile < self.config.tiles)
                    with m.If(task.tile >= self.config.tiles):
                        m.d.comb += self.fault.eq(Fault.TILE)
                        m.next = "REST"
                m.d.comb += self.o.valid.eq(~rehearsing)
                with m.If(
                    (rehearsing & (task.tile < self.config.tiles)) | (self.o.valid & self.o.ready)
                ):
                    m.d.sync += [issued.eq(issued + 1), position.eq(position + 1)]
                    m.next = "FETCH"
        return m
