"""gen.core.backward.front: events, values and weight columns of random gradients, against a plain
model.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.backward.front import BackwardFront
from backspike.gen.core.backward.loss import BACKWARD_HEADER
from backspike.gen.core.weights import VECTOR_LATENCY
from tests.support.batches import Batch, Work, check_variety
from tests.support.coroutines import each_coroutine
from tests.support.fronts import (
    DEPTH,
    LANES,
    MACHINE,
    WORD,
    FrontBench,
    Rows,
    Setting,
    Wanted,
    drawn_tasks,
)
from tests.support.streams import Memory

# cocotb


Fields = dict[str, int]


def configuration(
    rng, loss: int = 0, connections: int | None = None
) -> tuple[Fields, list[Fields]]:
    """A descriptor, and the records of its connections: a loss has none that matter."""
    tiles = rng.randint(1, 3)
    connections = connections or rng.choice([1, 1, 2, 3])
    config = {
        "tiles": tiles,
        "size": tiles * LANES,
        "record": rng.getrandbits(8),  # the loader's affair
        "connections": rng.randrange(4) if loss else connections,
        "output_base": rng.randrange(20),
        "loss": loss,
        "logits": rng.randrange(8),
        "integrate": 0 if loss else int(rng.random() < 0.3),
    }
    return config, [record(rng, tiles) for _ in range(connections)]


def record(rng, tiles: int) -> Fields:
    return {
        "next_tiles": rng.randint(1, 4),
        "next_base": 20 + rng.randrange(20),
        "next_source_tiles": tiles + rng.randrange(2),
        "next_weights": rng.randrange(50),
        "diagonal": int(rng.random() < 0.4),
        "delay": rng.randrange(2),
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


def wanted(
    setting: Setting, config: Fields, records: list[Fields], tasks: list[Work], memories: Memories
) -> Wanted:
    want, batch = Wanted(), setting.batch
    for work in tasks:
        tile = work.tile
        for at in work.order(batch, reverse=True):
            unit = config["output_base"] + tile * batch.blocks + at.block
            logits = config["logits"] + tile * batch.sets + at.set if config["loss"] else None
            want.headers.append({"base": unit, "tile": tile, "logits": logits,
                                 "place": work.place_of(at), **at.fields})  # fmt: skip
            if config["loss"]:
                continue
            needed = WORD if config["integrate"] else memories.active[unit]
            scanned = []
            for record in records:
                diagonal = record["diagonal"]
                block, void, _ = setting.before(at, record["delay"], reverse=True)
                for n in range(1 if diagonal else record["next_tiles"]):
                    source = tile if diagonal else n
                    above = record["next_base"] + source * batch.blocks + block
                    mask = memories.masks[above] & sum(needed << n * DEPTH for n in range(LANES))
                    rows = 0 if diagonal else n * record["next_source_tiles"] + tile
                    tag = (record["next_weights"] + rows, above)
                    scanned.append({"tile": 0 if void else mask, "tag": tag, "last": 0})
            scanned[-1]["last"] = 1
            want.scan(
                scanned,
                LANES,
                lambda tag, x: memories.columns[(tag[0] * LANES + x) % MACHINE.weight_rows],
                lambda tag, x, i: memories.gradients[tag[1] * DEPTH + i] >> 16 * x & WORD,
            )
    return want


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_gradients(dut, stall):
    """Headers, events, values and columns of random gradients equal plain loops, with stalls."""
    drawn: dict[int, list[Batch]] = {0: [], 1: []}  # for hidden layers, for read-outs
    kinds = set()
    for density in (0.05, 0.4):
        bench = FrontBench(dut, "bp", BACKWARD_HEADER, 1, stall)
        memories = Memories(bench, density)
        await bench.reset()
        for n in range(40):
            memories.masks.clear()
            memories.active.clear()
            setting, (config, records) = Setting.draw(bench.rng), configuration(bench.rng, n % 2)
            setting.drive(bench, config, records)
            drawn[config["loss"]].append(setting.batch)
            if not config["loss"]:
                kinds |= {(r["diagonal"], r["delay"], config["integrate"]) for r in records}
            tasks = drawn_tasks(bench.rng, config["tiles"], setting.batch)
            await bench.run(tasks, wanted(setting, config, records, tasks, memories))
    assert len(kinds) == 8
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
        config, (record,) = configuration(bench.rng, connections=1)
        record |= {"next_tiles": 8, "diagonal": 0, "delay": 0}
        setting.drive(bench, config, [record])
        tasks = [Work(tile) for tile in range(config["tiles"])]
        want = wanted(setting, config, [record], tasks, memories)
        took = await bench.run(tasks, want)
        limit = len(want.events) + want.empty + 18 + 4 * len(want.headers)
        assert took <= limit, f"{took} cycles for {len(want.events)} events, density {density}"


# Outside


@each_coroutine(__name__)
def test_backward_front(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (BackwardFront(MACHINE), "backward_front_bench"))
