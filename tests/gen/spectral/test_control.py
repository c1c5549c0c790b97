"""gen.spectral.control: what starts, what is refused and why, and what a run leaves.

A second description of the rules, in Python, is asked beside the hardware: random doorbells,
host writes and runs.
"""

import numpy as np
import pytest

from backspike.gen.spectral.control import REQUEST, Content, Fault, SpectralControl
from backspike.gen.spectral.layout import MAX_PASSES
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.map import CONTENT_TEXT, FAULT_TEXT, spectral_map
from backspike.gen.spectral.sums_window import SUMS
from backspike.golden.spectral import Sums
from backspike.sim.bench.array_bench import ArrayBench

MACHINE = SpectralMachine(name="small", size=32)


class Rules:
    """What the unit may do, and what it holds."""

    def __init__(self):
        self.content, self.passes, self.size, self.cycles = Content.NOTHING, 0, (0, 0), 0
        self.fault = Fault.NONE

    def write(self) -> None:
        self.content, self.passes = Content.SAMPLES, 0

    def judge(self, pair: bool, back: bool, continues: bool, size: tuple[int, int]) -> Fault:
        if not all(3 <= log <= 5 for log in size):
            return Fault.SIZE
        if pair and (back or continues):
            return Fault.PAIR_BACK if back else Fault.PAIR_CONTINUES
        if not continues:
            return Fault.NONE if self.content == Content.SAMPLES else Fault.EMPTY
        if self.content != Content.RESULT:
            return Fault.RESULT
        if size != self.size:
            return Fault.RESIZED
        return Fault.NONE if self.passes + 2 <= MAX_PASSES else Fault.PASSES

    def ran(self, pair: bool, size: tuple[int, int], cycles: int) -> None:
        self.cycles, self.size = cycles, size
        self.content = Content.NOTHING if pair else Content.RESULT
        self.passes += 0 if pair else 2


class Unit:
    """The control in short pieces of simulated time."""

    def __init__(self):
        self.run = ArrayBench(SpectralControl(MACHINE), "spectral_control_bench")
        self.size = (0, 0)

    def cycles(self, count: int = 1, **inputs: int | np.ndarray) -> dict[str, np.ndarray]:
        given = {"log_height": self.size[0], "log_width": self.size[1]} | inputs
        return self.run(**{k: np.broadcast_to(v, count).astype(np.uint64)
                           for k, v in given.items()})  # fmt: skip

    def state(self) -> tuple:
        out = {k: int(v[0]) for k, v in self.cycles().items()}
        assert not out["busy"]
        assert not out["go"]
        return Fault(out["fault"]), Content(out["content"]), out["passes"], out["cycles"]


@pytest.mark.verilator
def test_runs_and_refusals():
    """Random doorbells, writes, resets and runs have the outcome of the rules written in Python."""
    rng = np.random.default_rng(1)
    unit, rules, seen = Unit(), Rules(), set()
    for _ in range(3000):
        kind = rng.random()
        if kind < 0.15:
            unit.cycles(written=1)
            rules.write()
        elif kind < 0.17:
            unit.cycles(rst=1)
            rules = Rules()
        else:
            size = tuple(int(n) for n in rng.integers(3, 6, 2))
            if rng.random() < 0.6:
                size = rules.size if rules.size[0] else (4, 4)
            if rng.random() < 0.1:
                size = tuple(int(n) for n in rng.choice([0, 2, 3, 5, 6, 15], 2))
            unit.size = size
            pair, back, continues = (bool(rng.random() < p) for p in (0.2, 0.3, 0.5))
            request = {"pair": pair, "back": back, "continues": continues}
            bits = REQUEST.const(request).as_bits()
            fault = rules.fault = rules.judge(pair, back, continues, size)
            seen.add(fault)
            unit.cycles(doorbell=1, request=bits)
            if fault != Fault.NONE:
                out = unit.cycles(1)
                assert out["busy"][0]
                assert not out["go"][0]
            else:
                length = int(rng.integers(0, 6))
                working = np.array([0, 0] + [1] * length + [0])
                out = unit.cycles(len(working), working=working, request=int(rng.integers(8)))
                assert out["go"].tolist() == [0, 1] + [0] * (length + 1)
                assert out["busy"].all()
                assert (out["accepted"] == bits).all()
                rules.ran(pair, size, length + 2)
        got = unit.state()
        want = rules.fault, rules.content, rules.passes, rules.cycles
        assert got == want, f"{got}, not {want}"
    assert seen == set(Fault)


def test_a_sentence_for_everything():
    """Every fault and content has its sentence, and the sums are those of golden in order."""
    assert set(FAULT_TEXT) == set(Fault)
    assert set(CONTENT_TEXT) == set(Content)
    assert list(SUMS) == list(Sums.__dataclass_fields__)


@pytest.mark.parametrize("size", [8, 32, 512])
def test_the_map(size):
    """It is of one piece (RegisterMap sees to it), and the windows hold the machine's samples."""
    registers = spectral_map(SpectralMachine(name="any", size=size, pixel_bits=16))
    assert registers.window("pixels").words == size * size
    assert registers.window("samples").words == 2 * size * size
    assert registers.window("sums").words == 30
    assert registers.register("size").pack(log_height=9, log_width=3) == 0x309
