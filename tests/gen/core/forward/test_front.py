"""gen.core.forward.front: events and weight rows of random spikes, against a plain model.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.forward.front import ForwardFront
from backspike.gen.core.layout import spike_bits
from backspike.gen.core.shared.source import HEADER
from backspike.gen.core.weights import VECTOR_LATENCY
from tests.support.batches import Batch, Place, Work, check_variety
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


def configuration(rng, connections: int | None = None) -> tuple[Fields, list[Fields]]:
    """A descriptor, and the records of its connections."""
    tiles = rng.randint(1, 3)
    connections = connections or rng.choice([1, 1, 2, 3])
    config = {
        "tiles": tiles,
        "size": tiles * LANES,
        "record": rng.getrandbits(8),  # the loader's affair
        "connections": connections,
        "output_base": rng.randrange(20),
        "readout": rng.randrange(2),
        "every": rng.randrange(2),
    }
    return config, [record(rng) for _ in range(connections)]


def record(rng) -> Fields:
    sources, bias = rng.randint(1, 11), rng.randrange(2)
    return {
        "source_tiles": -(-(sources + bias) // LANES),
        "sources": sources,
        "bias": bias,
        "source_base": rng.randrange(20),
        "weights": rng.randrange(200),
        "diagonal": int(rng.random() < 0.4),
        "delay": rng.randrange(2),
    }


def source_tile(setting: Setting, at: Place, record: Fields, source: int, spikes) -> int:
    """The bits that count of a tile of sources in a block."""
    batch = setting.batch
    block, void, buffer = setting.before(at, record["delay"])
    unit = record["source_base"] + source * batch.blocks + block
    row = spikes[buffer << spike_bits(MACHINE) | unit]
    bits = 0
    for lane in range(LANES):
        k = source * LANES + lane
        line = row >> lane * DEPTH & WORD if k < record["sources"] and not void else 0
        if record["bias"] and k == record["sources"]:
            line = WORD
        bits |= (line & batch.entries(at)) << lane * DEPTH
    return bits


def wanted(
    setting: Setting, config: Fields, records: list[Fields], tasks: list[Work], spikes, vector
) -> Wanted:
    want, batch = Wanted(), setting.batch
    for work in tasks:
        tile = work.tile
        for at in work.order(batch):
            # A read-out's logits, if they are those of the last step, lie by tile and set.
            base = config["output_base"] + tile * batch.blocks + at.block
            if config["readout"] and not config["every"]:
                base = config["output_base"] + tile * batch.sets + at.set
            place = work.place_of(at)
            want.headers.append({"base": base, "tile": tile, "place": place, **at.fields})
            scanned = []
            for record in records:
                diagonal = record["diagonal"]
                for n in range(1 if diagonal else record["source_tiles"]):
                    bits = source_tile(setting, at, record, tile if diagonal else n, spikes)
                    rows = 0 if diagonal else tile * record["source_tiles"] + n
                    scanned.append({"tile": bits, "tag": record["weights"] + rows, "last": 0})
            scanned[-1]["last"] = 1

            def row_of(block, lane):
                return vector((block * LANES + lane) % MACHINE.weight_rows)

            want.scan(scanned, LANES, row_of)
    return want


def begin(dut, seed: int, stall: float, refuse: float, density: float):
    bench = FrontBench(dut, "fp", HEADER, seed, stall)
    spikes = Rows(bench.rng, LANES * DEPTH, density)
    weights = Rows(bench.rng, LANES * 16)

    def vector(address: int) -> int:
        return weights[address]

    bench.read_port("spikes", spikes)
    bench.add(Memory(bench, dut.row__address, dut.row__vector, vector, VECTOR_LATENCY,
                     (dut.row__valid, dut.row__grant, refuse)))  # fmt: skip
    return bench, spikes, vector


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.3, 0.3)])
async def random_spikes(dut, stalls):
    """Headers, events and weight rows of random spikes equal plain loops, with stalls."""
    drawn: dict[int, list[Batch]] = {0: [], 1: []}  # for hidden layers, for read-outs
    kinds = set()
    for density in (0.05, 0.4):
        bench, spikes, vector = begin(dut, 1, *stalls, density)
        await bench.reset()
        for _ in range(40):
            spikes.clear()
            setting, (config, records) = Setting.draw(bench.rng), configuration(bench.rng)
            setting.drive(bench, config, records)
            drawn[config["readout"]].append(setting.batch)
            kinds |= {(r["diagonal"], r["delay"], setting.carry, r["bias"]) for r in records}
            tasks = drawn_tasks(bench.rng, config["tiles"], setting.batch)
            await bench.run(tasks, wanted(setting, config, records, tasks, spikes, vector))
    assert len(kinds) == 16
    for batches in drawn.values():
        check_variety(batches)


@cocotb.test()
async def one_event_a_cycle(dut):
    """Blocks follow each other with a few cycles' pause at the most."""
    for density in (0.25, 0.5, 1.0):
        bench, spikes, vector = begin(dut, 2, 0.0, 0.0, density)
        await bench.reset()
        setting = Setting(Batch(4, 4, 4, 3, 1, 1, 0), 1)
        config, (record,) = configuration(bench.rng, 1)
        record |= {"sources": 30, "bias": 1, "source_tiles": 8, "diagonal": 0, "delay": 0}
        setting.drive(bench, config, [record])
        tasks = [Work(tile) for tile in range(config["tiles"])]
        want = wanted(setting, config, [record], tasks, spikes, vector)
        took = await bench.run(tasks, want)
        limit = len(want.events) + want.empty + 15 + 4 * len(want.headers)
        assert took <= limit, f"{took} cycles for {len(want.events)} events, density {density}"


# Outside


@each_coroutine(__name__)
def test_forward_front(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (ForwardFront(MACHINE), "forward_front_bench"))
