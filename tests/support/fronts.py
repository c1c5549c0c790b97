"""What benches of the engines' fronts share: random settings, and what must come out."""

import random
from collections import deque
from dataclasses import dataclass, field

from backspike.gen.core.shared.events import event_layout
from backspike.gen.machine import DEPTH, Machine
from tests.support.batches import Batch, Place, Work
from tests.support.kinds import KINDS
from tests.support.streams import Bench, StallingMemory, packed
from tests.support.tiles import events_of, lines_of, same_fields

MACHINE = Machine(name="bench", lanes=4, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=512,
                  units=128, spike_units=128, readout_units=32, layers=2, tasks=16)  # fmt: skip
LANES = MACHINE.lanes
WORD = (1 << DEPTH) - 1


@dataclass
class Setting:
    """A batch, which half of the spike memory it lies in, and whether it goes on with the samples
    of the one before."""

    batch: Batch
    buffer: int
    carry: int = 0

    @classmethod
    def draw(cls, rng: random.Random) -> "Setting":
        return cls(Batch.draw(rng), rng.randrange(2), rng.randrange(2))

    def drive(
        self, bench: "FrontBench", config: dict[str, int], records: list[dict[str, int]] = ()
    ) -> None:
        dut, kind = bench.dut, KINDS[bench.engine]
        dut.batch.value = self.batch.batch_port()
        if bench.engine != "bp":
            dut.extent.value = self.batch.extent_port()
            dut.buffer.value, dut.carry.value = self.buffer, self.carry
        dut.config.value = packed(kind.config).pack(config)
        if kind.record_fields:
            layout = packed(kind.record)
            bench.records = [layout.pack(record) for record in records]

    def before(self, at: Place, delay: int, reverse: bool = False) -> tuple[int, bool, int]:
        """(block that a step's sources are in, whether there is none, which half they are in)."""
        if not delay or not (at.tail if reverse else at.head):
            return at.block + (delay if reverse else -delay), False, self.buffer
        if self.carry and not reverse:
            return at.set * self.batch.spans + self.batch.spans - 1, False, 1 - self.buffer
        return at.block, True, self.buffer


@dataclass
class Wanted:
    """What a front must give: headers, events (with `value` for bp) and vectors."""

    headers: list[dict] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)
    vectors: list[int] = field(default_factory=list)
    empty: int = 0  # tiles without events

    def scan(self, tiles: list[dict], lines: int, vector, value=None) -> None:
        """Adds the tiles' events; vector(tag, x) and value(tag, x, i) look up what goes with them.

        tiles: {tile, tag, last}, lines of DEPTH bits.
        """
        picked = lines_of(tiles, lines, DEPTH)
        self.vectors += [vector(line["tag"], line["x"]) for line in picked if line["word"]]
        self.empty += sum(not tile["tile"] for tile in tiles)
        for event in events_of(picked):
            tag = event.pop("tag")
            if value is not None:
                event["value"] = value(tag, event["x"], event["i"]) if event["hit"] else None
            self.events.append(event)


class Rows(dict):
    """A memory of random rows, made when they are first read. density: of bits, if it is one of
    masks."""

    def __init__(self, rng: random.Random, width: int, density: float | None = None):
        super().__init__()
        self._rng, self._width, self._density = rng, width, density

    def __missing__(self, address: int) -> int:
        if self._density is None:
            row = self._rng.getrandbits(self._width)
        else:
            chosen = self._rng.choice([0.0, self._density, self._density])
            row = sum((self._rng.random() < chosen) << n for n in range(self._width))
        self[address] = row
        return row


def drawn_tasks(rng: random.Random, tiles: int, batch: Batch) -> list[Work]:
    """A task for each tile, in any order."""
    return [Work.draw(rng, tile, batch) for tile in rng.sample(range(tiles), tiles)]


class FrontBench(Bench):
    """A front with its streams; memories are added by its user."""

    def __init__(self, dut, engine: str, header, seed: int, stall: float):
        super().__init__(dut, seed)
        self.engine = engine
        lines = DEPTH if engine == "wg" else LANES
        self._event = packed(event_layout(lines, DEPTH, 0))
        self.tasks = self.source("i")
        self.headers = self.sink("o_headers", header, stall)
        self.events = self.sink("o_events", stall=stall)
        self.vectors = self.sink("o_vectors", stall=stall)
        self.records: list[int] = []  # of connections; what is not there is noise
        if KINDS[engine].record_fields:
            self.responders.append(self)
        self.add(self)

    def respond(self) -> None:
        asked, port = int(self.dut.connection.value), self.dut.record
        noise = random.Random(asked).getrandbits(len(port))
        port.value = self.records[asked] if asked < len(self.records) else noise

    def read_port(self, name: str, rows: dict) -> None:
        port = (getattr(self.dut, f"{name}__{part}") for part in ("addr", "en", "data"))
        self.add(StallingMemory(self, *port, rows.__getitem__))

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        """A block's header comes before its events."""
        ends = sum(self._event.unpack(bits)["end"] for bits in self.events.got[-1:])
        begun = self._sums + ends
        if len(self.events.got) > self._seen:
            self._seen = len(self.events.got)
            self._sums = begun
            assert begun - ends < len(self.headers.got), "an event came before its header"

    _seen = 0
    _sums = 0

    async def run(self, tasks: list[Work], want: Wanted, limit: int = 20_000) -> int:
        """Works on these tasks and compares; returns the cycles from the first task to the last
        event."""
        for stream in (self.headers, self.events, self.vectors):
            stream.got.clear()
        self._seen = self._sums = 0
        await self.tick(2)  # the batch is there before a task
        begin = self.cycle
        self.tasks.queue = deque(work.port() for work in tasks)
        await self.until(
            lambda: (
                len(self.headers.got) >= len(want.headers)
                and len(self.events.got) >= len(want.events)
                and len(self.vectors.got) >= len(want.vectors)
            ),
            limit,
        )
        took = self.cycle - begin
        await self.tick(40)
        same_fields("headers", self.headers.got, want.headers)
        got = []
        for bits in self.events.got:
            event = self._event.unpack(bits)
            if self.engine == "bp":
                event["value"] = bits >> self._event.width
            got.append(event)
        same_fields("events", got, want.events)
        assert self.vectors.got == want.vectors
        return took
