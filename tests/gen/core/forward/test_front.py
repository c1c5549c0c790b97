"""gen.core.forward.front: events and weight rows of random spikes, against a plain model.

The coroutines below `# cocotb` run inside the simulation, the tests outside.
"""

import cocotb

from backspike.gen.core.forward.front import ForwardFront
from backspike.gen.core.layout import spike_bits
from backspike.gen.core.shared.source import HEADER
from backspike.gen.core.weights import VECTOR_LATENCY
from tests.support.batches import Batch, check_variety
from tests.support.coroutines import each_coroutine
from tests.support.fronts import DEPTH, LANES, MACHINE, WORD, FrontBench, Rows, Setting, Wanted
from tests.support.streams import Memory

# cocotb


def configuration(rng) -> dict[str, int]:
    sources, bias, tiles = rng.randint(1, 11), rng.randrange(2), rng.randint(1, 3)
    return {
        "tiles": tiles,
        "size": tiles * LANES,
        "source_tiles": -(-(sources + bias) // LANES),
        "sources": sources,
        "bias": bias,
        "source_base": rng.randrange(20),
        "output_base": rng.randrange(20),
        "weights": rng.randrange(200),
        "readout": rng.randrange(2),
    }


def wanted(setting: Setting, config: dict[str, int], tiles: list[int], spikes, vector) -> Wanted:
    want, batch = Wanted(), setting.batch
    for tile in tiles:
        for at in batch.order():
            # A read-out's logits, which are those of the last step, lie by tile and set.
            base = config["output_base"] + tile * batch.blocks + at.block
            if config["readout"]:
                base = tile * batch.sets + at.set
            want.headers.append({"base": base, "tile": tile, **at.fields})
            scanned = []
            for source in range(config["source_tiles"]):
                unit = config["source_base"] + source * batch.blocks + at.block
                row = spikes[setting.buffer << spike_bits(MACHINE) | unit]
                bits = 0
                for lane in range(LANES):
                    k = source * LANES + lane
                    line = row >> lane * DEPTH & WORD if k < config["sources"] else 0
                    if config["bias"] and k == config["sources"]:
                        line = WORD
                    bits |= (line & batch.entries(at)) << lane * DEPTH
                scanned.append({"tile": bits, "tag": (tile, source),
                                "last": int(source == config["source_tiles"] - 1)})  # fmt: skip

            def row_of(tag, lane):
                block = config["weights"] + tag[0] * config["source_tiles"] + tag[1]
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
    for density in (0.05, 0.4):
        bench, spikes, vector = begin(dut, 1, *stalls, density)
        await bench.reset()
        for _ in range(40):
            spikes.clear()
            setting, config = Setting.draw(bench.rng), configuration(bench.rng)
            setting.drive(dut, "fp", config)
            drawn[config["readout"]].append(setting.batch)
            tiles = bench.rng.sample(range(config["tiles"]), config["tiles"])
            await bench.run(tiles, wanted(setting, config, tiles, spikes, vector))
    for batches in drawn.values():
        check_variety(batches)


@cocotb.test()
async def one_event_a_cycle(dut):
    """Blocks follow each other with a few cycles' pause at the most."""
    for density in (0.25, 0.5, 1.0):
        bench, spikes, vector = begin(dut, 2, 0.0, 0.0, density)
        await bench.reset()
        setting = Setting(Batch(4, 4, 4, 3, 1, 1, 0), 1)
        config = configuration(bench.rng) | {"sources": 30, "bias": 1, "source_tiles": 8}
        setting.drive(dut, "fp", config)
        tiles = list(range(config["tiles"]))
        want = wanted(setting, config, tiles, spikes, vector)
        took = await bench.run(tiles, want)
        limit = len(want.events) + want.empty + 15 + 4 * len(want.headers)
        assert took <= limit, f"{took} cycles for {len(want.events)} events, density {density}"


# Outside


@each_coroutine(__name__)
def test_forward_front(simulated):
    """The coroutine holds on the simulated component."""
    simulated(lambda: (ForwardFront(MACHINE), "forward_front_bench"))
