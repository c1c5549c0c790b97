"""The frame of the drains that run neurons through a block's steps, forward or backward."""

from typing import Any, ClassVar, Protocol

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.engines import EngineKind
from backspike.gen.core.layout import BATCH, EXTENT, TABLE
from backspike.gen.core.shared.rows import collect, delayed_or_mux, gather, select_phase
from backspike.gen.core.shared.source import HEADER, entries, lane_mask, span_masks
from backspike.gen.core.shared.sum_buffer import SUM_LATENCY
from backspike.gen.core.shared.time_sequencer import TimeSequencer
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.pipeline import Pipeline

UNIT_AT = SUM_LATENCY + 1
"""Cycles from a slot until its unit has the sum: its register in `delayed_or_mux` takes one."""


class DrainUnit(Protocol):
    """What a drain unit is to the frame: a component that updates one neuron a cycle.

    Ports: config, table; slot (see `slot_layout`), beside it `live` (the slot holds a neuron and a
    sample), `place` (of what its tile keeps) and `sum`; saturated. Its other ports are the drain's
    affair.
    """

    latency: ClassVar[int]
    """Cycles from slot and sum to the result."""
    recurrence: ClassVar[int]
    """Cycles from the use of a state to that of the next step's."""

    def __init__(self, *, width: int, reuse: int, places: int, fine: int): ...


