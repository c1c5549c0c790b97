"""Random descriptors and records of connections about a machine's limits, and what is wrong with
them."""

import random
from dataclasses import dataclass

from backspike.gen.core.faults import Fault
from backspike.gen.core.layout import BATCH, CONNECTIONS
from backspike.gen.machine import Machine
from tests.support.kinds import KINDS
from tests.support.streams import packed

MACHINE = Machine(name="bench", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=256,
                  units=32, spike_units=64, readout_units=16, layers=8, tasks=64,
                  gradient_units=28)  # fmt: skip
WEIGHT_BLOCKS = MACHINE.weight_rows // MACHINE.lanes


@dataclass(frozen=True)
class Cut:
    """Sets and spans of a batch."""

    sets: int
    spans: int

    @property
    def blocks(self) -> int:
        return self.sets * self.spans

    def port(self) -> int:
        """BATCH."""
        return packed(BATCH).pack(steps=2, last_steps=1, samples=2, sets=self.sets,
                                  spans=self.spans, blocks=self.blocks)  # fmt: skip


Layer = tuple[dict[str, int], list[dict[str, int]]]
"""A descriptor, and the records of its connections."""


def beyond(first: int, count: int, limit: int) -> bool:
    return first + count > limit


def own_fault(engine: str, config: dict[str, int], cut: Cut) -> Fault:
    """What is wrong with a descriptor alone."""
    tiles = config["tiles"] * cut.blocks
    gradients = engine != "fp" and beyond(config["gradient_base"], tiles, MACHINE.gradients)
    if engine == "wg":
        sources = config["source_tiles"] * cut.blocks
        if not sources or beyond(config["source_base"], sources, MACHINE.spike_units):
            return Fault.UNITS
        if beyond(config["weights"], config["tiles"] * config["source_tiles"], WEIGHT_BLOCKS):
            return Fault.WEIGHTS
        return Fault.UNITS if gradients else Fault.NONE
    if gradients:
        return Fault.UNITS
    if not (0 if config.get("loss") else 1) <= config["connections"] <= CONNECTIONS:
        return Fault.UNITS
    limit = MACHINE.units
    if config.get("readout"):
        tiles = config["tiles"] * (cut.blocks if config["every"] else cut.sets)
        limit = MACHINE.readout_units
    read_out = engine == "bp" and (config["loss"] or config["integrate"])
    if not read_out and beyond(config["output_base"], tiles, limit):
        return Fault.UNITS
    if config.get("loss") and beyond(
        config["logits"], config["tiles"] * cut.sets, MACHINE.readout_units
    ):
        return Fault.UNITS
    return Fault.NONE


def record_fault(engine: str, config: dict[str, int], record: dict[str, int], cut: Cut) -> Fault:
    """What is wrong with one of its connections."""
    diagonal, tiles = record["diagonal"], config["tiles"]
    if engine == "fp":
        sources, first, limit = "source_tiles", "source_base", MACHINE.spike_units
        weights = beyond(record["weights"], tiles * record["source_tiles"], WEIGHT_BLOCKS)
        one = beyond(record["weights"], 1, WEIGHT_BLOCKS)
    else:
        sources, first, limit = "next_tiles", "next_base", MACHINE.gradients
        needs = record["next_tiles"] * record["next_source_tiles"]
        weights = tiles > record["next_source_tiles"]
        weights |= beyond(record["next_weights"], needs, WEIGHT_BLOCKS)
        one = beyond(record["next_weights"], 1, WEIGHT_BLOCKS)
    if config.get("loss"):
        return Fault.NONE
    read = tiles if diagonal else record[sources]
    if not read or beyond(record[first], read * cut.blocks, limit):
        return Fault.UNITS
    return Fault.WEIGHTS if (one if diagonal else weights) else Fault.NONE


def fault_of(engine: str, layer: Layer, cut: Cut, task: dict[str, int]) -> Fault:
    """What is wrong with a task of a layer that there is."""
    config, records = layer
    found = [own_fault(engine, config, cut)]
    found += [record_fault(engine, config, record, cut) for record in records]
    if engine != "wg":
        first = "source_tiles" if engine == "fp" else "next_tiles"
        tiles = sum(1 if record["diagonal"] else record[first] for record in records)
        room = MACHINE.spike_units if engine == "fp" else MACHINE.gradients
        found.append(Fault.TERMS if tiles > room else Fault.NONE)
    found.append(Fault.TILE if task["tile"] >= config["tiles"] else Fault.NONE)
    return next((fault for fault in found if fault != Fault.NONE), Fault.NONE)


