"""Accesses to a window of the host port, in cycles that its bus allows."""

from typing import NamedTuple

import numpy as np

from backspike.gen.host.bus import OUTSTANDING, request_layout

IDLE = 20
"""Cycles at the end, in which the last answers come."""


class Access(NamedTuple):
    """One access: in which cycle, and in which it is answered."""

    cycle: int
    answered: int
    write: bool
    address: int
    data: int


def random_accesses(rng, count: int, words: int, latency: int, data, busy: float) -> list[Access]:
    """Reads answered latency + 1 cycles later, writes 1 cycle later, when nothing else is.

    data() draws a word (a read's is noise). busy: probability of an access in a cycle that allows
    one.
    """
    accesses: list[Access] = []
    cycle, write = 0, False
    while len(accesses) < count:
        cycle += 1
        under_way = [a for a in accesses[-OUTSTANDING:] if a.answered >= cycle]
        blocked = under_way if write else any(a.write for a in under_way)
        if blocked or len(under_way) == OUTSTANDING or rng.random() >= busy:
            continue
        address, word = int(rng.integers(0, words)), int(data())
        answered = cycle + 1 if write else cycle + 1 + latency
        accesses.append(Access(cycle, answered, write, address, word))
        write = rng.random() < 0.3
    return accesses


def ports(accesses: list[Access], address_width: int) -> dict[str, np.ndarray]:
    """The host's inputs, cycle by cycle."""
    cycles = accesses[-1].answered + IDLE
    valid, payload = np.zeros(cycles, np.uint64), np.zeros(cycles, np.uint64)
    assert request_layout(address_width).size <= 64
    for a in accesses:
        valid[a.cycle] = 1
        payload[a.cycle] = a.write | a.address << 1 | a.data << 1 + address_width
    return {
        "host__request__valid": valid,
        "host__request__payload": payload,
        "host__response__ready": np.ones(cycles, np.uint64),
    }


def check_answers(out: dict[str, np.ndarray], accesses: list[Access], expect) -> None:
    """expect(access) gives (data or None, error), called in the order of the accesses."""
    answers = {a.answered: (a, *expect(a)) for a in accesses}
    for a in accesses:
        assert out["host__request__ready"][a.cycle], f"not ready for {a}"
    for cycle, valid in enumerate(out["host__response__valid"]):
        assert bool(valid) == (cycle in answers), f"cycle {cycle}"
        if cycle in answers:
            access, data, error = answers[cycle]
            payload = int(out["host__response__payload"][cycle])
            assert payload >> 32 == error, f"{access}"
            if data is not None:
                assert payload & 0xFFFF_FFFF == data, f"{access}: {payload:#x}, not {data:#x}"
