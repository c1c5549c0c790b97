"""The walk through a task: tiles of sources, block by block of the batch."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import BATCH
from backspike.gen.core.shared.source import HEADER


def step_layout(units: int, rows: int) -> data.StructLayout:
    """One tile of sources in one block: its unit; the tile of neurons' own unit in this block; a
    row tile of weights; the block; the tile's number `source`; whether a sum ends with it."""
    return data.StructLayout(
        {"unit": units, "own": units, "row": rows, "block": 10, "source": 9, "last": 1}
    )


class BlockWalk(wiring.Component):
    """For each block of a task: its header, then a step for each tile of sources.

    Unit and row of a step are `source_unit` + source * blocks + block and
    `weights` + tile * tile_rows + source * source_rows; the own unit is
    `own_unit` + tile * blocks + block. All products are sums kept up to date, but for those of
    `tile`.

    Throughput: a step a cycle, and one cycle a block for its header. Latency: 3 cycles from a task
    to its first header.

    Parameters: bits of units and rows.

    Ports: i: the tile of neurons; batch; own_unit, source_unit, source_tiles, weights, tile_rows,
    source_rows: constant during a task; skip: headers only; o_headers; o, see `step_layout`.
    """

    def __init__(self, *, units: int, rows: int):
        self._units, self._rows = units, rows
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "batch": In(BATCH),
                "own_unit": In(units),
                "source_unit": In(units),
                "source_tiles": In(9),
                "weights": In(rows),
                "tile_rows": In(rows),
                "source_rows": In(rows),
                "skip": In(1),
                "o_headers": Out(stream.Signature(HEADER)),
                "o": Out(stream.Signature(step_layout(units, rows))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        batch, header, step = self.batch, self.o_headers.payload, self.o.payload
        tile = Signal(8)
        block = Signal(10)
        source = Signal(9)
        tile_units = Signal(self._units, reset_less=True)  # the task's units before this tile's
        tile_rows = Signal(self._rows, reset_less=True)
        own = Signal(self._units, reset_less=True)  # of the tile in block 0
        unit = Signal(self._units, reset_less=True)
        first_row = Signal(self._rows, reset_less=True)
        row = Signal(self._rows, reset_less=True)
        # Constant during a task, as its layer and the batch are.
        sources_before, blocks_before = Signal(9), Signal(10)  # the last one
        m.d.sync += [
            sources_before.eq(self.source_tiles - 1),
            blocks_before.eq(batch.blocks - 1),
        ]
        last_source = source == sources_before
        last_block = block == blocks_before
        m.d.comb += [
            header.unit.eq(step.own),
            header.block.eq(block),
            header.tile.eq(tile),
            header.last.eq(last_block),
            step.unit.eq(unit),
            step.own.eq(own + block),
            step.row.eq(row),
            step.block.eq(block),
            step.source.eq(source),
            step.last.eq(last_source),
        ]

        def next_block():
            m.d.sync += block.eq(block + 1)
            m.next = "BLOCK"
            with m.If(last_block):
                m.next = "REST"

        with m.FSM():
            with m.State("REST"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [tile.eq(self.i.payload), block.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [
                    tile_units.eq(tile * batch.blocks),
                    tile_rows.eq(tile * self.tile_rows),
                ]
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    own.eq(self.own_unit + tile_units),
                    first_row.eq(self.weights + tile_rows),
                ]
                m.next = "BLOCK"
            with m.State("BLOCK"):
                m.d.comb += self.o_headers.valid.eq(1)
                m.d.sync += [source.eq(0), unit.eq(self.source_unit + block), row.eq(first_row)]
                with m.If(self.o_headers.ready):
                    m.next = "SOURCES"
                    with m.If(self.skip):
                        next_block()
            with m.State("SOURCES"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [
                        source.eq(source + 1),
                        unit.eq(unit + batch.blocks),
                        row.eq(row + self.source_rows),
                    ]
                    with m.If(last_source):
                        next_block()
        return m
