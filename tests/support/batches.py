"""Random ways to cut a batch into blocks, and the blocks in their order."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from backspike.gen.core.control.task_queue import WORK
from backspike.gen.core.layout import BATCH, BLOCK_BITS, EXTENT, PLACE_BITS
from backspike.gen.machine import DEPTH
from tests.support.streams import packed


@dataclass(frozen=True)
class Place:
    """A block: its number, its set and its span; head, tail: the span is the first, the last."""

    block: int
    set: int
    span: int
    head: int
    tail: int
    last: int  # no block follows

    @property
    def fields(self) -> dict[str, int]:
        """Of a header."""
        return {name: getattr(self, name) for name in ("set", "head", "tail", "last")}


@dataclass(frozen=True)
class Batch:
    """Steps of a span and of the last one, samples of a set, spans and sets; full sets, and samples
    of the set after these."""

    steps: int
    last_steps: int
    samples: int
    spans: int
    sets: int
    full: int
    rest: int

    @classmethod
    def draw(cls, rng: random.Random) -> "Batch":
        steps = rng.choice([1, 2, 3, 4, 8, DEPTH, rng.randint(1, DEPTH)])
        samples = rng.randint(1, DEPTH // steps)
        sets = rng.choice([1, 1, 2, 3])
        full, rest = rng.randint(0, sets), rng.randint(0, samples - 1)
        last_steps, spans = rng.choice([steps, rng.randint(1, steps)]), rng.choice([1, 1, 2, 3])
        if rng.random() < 0.3:  # all at once, see `check_variety`
            steps, spans, sets = rng.choice([2, 3, 4, 7]), rng.choice([2, 3]), 2
            samples, last_steps = rng.randint(2, DEPTH // steps), rng.randint(1, steps - 1)
            full, rest = rng.randint(0, 1), rng.randint(1, samples - 1)
        return cls(steps, last_steps, samples, spans, sets, full, rest)

    @property
    def blocks(self) -> int:
        return self.sets * self.spans

    @property
    def all_steps(self) -> int:
        """T: of all spans together."""
        return self.steps * (self.spans - 1) + self.last_steps

    def order(self, reverse: bool = False, only: int | None = None) -> list[Place]:
        """Its blocks as an engine works on them: span by span in a set, or from the last to the
        first. only: those of one span, counted in this order."""
        places = [(n, m) for n in range(self.sets) for m in range(self.spans)]
        if reverse:
            places.reverse()
        if only is not None:
            places = places[only :: self.spans]
        return [
            Place(n * self.spans + m, n, m, int(m == 0), int(m == self.spans - 1),
                  int((n, m) == places[-1]))
            for n, m in places
        ]  # fmt: skip

    def steps_of(self, place: Place) -> range:
        """The steps, of all T, that lie in a block."""
        first = place.span * self.steps
        return range(first, first + (self.last_steps if place.tail else self.steps))

    def samples_of(self, number: int) -> int:
        """Samples that a set holds."""
        return self.samples if number < self.full else self.rest if number == self.full else 0

    def entries(self, place: Place) -> int:
        """Mask of a block's entries that hold a sample."""
        return self._mask(len(self.steps_of(place)), self.samples_of(place.set))

    def _mask(self, steps: int, samples: int) -> int:
        return sum(1 << t * self.samples + s for t in range(steps) for s in range(samples))

    def batch_port(self) -> int:
        """BATCH."""
        names = ("steps", "last_steps", "samples", "spans", "sets", "blocks")
        return packed(BATCH).pack({name: getattr(self, name) for name in names})

    def extent_port(self) -> int:
        """EXTENT."""
        return packed(EXTENT).pack(full=self.full, partial=self._mask(self.steps, self.rest))


@dataclass(frozen=True)
class Work:
    """A task as an engine is told of it, see `WORK`."""

    tile: int
    place: int = 0
    keep: int = 0
    step: int = 0
    span: int = 0  # noise, unless step

    @classmethod
    def draw(cls, rng: random.Random, tile: int, batch: Batch) -> "Work":
        """One on all spans, or on one."""
        step = rng.randrange(2)
        span = rng.randrange(batch.spans) if step else rng.getrandbits(BLOCK_BITS)
        return cls(tile, rng.randrange((1 << PLACE_BITS) - 50), rng.randrange(2), step, span)

    def order(self, batch: Batch, reverse: bool = False) -> list[Place]:
        """The blocks that it works on."""
        return batch.order(reverse, self.span if self.step else None)

    def place_of(self, at: Place) -> int:
        """Where a block's neurons keep what goes on."""
        return self.place + self.keep * at.set

    def port(self) -> int:
        """WORK."""
        return packed(WORK).pack(vars(self))


def check_variety(batches: Iterable[Batch]) -> None:
    """Every kind of batch is among them, and one that is cut both ways and ends early in both."""
    kinds = {
        "one block": lambda b: b.blocks == 1,
        "a span between two": lambda b: b.spans > 2,
        "a last span like the others": lambda b: b.spans > 1 and b.last_steps == b.steps > 1,
        "one span, shorter than a span": lambda b: b.spans == 1 and b.last_steps < b.steps,
        "sets without samples": lambda b: b.sets > b.full + 1,
        "all at once": lambda b: (
            b.spans > 1 and b.last_steps < b.steps and b.sets > 1 and b.full < b.sets and b.rest
        ),
    }
    drawn = list(batches)
    missing = [name for name, has in kinds.items() if not any(map(has, drawn))]
    assert not missing, f"nothing like this was drawn: {missing}"
