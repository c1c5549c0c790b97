"""What the benches of walks through tasks have in common: a batch, tasks, and what is read late."""

from collections.abc import Mapping

from amaranth.lib import wiring

from tests.support.batches import Batch, Place, Work
from tests.support.streams import Bench
from tests.support.tiles import same_fields

BLOCKS, BASES, ROWS = 5, 8, 10
"""Bits of blocks, of bases and of rows of weights."""
LIMIT = 200_000
"""Cycles that tasks may take."""
Fields = dict[str, int | None]


class WalkBench(Bench):
    """A walk with everything constant driven: `values`, and a batch of any shape."""

    def __init__(self, dut, seed: int, stall: float, component: wiring.Component):
        super().__init__(dut, seed)
        self.tasks = self.source("i", stall=stall)
        signature = component.signature.members
        self.headers, self.steps = (
            self.sink(name, signature[name].signature.members["payload"].shape, stall)
            for name in ("o_headers", "o")
        )
        # As many blocks as there are bits for, at the most.
        rng = self.rng
        sets, spans = (8, 4) if seed == 1 else (rng.randint(1, 4), rng.randint(1, 4))
        self.batch = Batch(1, 1, 1, spans, sets, sets, 0)
        dut.batch.value = self.batch.batch_port()
        self.values: dict[str, int] = {}

    def give(self, values: Mapping[str, int]) -> None:
        """Drives ports with constants."""
        self.values |= values
        for name, value in values.items():
            getattr(self.dut, name).value = value

    def arriving(
        self, first: int, source: int, at: Place, *, delay: int, reverse: bool = False
    ) -> Fields:
        """What a step says of a tile of sources: of a connection whose first one lies at `first`;
        with a delay that of the span before, in this order."""
        batch, carry = self.batch, self.values["carry"]
        outside = delay & (at.tail if reverse else at.head)
        block = at.block + (delay if reverse else -delay)
        if outside:
            block = at.set * batch.spans + batch.spans - 1  # of the batch before
        source_base = (first + source * batch.blocks + block) % (1 << BASES)
        return {
            "source_base": None if outside and not carry else source_base,
            "set": at.set,
            "tail": at.tail,
            "void": int(outside and not carry),
            "other": int(outside and carry),
            "source": source,
        }

    def wanted(self, work: Work) -> tuple[list[Fields], list[Fields]]:
        """Headers and steps of a task."""
        raise NotImplementedError

    async def play(self, count: int) -> list[tuple[int, int]]:
        """Lets it walk through random tasks and compares all that comes; returns how many headers
        and steps each task has."""
        await self.reset()
        await self.tick(2)  # the batch is there before a task
        tasks = [Work.draw(self.rng, self.rng.randrange(10), self.batch) for _ in range(count)]
        wanted = [self.wanted(work) for work in tasks]
        headers, steps = (
            [row for part in parts for row in part] for parts in zip(*wanted, strict=True)
        )
        self.tasks.queue.extend(work.port() for work in tasks)
        await self.until(lambda: len(self.headers.got) >= len(headers), LIMIT)
        await self.until(lambda: len(self.steps.got) >= len(steps), LIMIT)
        await self.tick(20)
        same_fields("headers", self.headers.got, headers)
        same_fields("steps", self.steps.got, steps)
        return [(len(h), len(s)) for h, s in wanted]

    def check_times(self, to_header: int, took: list[int]) -> None:
        """Cycles from the first task to its first header, and of each task: without stalls."""
        sent = self.tasks.sent
        assert self.headers.cycles[0] == sent[0] + to_header
        ends = [begin + cycles for begin, cycles in zip(sent[:-1], took[:-1], strict=True)]
        assert sent[1:] == ends, "a step and a header take a cycle each"


def check_shapes(batches: list[Batch]) -> None:
    """Batches as large as they may be were among them, and such of one set and of one span."""
    assert any(batch.blocks == 1 << BLOCKS for batch in batches)
    assert any(batch.sets == 1 < batch.spans for batch in batches)
    assert any(batch.spans == 1 < batch.sets for batch in batches)
