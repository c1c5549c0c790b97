"""gen.core.control.record_table: records are read as they were written, field by field."""

import numpy as np
import pytest

from backspike.gen.core.control.record_table import RecordTable
from backspike.gen.core.layout import CONNECTIONS, RECORD, RECORD_WORDS
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.kinds import KINDS
from tests.support.streams import packed


@pytest.mark.verilator
@pytest.mark.parametrize("engine", ["fp", "bp"])
def test_records(engine):
    """Fields in any order, of any connection; what is not told to be written is not, nor is a field
    that there is none of. A record is there in the cycle in which it is asked for."""
    rng = np.random.default_rng(1)
    fields = list(KINDS[engine].record_fields.values())
    assert len(fields) < RECORD_WORDS
    layout, record = packed(RECORD), packed(KINDS[engine].record)
    every = [(c, f) for c in range(CONNECTIONS) for f in range(len(fields))]
    order = [every[n] for n in rng.permutation(len(every))]
    order += [(int(rng.integers(CONNECTIONS)), int(rng.integers(RECORD_WORDS)))
              for _ in range(1000)]  # fmt: skip
    state = [dict.fromkeys((f.name for f in fields), 0) for _ in range(CONNECTIONS)]
    written, asked, want = [], [], []
    for n, (connection, field) in enumerate(order):
        write = n < len(every) or rng.random() < 0.5
        word = int(rng.integers(1 << 32))
        asked.append(int(rng.integers(CONNECTIONS)))
        want.append(dict(state[asked[-1]]))
        row = {"connection": connection, "field": field, "word": word, "write": int(write)}
        written.append(layout.pack(row))
        if write and field < len(fields):
            state[connection][fields[field].name] = word % (1 << fields[field].width)
    out = ArrayBench(RecordTable(KINDS[engine]), f"record_table_{engine}")(
        record=np.array(written, np.uint64), connection=np.array(asked, np.uint64)
    )
    rows = np.atleast_2d(out["o"].T).T
    for cycle in range(len(every), len(order)):
        bits = sum(int(limb) << 64 * n for n, limb in enumerate(rows[cycle]))
        assert record.unpack(bits) == want[cycle], f"cycle {cycle}"
