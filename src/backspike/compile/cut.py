"""How a batch is cut into blocks, of which each fills an accumulator file."""

from collections.abc import Iterator
from dataclasses import dataclass

from backspike.gen.core.backward.unit import BackwardUnit
from backspike.gen.core.forward.unit import ForwardUnit
from backspike.gen.machine import DEPTH, Machine
from backspike.ir.constants import ceil_div


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Samples go into sets, steps into spans; block set * spans + span is a set in a span.

    samples: of a set, of which the last may hold fewer; steps: of a span; last_steps: of the last.
    Entry t * samples + s of a block is step t of its span, sample s of its set.
    """

    samples: int
    sets: int
    steps: int
    spans: int
    last_steps: int

    @property
    def blocks(self) -> int:
        """Blocks of a batch."""
        return self.sets * self.spans

    @property
    def all_steps(self) -> int:
        """T: steps of all spans."""
        return self.steps * (self.spans - 1) + self.last_steps

    def extent(self, batch: int) -> tuple[int, int]:
        """(full sets, mask of the entries present in a full span of the set after these)."""
        full, rest = divmod(batch, self.samples)
        mask = sum(1 << t * self.samples + s for t in range(self.steps) for s in range(rest))
        return full, mask


def cut_of(batch: int, steps: int, samples: int, *, longest: int = DEPTH) -> Cut:
    """The cut into sets of so many samples, and as few spans of up to `longest` steps as they leave
    room for."""
    spans = ceil_div(steps, min(longest, DEPTH // samples))
    length = ceil_div(steps, spans)
    spans = ceil_div(steps, length)
    return Cut(
        samples=samples,
        sets=ceil_div(batch, samples),
        steps=length,
        spans=spans,
        last_steps=steps - length * (spans - 1),
    )


def cuts(batch: int, steps: int, machine: Machine, *, longest: int = DEPTH) -> Iterator[Cut]:
    """All useful cuts into spans of up to `longest` steps, the fastest first.

    What is slow is a drain that waits for a neuron's own last step: each step of a set takes as
    long as its samples need, or as a neuron does. Of equals the one with fewer blocks is better,
    which take memory, too.
    """
    units = ((machine.fp_reuse, ForwardUnit), (machine.bp_reuse, BackwardUnit))

    def cost(cut: Cut) -> tuple[int, int]:
        slots = (max(cut.samples * reuse, unit.recurrence) for reuse, unit in units)
        return cut.sets * steps * sum(slots) + len(units) * cut.blocks, cut.blocks

    found = {cut_of(batch, steps, n, longest=longest) for n in range(1, min(batch, DEPTH) + 1)}
    yield from sorted(found, key=lambda cut: (*cost(cut), -cut.samples))
