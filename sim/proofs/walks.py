"""The walk through a task: headers and steps in order, each with its own addresses."""

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import enum

from backspike.gen.core.layout import BLOCK_BITS, TILE_BITS, TILES_BITS
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.proof import Bug, Load, Proof

BITS = 3
"""Bits of addresses. A sum or product depends on no higher bits of its operands than its own."""
GROUP = 2
WALK = "core.shared.walk"


class Due(enum.Enum, shape=2):
    """What comes next."""

    TASK = 0
    HEADER = 1
    STEP = 2


def walk(load: Load, group: int) -> Bench:
    """What comes next is counted by plain loops, and every address is the one of the formula."""
    bench = Bench()
    module = load(WALK)
    constant = ("batch", "base_first", "source_first", "source_tiles", "weights", "tile_rows",
                "source_rows", "skip")  # fmt: skip
    walker = module.TileWalk(sources=BITS, bases=BITS, rows=BITS, group=group)
    inside = bench.device(walker, "walk", wired=constant)
    device, m = inside.component, bench.module
    values = {}
    for name in constant[1:]:
        values[name] = bench.constant(len(getattr(device, name)), name)
        m.d.comb += getattr(device, name).eq(values[name])
    blocks = bench.constant(BLOCK_BITS, "blocks")
    m.d.comb += device.batch.blocks.eq(blocks)
    tiles = values["source_tiles"]
    bench.given((blocks != 0) & (tiles != 0) & (tiles <= 1 << TILE_BITS))
    bench.kept(device.o_headers)
    bench.kept(device.o)

    due = Signal(Due, name="due")
    tile, block = Signal(TILE_BITS, name="tile"), Signal(BLOCK_BITS, name="block")
    first, part = Signal(TILES_BITS, name="first"), Signal(2, name="part")
    source = (first + part)[:TILES_BITS]
    block_end = block == blocks - 1
    source_end = (first + group >= tiles) if group else (first == tiles - 1)
    begins = device.i.valid & device.i.ready
    headed = device.o_headers.valid & device.o_headers.ready
    stepped = device.o.valid & device.o.ready
    with m.If(begins):
        m.d.sync += [due.eq(Due.HEADER), tile.eq(device.i.payload)]
        m.d.sync += [block.eq(0), first.eq(0), part.eq(0)]
    with m.If(headed):
        m.d.sync += due.eq(Due.STEP)
        if not group:
            with m.If(values["skip"]):
                m.d.sync += [due.eq(Mux(block_end, Due.TASK, Due.HEADER)), block.eq(block + 1)]
    with m.If(stepped):
        if group:
            m.d.sync += part.eq(part + 1)
            with m.If(part == group - 1):
                m.d.sync += [part.eq(0), block.eq(block + 1)]
                with m.If(block_end):
                    m.d.sync += [block.eq(0), first.eq(first + group)]
                    m.d.sync += due.eq(Mux(source_end, Due.TASK, Due.HEADER))
        else:
            m.d.sync += first.eq(first + 1)
            with m.If(source_end):
                m.d.sync += [first.eq(0), block.eq(block + 1)]
                m.d.sync += due.eq(Mux(block_end, Due.TASK, Due.HEADER))

    # What is said of each header and step.
    base = (values["base_first"] + tile * blocks + block)[:BITS]
    source_base = (values["source_first"] + source * blocks + block)[:BITS]
    row_first = (values["weights"] + tile * values["tile_rows"])[:BITS]
    row = (row_first + source * values["source_rows"])[:BITS]
    header, step = device.o_headers.payload, device.o.payload
    bench.always(~begins | (due == Due.TASK))
    with m.If(device.o_headers.valid):
        bench.always((due == Due.HEADER) & (header.tile == tile) & (header.source == first))
        bench.always(header.last == (source_end if group else block_end))
        if group:
            bench.always(header.row == row)
        else:
            bench.always((header.base == base) & (header.block == block))
    with m.If(device.o.valid):
        bench.always((due == Due.STEP) & (step.source == source) & (step.block == block))
        bench.always((step.base == base) & (step.source_base == source_base))
        bench.always(step.last == (block_end if group else source_end))
        if group:
            bench.always(step.group_last == (part == group - 1))
        else:
            bench.always(step.row == row)

    # How the registers belong together.
    in_task = ~inside.state("IDLE")
    bench.always(Value.cast(due) <= Due.STEP.value)
    bench.always(in_task == (due != Due.TASK))
    bench.always(inside.state("STEPS") == (due == Due.STEP))
    with m.If(in_task):
        bench.always((inside["source_limit"] == tiles - 1) & (inside["block_limit"] == blocks - 1))
        bench.always((inside["tile"] == tile) & (inside["block"] == block) & (block < blocks))
        bench.always((inside["source"] == first) & (first < tiles))
    with m.If(inside.state("ADD")):
        bench.always(inside["tile_bases"] == (tile * blocks)[:BITS])
        bench.always(inside["tile_rows"] == (tile * values["tile_rows"])[:BITS])
    with m.If(inside.state("MULTIPLY", "ADD")):
        bench.always((block == 0) & (first == 0) & (part == 0))
    with m.If(inside.state("HEADER", "STEPS")):
        first_rows = first * values["source_rows"] if group else 0
        first_bases = first * blocks if group else 0
        bench.always(inside["base"] == (values["base_first"] + tile * blocks)[:BITS])
        bench.always(inside["row_first"] == (row_first + first_rows)[:BITS])
        bench.always(inside["source_first"] == (values["source_first"] + first_bases)[:BITS])
    with m.If(inside.state("HEADER")):
        bench.always((part == 0) & (block == 0 if group else first == 0))
    with m.If(inside.state("STEPS")):
        bench.always(inside["source_base"] == source_base)
        bench.always(inside["part"] == part if group else inside["row"] == row)
    bench.always(part <= max(0, group - 1))
    bench.possible(stepped & (tile == 2) & (block == 1) & (source == 1))
    bench.possible(headed & (first == 2) if group else headed & (block == 2))
    return bench


PROOFS = (
    Proof(
        name="walk-blocks",
        claim="a task's headers, one a block, each with a step for every source tile behind it, in "
        "order and with their own addresses",
        bench=lambda load: walk(load, 0),
        depth=2,
        search=14,
        bugs=(
            Bug(
                "a block's sources are those of the first",
                WALK,
                "source_base.eq(source_first + block), row",
                "source_base.eq(source_first), row",
            ),
            Bug(
                "a column of weights has no stride",
                WALK,
                "row.eq(row + self.source_rows)",
                "row.eq(row + 1)",
            ),
        ),
    ),
    Proof(
        name="walk-groups",
        claim="a task's headers, one a group of source tiles, each with a step for every tile in "
        "every block behind it, in order and with their own addresses",
        bench=lambda load: walk(load, GROUP),
        depth=2,
        search=16,
        bugs=(
            Bug(
                "a group's tiles are those of the first group",
                WALK,
                "m.d.sync += source_first.eq(source_first + blocks * group)",
                "pass",
            ),
            Bug(
                "a block's tiles are those of the block before",
                WALK,
                "source_base.eq(source_first + block + 1)",
                "source_base.eq(source_first + block)",
            ),
        ),
    ),
)
