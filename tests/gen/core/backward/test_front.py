"""gen.core.backward.front: events, values and weight columns of random gradients, against a plain
model.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.backward.front import BackwardFront
from backspike.gen.core.backward.loss import BACKWARD_HEADER
from backspike.gen.core.weights import VECTOR_LATENCY
from tests.support.batches import Batch, check_variety
from tests.support.coroutines import each_coroutine
from tests.support.fronts import DEPTH, LANES, MACHINE, WORD, FrontBench, Rows, Setting, Wanted
from tests.support.streams import Memory

# cocotb


def configuration(rng, loss: int = 0) -> dict[str, int]:
    tiles, after = rng.randint(1, 3), rng.randint(1, 4)
    return {
        "tiles": tiles,
        "size": tiles * LANES,
        "output_base": rng.randrange(20),
        "loss": loss,
        "next_tiles": after,
        "next_base": 20 + rng.randrange(20),
        "next_source_tiles": tiles + rng.randrange(2),
        "next_weights": rng.randrange(50),
    }


class Memories:
    """Masks, active entries, gradients and weight columns."""

    def __init__(self, bench: FrontBench, density: float):
        self.masks = Rows(bench.rng, LANES * DEPTH, density)
        self.active = Rows(bench.rng, DEPTH, 0.7)
        self.gradients = Rows(bench.rng, LANES * 16)
        self.columns = Rows(bench.rng, LANES * 16)
        dut = bench.dut
        for name in ("masks", "active", "gradients"):
            bench.read_port(name, getattr(self, name))

        column = self.columns.__getitem__
        dut.column__grant.value = 1
        bench.add(Memory(bench, dut.column__address, dut.column__vector, column, VECTOR_LATENCY))


def wanted(setting: Setting, config: dict[str, int], tiles: list[int], memories) -> Wanted:
    want, batch = Wanted(), setting.batch
    after = config["next_tiles"]
    for tile in tiles:
        for at in batch.order(reverse=True):
            unit = config["output_base"] + tile * batch.blocks + at.block
            logits = tile * batch.sets + at.set if config["loss"] else None
            want.headers.append({"base": unit, "tile": tile, "logits": logits, **at.fields})
            if config["loss"]:
                continue
            needed = memories.active[unit]
            scanned = []
            for source in range(after):
                above = config["next_base"] + source * batch.blocks + at.block
                mask = memories.masks[above] & sum(needed << n * DEPTH for n in range(LANES))
                scanned.append(
                    {"tile": mask, "tag": (source, above), "last": int(source == after - 1)}
                )

            def column(tag, x, tile=tile):
                block = config["next_weights"] + tag[0] * config["next_source_tiles"] + tile
                return memories.columns[(block * LANES + x) % MACHINE.weight_rows]

            want.scan(
                scanned,
                LANES,
                column,
                lambda tag, x, i: memories.gradients[tag[1] * DEPTH + i] >> 16 * x & WORD,
            )
    return want


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_gradients(dut, stall):
    """Headers, events, values and columns of random gradients equal plain loops, with stalls."""
    drawn: dict[int, list[Batch]] = {0: [], 1: []}  # for hidden layers, for read-outs
    for density in (0.05, 0.4):
        bench = FrontBench(dut, "bp", BACKWARD_HEADER, 1, stall)
        memories = Memories(bench, density)
        await bench.reset()
        for n in range(40):
            memories.masks.clear()
            memories.active.clear()
            setting, config = Setting.draw(bench.rng), configuration(bench.rng, n % 2)
            setting.drive(dut, "bp", config)
            drawn[config["loss"]].append(setting.batch)
            tiles = bench.rng.sample(range(config["tiles"]), config["tiles"])
            await bench.run(tiles, wanted(setting, config, tiles, memories))
    for batches in drawn.values():
        check_variety(batches)


@cocotb.test()
async def one_event_a_cycle(dut):
    """Blocks follow each other with a few cycles' pause at the most."""
    for density in (0.25, 0.5, 1.0):
        bench = FrontBench(dut, "bp", BACKWARD_HEADER, 2, 0.0)
        memories = Memories(bench, density)
        await bench.reset()
        setting = Setting(Batch(4, 4, 4, 2, 1, 1, 0), 1)
        config = configuration(bench.rng) | {"next_tiles": 8}
        setting.drive(dut, "bp", config)
        tiles = list(range(config["tiles"]))
        want = wanted(setting, config, tiles, memories)
        took = await bench.run(tiles, want)
        limit = len(want.events) + want.empty + 18 + 4 * len(want.headers)
        assert took <= limit, f"{took} cycles for {len(want.events)} events, density {density}"


# Outside


@each_coroutine(__name__)
def test_backward_front(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (BackwardFront(MACHINE), "backward_front_bench"))