@dataclass
class Drawing:
    """Draws layers of an engine; tight: about the machine's limits, else well within."""

    rng: random.Random
    engine: str
    blocks: int
    tight: bool

    def layers(self, count: int) -> list[Layer]:
        """So many, whose records follow each other."""
        kind, found = KINDS[self.engine], []
        place = self.rng.randrange(7)  # of the next record: there is room for 32
        for n in range(count):
            config = {f.name: self.rng.getrandbits(f.width) for f in kind.fields.values()}
            config |= {"tiles": self.rng.randint(1, 3), "size": self.rng.randint(1, 6)}
            records = []
            if self.engine == "wg":
                config |= self._source(config["tiles"])
            else:
                few = self.rng.choice([1, 2, 3])
                wrong = self.tight and self.rng.random() < 0.1
                if wrong:
                    few = self.rng.choice([0, CONNECTIONS + 1, 31])
                elif n == 0 and self.blocks == 1:
                    few = CONNECTIONS
                limit = MACHINE.readout_units if config.get("readout") else MACHINE.units
                config["output_base"] = self._base(config["tiles"] * self.blocks, limit)
                config |= {"connections": few, "record": place}
                records = [self._record(config) for _ in range(few if few <= CONNECTIONS else 0)]
                if few == CONNECTIONS and self.tight:
                    self._fill(config, records)
                place += len(records)
            if "gradient_base" in config:
                tiles = config["tiles"] * self.blocks
                config["gradient_base"] = self._base(tiles, MACHINE.gradients)
            if "logits" in config:
                config["logits"] = self._base(config["tiles"], MACHINE.readout_units // 2)
            config = {name: config[name] for name in kind.fields}
            found.append((config, records))
        return found

    def _base(self, count: int, limit: int) -> int:
        few = self.rng.choice([0, 0, 0, 1]) if self.tight else -self.rng.randrange(10)
        return max(0, limit - count + few)

    def _tiles(self) -> int:
        return 0 if self.tight and self.rng.random() < 0.1 else self.rng.randint(1, 2)

    def _source(self, tiles: int) -> dict[str, int]:
        source_tiles = self._tiles()
        return {
            "source_tiles": source_tiles,
            "sources": self.rng.randint(1, 6),
            "source_base": self._base(source_tiles * self.blocks, MACHINE.spike_units),
            "weights": self._base(tiles * source_tiles, WEIGHT_BLOCKS),
        }

    def _record(self, config: dict[str, int]) -> dict[str, int]:
        rng, kind = self.rng, KINDS[self.engine]
        record = {f.name: rng.getrandbits(f.width) for f in kind.record_fields.values()}
        record["diagonal"] = int(rng.random() < 0.3)
        if self.engine == "fp":
            return record | self._source(config["tiles"])
        tiles = self._tiles()
        wrong = self.tight and rng.random() < 0.1
        rows = config["tiles"] + (-1 if wrong else rng.randrange(2))
        return record | {
            "next_tiles": tiles,
            "next_source_tiles": rows,
            "next_base": self._base(tiles * self.blocks, MACHINE.gradients),
            "next_weights": self._base(tiles * rows, WEIGHT_BLOCKS),
        }

    def _fill(self, config: dict[str, int], records: list[dict[str, int]]) -> None:
        """In all as many tiles as a sum has room for, or one more, and nothing else is wrong."""
        room = MACHINE.spike_units if self.engine == "fp" else MACHINE.gradients
        first = next(iter(KINDS[self.engine].record_fields))
        left = room + self.rng.randint(0, 1)
        for n, record in enumerate(records):
            left -= 0 if n == len(records) - 1 else 1
            zeros = ("source_base", "next_base", "weights", "next_weights")
            record |= dict.fromkeys(set(record) & set(zeros), 0)
            # Of a diagonal connection one tile is read, whatever it has.
            record[first] = left if n == len(records) - 1 else 3 if record["diagonal"] else 1
            if self.engine == "bp":
                record["next_source_tiles"] = config["tiles"]
        records[-1]["diagonal"] = 0