class BlockDrain(wiring.Component):
    """Takes finished sums step by step to drain units, and their results to rows and a tile.

    The blocks of a set come one after the other, in the order of time: units keep what goes from
    one to the next. A subclass says which `unit` it has, what else a unit is given, and where
    results are written.

    Latency: a block takes steps * max(samples * reuse, recurrence) + 1 cycles at the most; its
    results are written up to unit.latency + 4 cycles later, while the next block drains.
    Throughput: P / reuse neurons a cycle.
    """

    kind: ClassVar[EngineKind]
    unit: ClassVar[type[DrainUnit]]
    reverse: ClassVar[bool]
    header: ClassVar[data.StructLayout] = HEADER
    result: ClassVar[data.StructLayout]
    """What a unit finds out for a neuron and step."""

    def __init__(self, machine: Machine, ports: dict[str, wiring.Member]):
        self.machine = machine
        self.lanes, self.reuse = machine.lanes, getattr(machine, f"{self.kind.name}_reuse")
        self.width = self.kind.sum_width(machine)
        self.result_at = UNIT_AT + self.unit.latency
        self.row_at = self.result_at + 1
        self.tile_at = self.row_at + 1
        super().__init__(
            {
                "config": In(self.kind.config),
                "table": In(TABLE),  # a row of the units' tables is written; no block drains then
                "batch": In(BATCH),
                "extent": In(EXTENT),
                "buffer": In(1),  # which of two buffers is the batch's
                "i_headers": In(stream.Signature(self.header)),
                "start": In(1),  # start to sums: see `Accumulator`
                "busy": Out(1),
                "entry": Out(range(DEPTH)),
                "sums": In(data.ArrayLayout(signed(self.width), self.lanes)),
                "done": Out(1),  # a task is complete (one cycle)
                "saturated": Out(1),
                **ports,
            }
        )

    def begin(self, m: Module, sequencer: TimeSequencer) -> Any:
        """Whether a block begins this cycle; what the sequencer has to know beside the batch."""
        raise NotImplementedError

    def feed(self, m: Module, pipeline: Pipeline, units: list) -> None:
        """Gives units what they need beside sums; or fails if that comes at another time."""
        raise NotImplementedError

    def found(self, unit: Any) -> list:
        """A unit's outputs that make its `result`, in this order."""
        raise NotImplementedError

    def rows(self, m: Module, pipeline: Pipeline, row: list, written: Any) -> Any:
        """Writes a row of results if `written`; returns what of it the block's tile needs."""
        raise NotImplementedError

    def tile(self, m: Module, pipeline: Pipeline, tile: list, written: Any) -> None:
        """Writes the tile of a block, a row for each entry, if `written`."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = TimeSequencer(
            reuse=self.reuse, recurrence=self.unit.recurrence, reverse=self.reverse
        )
        header = Signal(self.header, reset_less=True)
        present = Signal(DEPTH, reset_less=True)  # entries that hold a sample
        block_begins = Signal()
        begins = self.begin(m, sequencer)
        m.d.comb += [
            block_begins.eq(begins),
            sequencer.start.eq(block_begins),
            sequencer.head.eq(self.i_headers.payload.head),
            sequencer.tail.eq(self.i_headers.payload.tail),
            sequencer.twice.eq(self.config.current),
            sequencer.batch.eq(self.batch),
            self.busy.eq(sequencer.busy),
            self.entry.eq(sequencer.o.entry),
            self.i_headers.ready.eq(block_begins),
        ]
        masks = span_masks(m, self.batch)
        with m.If(block_begins):
            m.d.sync += [
                header.eq(self.i_headers.payload),
                present.eq(entries(masks, self.extent, self.i_headers.payload)),
            ]

        # From cycle 0, in which a slot asks for its sum. The next block may begin before the result
        # is there, so what belongs to this one comes along.
        pipeline = Pipeline(m)
        slot = pipeline.put("slot", sequencer.o, at=0)
        pipeline.put("header", header, at=0)
        neurons = Signal(self.lanes, reset_less=True)  # lanes that hold one
        live = Signal(self.lanes)  # of these, in an entry that holds a sample
        m.d.sync += neurons.eq(lane_mask(self.lanes, header.tile, self.config.size))
        m.d.comb += live.eq(neurons & present.bit_select(slot.entry, 1).replicate(self.lanes))
        pipeline.put("live", live, at=0)
        units = self._units(m, pipeline)
        self.feed(m, pipeline, units)

        # Results of all phases make a row; parts of rows make the block's tile.
        slot = pipeline.get("slot", at=self.result_at)
        results = []
        for n, unit in enumerate(units):
            result = Signal(self.result, name=f"result{n}")
            m.d.comb += result.as_value().eq(Cat(self.found(unit)))
            results.append(result)
        row = gather(m, results, slot.phase, self.reuse, "row", slot.skip)
        slot = pipeline.get("slot", at=self.row_at)
        row_written, tile_written = Signal(), Signal()
        m.d.comb += row_written.eq(slot.valid & slot.row_end)
        part = self.rows(m, pipeline, row, row_written)
        tile = collect(m, part, slot.entry, row_written, slot.block_end, "tile")
        m.d.sync += tile_written.eq(row_written & slot.block_end)
        self.tile(m, pipeline, tile, tile_written)
        m.d.comb += self.done.eq(tile_written & pipeline.get("header", at=self.tile_at).last)
        return m

    def _units(self, m: Module, pipeline: Pipeline) -> list:
        """The drain units, with their slots and sums."""
        phase = pipeline.get("slot", at=SUM_LATENCY).phase
        slot, live, header = (pipeline.get(name, at=UNIT_AT) for name in ("slot", "live", "header"))
        units = []
        for n in range(self.lanes // self.reuse):
            unit: Any = self.unit(
                width=self.width,
                reuse=self.reuse,
                places=self.machine.states,
                fine=self.machine.scale_down,
            )
            m.submodules[f"unit{n}"] = unit
            m.d.comb += [
                unit.config.eq(self.config),
                unit.table.eq(self.table),
                unit.slot.eq(slot),
                unit.place.eq(header.place),
                unit.live.eq(select_phase(live, n, slot.phase, self.reuse)),
                unit.sum.eq(delayed_or_mux(m, self.sums, n, phase, self.reuse, "sum")),
            ]
            units.append(unit)
        m.d.comb += self.saturated.eq(Cat(unit.saturated for unit in units).any())
        return units


def tile_bits(tile: list, lanes: int):
    """The tile's rows (lane n's bit at n) as a memory has them: lane n's entries at n * DEPTH."""
    return Cat(row[n] for n in range(lanes) for row in tile)
