"""The weight-gradient engine's front: from a task to events and gradient rows."""

from amaranth.hdl import Cat, Const, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.gen.core.engines import UPDATE
from backspike.gen.core.layout import (
    EXTENT,
    NEURONS_BITS,
    TILE_BITS,
    WEIGHTS_BITS,
    block_bits,
    gradient_bits,
    places_bits,
    row_width,
    spike_bits,
    window_bits,
)
from backspike.gen.core.shared.gather_front import GatherFront
from backspike.gen.core.shared.group_walk import GroupWalk
from backspike.gen.core.shared.source import (
    edges_layout,
    edges_of,
    masked_tile,
    masks_of,
    span_masks,
)
from backspike.gen.core.shared.window import PLANE, TAP_BITS
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.rows import READ_LATENCY, read_signature


def rows_header(lanes: int, *, planes: bool = False) -> data.StructLayout:
    """What the drain needs to know of DEPTH sources. planes: see `group_header`."""
    taps = {"tap": TAP_BITS, "taps": PLANE["taps"].width} if planes else {}
    return data.StructLayout(
        {
            "row": WEIGHTS_BITS,  # the block of the first weights
            "source": NEURONS_BITS,  # the first source
            "tiles": DEPTH // lanes,  # of the sources, that there are
            "tile": TILE_BITS,  # the tile of neurons
            "last": 1,  # the task ends with it
            **taps,
        }
    )


class UpdateFront(GatherFront):
    """For each DEPTH sources of a task, through the whole batch: an event for each spike that
    meets a gradient row that is not empty, and that row G[d, J].

    A scanned tile has a line for each entry of a block, and a bit for each of DEPTH sources: the
    spike tiles of a group side by side, turned. Throughput: such a tile in DEPTH / P cycles.
    Latency: about 18 cycles.
    """

    def __init__(self, machine: Machine):
        spikes, bases, width = spike_bits(machine), gradient_bits(machine), row_width(machine)
        tile = machine.lanes * DEPTH
        group = DEPTH // machine.lanes
        super().__init__(
            machine,
            UPDATE.on(machine),
            walk=GroupWalk(
                blocks=spikes,
                sources=spikes,
                bases=bases,
                rows=block_bits(machine),
                group=group,
                entries=window_bits(machine),
                places=places_bits(machine),
            ),
            header=rows_header(machine.lanes, planes=bool(machine.windows)),
            reads={
                "spikes": read_signature(tile, 2 * machine.spike_units, stalling=True),
                "masks": read_signature(tile, machine.gradients, stalling=True),
            },
            scan_tag=data.StructLayout({"base": bases}),
            flags={"edges": edges_layout(machine.lanes), "complete": 1},
            ports={
                "extent": In(EXTENT),
                "buffer": In(1),  # which half of the spike memory
                "carry": In(1),  # the batch goes on with the samples of the one before
                "gradients": Out(read_signature(width, machine.gradients * DEPTH, stalling=True)),
            },
        )

    def walk_inputs(self):
        config = self.config
        return {
            "base_first": config.gradient_base,
            "source_first": config.source_base,
            "source_tiles": config.source_tiles,
            "weights": config.weights,
            "delay": config.delay,
            "carry": self.carry,
            **self.where(config),
        }

    def header(self, sum_header):
        lanes, tiles = self._machine.lanes, self.config.source_tiles
        first = Cat(Const(0, exact_log2(lanes)), sum_header.source)
        return {
            "row": sum_header.row,
            "source": first,
            "tiles": Cat(sum_header.source + n < tiles for n in range(DEPTH // lanes)),
            "tile": sum_header.tile,
            "last": sum_header.last,
            **({n: sum_header[n] for n in ("tap", "taps")} if self._machine.windows else {}),
        }

    def request(self, step):
        edges = edges_of(self._machine.lanes, step, self.config, self.extent)
        return (
            [Cat(step.source_base, self.buffer ^ step.other), step.base],
            {"base": step.base},
            {"edges": edges, "complete": step.group_last},
        )

    def masked_tile(self, m, rows, tag, taken):
        spikes, mask = rows
        lanes = self._machine.lanes
        in_tile, bias, present = masks_of(lanes, tag.edges, span_masks(m, self.batch), self.extent)
        # An entry without a gradient is as good as absent.
        filled = Cat(mask[d::DEPTH].any() for d in range(DEPTH))
        lines = masked_tile(m, spikes, (in_tile, bias, present & filled), "spike")
        kept = [Signal(DEPTH, name=f"kept{n}", reset_less=True) for n in range(DEPTH - lanes)]
        sources = [*kept, *lines]
        with m.If(taken):
            m.d.sync += [k.eq(line) for k, line in zip(kept, sources[lanes:], strict=True)]
        return Cat(line[d] for d in range(DEPTH) for line in sources), tag.complete

    def fetch(self, m, lines):
        """A line is an entry d: its row of gradients, fetched once. Lanes could not stop their
        memory: it is too large to be near."""
        tag = Signal(self._tag["scan"].shape, name="line_tag")
        m.d.comb += tag.eq(lines.payload.tag)
        address = Cat(lines.payload.x, tag.base)
        fetch = self.prefetch(m, lines, address, READ_LATENCY)
        m.d.comb += [
            self.gradients.addr.eq(fetch.address),
            self.gradients.en.eq(~0),
            fetch.row.eq(self.gradients.data),
        ]
