"""gen.core.shared.block_order: the order of blocks, and those of one span, against plain loops."""

import random

import numpy as np
import pytest

from backspike.gen.core.shared.block_order import BlockOrder
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.batches import Batch

BITS = 7
BATCHES = [Batch(1, 1, 1, spans, sets, sets, 0) for spans in range(1, 6) for sets in range(1, 5)]
FIELDS = ("block", "set", "head", "tail", "last")


@pytest.mark.verilator
@pytest.mark.parametrize("reverse", [False, True])
def test_order(reverse):
    """Blocks come set by set and span by span, or in one span set by set, as often as they are
    asked for; they stay until then, and a new start is obeyed in the last one's cycle, too."""
    rng = random.Random(1)
    rows: list[dict[str, int]] = []
    want: dict[int, dict[str, int]] = {}

    def row(batch: Batch, **inputs: int) -> None:
        noise = {"step": rng.randrange(2), "at": rng.randrange(batch.spans)}
        rows.append({"start": 0, "next": 0, "batch": batch.batch_port(), **noise, **inputs})

    for batch in BATCHES:
        row(batch)  # a cycle before start
        for only in (None, *rng.sample(range(batch.spans), batch.spans), None):
            told = {"step": int(only is not None)}
            if only is not None:
                told["at"] = only
            # What is counted then is given up, whatever it is.
            row(batch, start=1, next=rng.randrange(2), **told)
            places = batch.order(reverse, only)
            for place in places[: rng.choice([1, 99, 99])]:
                for n in reversed(range(rng.choice([1, 1, 3]))):
                    want[len(rows)] = {name: getattr(place, name) for name in FIELDS}
                    row(batch, next=int(n == 0), **told)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    out = ArrayBench(BlockOrder(bits=BITS, reverse=reverse), f"block_order_{reverse:d}")(**columns)
    for cycle, fields in want.items():
        got = {name: int(out[name][cycle]) for name in FIELDS}
        assert got == fields, f"cycle {cycle}"
