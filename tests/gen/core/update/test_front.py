"""gen.core.update.front: events and gradient rows of random spikes, against a plain model.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.layout import spike_bits
from backspike.gen.core.update.front import UpdateFront, rows_header
from tests.support.batches import Batch, Work, check_variety
from tests.support.coroutines import each_coroutine
from tests.support.fronts import (
    DEPTH,
    LANES,
    MACHINE,
    FrontBench,
    Rows,
    Setting,
    Wanted,
    drawn_tasks,
)

PARTS = DEPTH // LANES

# cocotb


def configuration(rng, sources: int | None = None) -> dict[str, int]:
    bias, tiles = rng.randrange(2), rng.randint(1, 3)
    sources = sources or rng.randint(1, 40)
    return {
        "tiles": tiles,
        "source_tiles": -(-(sources + bias) // LANES),
        "sources": sources,
        "bias": bias,
        "source_base": rng.randrange(20),
        "gradient_base": rng.randrange(40),
        "weights": rng.randrange(60),
        "delay": rng.randrange(2),
    }


def wanted(setting: Setting, config: dict[str, int], tasks: list[Work], memories) -> Wanted:
    want, batch = Wanted(), setting.batch
    spikes, masks, gradients = memories
    for tile in (work.tile for work in tasks):
        for first in range(0, config["source_tiles"], PARTS):
            want.headers.append({
                "row": config["weights"] + tile * config["source_tiles"] + first,
                "source": first * LANES,
                "tiles": (1 << min(PARTS, config["source_tiles"] - first)) - 1,
                "tile": tile,
                "last": int(first + PARTS >= config["source_tiles"]),
            })  # fmt: skip
            scanned = []
            for at in batch.order():
                unit = config["gradient_base"] + tile * batch.blocks + at.block
                block, void, buffer = setting.before(at, config["delay"])
                bits, known = 0, 0 if void else config["sources"]
                for n in range(DEPTH):  # sources
                    k = first * LANES + n
                    spike_unit = config["source_base"] + k // LANES * batch.blocks + block
                    spike_unit %= 1 << spike_bits(MACHINE)
                    row = spikes[buffer << spike_bits(MACHINE) | spike_unit]
                    for d in range(DEPTH):
                        spike = row >> k % LANES * DEPTH + d & 1 if k < known else 0
                        spike |= config["bias"] and k == config["sources"]
                        filled = any(masks[unit] >> lane * DEPTH + d & 1 for lane in range(LANES))
                        present = batch.entries(at) >> d & 1
                        bits |= int(spike and filled and present) << d * DEPTH + n
                scanned.append({"tile": bits, "tag": unit, "last": at.last})
            want.scan(scanned, DEPTH, lambda unit, d: gradients[unit * DEPTH + d])
    return want


def begin(dut, seed: int, stall: float, density: float):
    bench = FrontBench(dut, "wg", rows_header(LANES), seed, stall)
    memories = (
        Rows(bench.rng, LANES * DEPTH, density),
        Rows(bench.rng, LANES * DEPTH, density),
        Rows(bench.rng, LANES * 16),
    )
    for name, rows in zip(("spikes", "masks", "gradients"), memories, strict=True):
        bench.read_port(name, rows)
    return bench, memories


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def random_spikes(dut, stall):
    """Headers, events and gradient rows of random spikes equal plain loops, with stalls."""
    drawn, late = [], set()
    for density in (0.1, 0.5):
        bench, memories = begin(dut, 1, stall, density)
        await bench.reset()
        for _ in range(40):
            for rows in memories[:2]:
                rows.clear()
            setting, config = Setting.draw(bench.rng), configuration(bench.rng)
            setting.drive(bench, config)
            drawn.append(setting.batch)
            late.add((config["delay"], setting.carry, config["bias"]))
            tasks = drawn_tasks(bench.rng, config["tiles"], setting.batch)
            await bench.run(tasks, wanted(setting, config, tasks, memories))
    check_variety(drawn)
    assert len(late) == 8


@cocotb.test()
async def one_event_a_cycle(dut):
    """Blocks of sources follow each other with a few cycles' pause at the most."""
    for density in (0.25, 0.5, 1.0):
        bench, memories = begin(dut, 2, 0.0, density)
        await bench.reset()
        setting = Setting(Batch(4, 4, 4, 3, 1, 1, 0), 1)
        config = configuration(bench.rng, 32) | {"delay": 0}
        setting.drive(bench, config)
        tasks = [Work(tile) for tile in range(config["tiles"])]
        want = wanted(setting, config, tasks, memories)
        took = await bench.run(tasks, want)
        limit = len(want.events) + PARTS * want.empty + 22 + 4 * len(want.headers)
        assert took <= limit, f"{took} cycles for {len(want.events)} events, density {density}"


# Outside


@each_coroutine(__name__)
def test_update_front(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (UpdateFront(MACHINE), "update_front_bench"))
