"""gen.spectral.store: the host's windows at rest, the passes' ports otherwise."""

import numpy as np
import pytest

from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.memory.window import choosing
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.store import FrameStore
from backspike.ir.spectral_constants import MANTISSA
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.host_traffic import IDLE, check_answers, ports, random_accesses

PART = 1 << MANTISSA
"""Patterns of a mantissa."""


class Model:
    """The samples as (re, im, exponent), and what the host's accesses do to them."""

    def __init__(self, machine: SpectralMachine):
        self.bits = machine.pixel_bits
        self.samples = [(0, 0, 0)] * machine.points
        self.writes = 0

    def pixels(self, access) -> tuple[int | None, int]:
        pixels = access.data & 0xFFFF, access.data >> 16
        if max(pixels) >= 1 << self.bits:
            return None, 1
        middle, scale = 1 << (self.bits - 1), 1 << (MANTISSA - self.bits)
        re, im = ((pixel - middle) * scale for pixel in pixels)
        self.samples[access.address] = re, im, 0
        self.writes += 1
        return None, 0

    def words(self, access) -> tuple[int | None, int]:
        at, place = divmod(access.address, 2)
        if not access.write:
            *parts, exponent = self.samples[at]
            return parts[place] & 0xFF_FFFF | exponent << 24, 0
        value = access.data & 0xFF_FFFF
        value -= (value >> 23) << 24
        if access.data >> 24 or not -PART // 2 <= value < PART // 2:
            return None, 1
        re, im, _ = self.samples[at]
        self.samples[at] = (re, value, 0) if place else (value, im, 0)
        self.writes += 1
        return None, 0


def pack(re: int, im: int, exponent: int) -> int:
    return re % PART | im % PART << MANTISSA | exponent << 2 * MANTISSA


@pytest.mark.verilator
@pytest.mark.parametrize("bits", [8, 16])
def test_host_and_passes_take_turns(bits):
    """Host and passes read what either wrote, as a plain model has it; wrong words are refused."""
    machine = SpectralMachine(name="small", size=8, pixel_bits=bits)
    rng = np.random.default_rng(bits)
    store, model = ArrayBench(FrameStore(machine), f"frame_store_{bits}"), Model(machine)
    points = machine.points
    refused = 0

    def pixel_word() -> int:
        image, reference = (int(rng.integers(0, 1 << bits)) for _ in range(2))
        beyond = int(rng.random() < 0.2) << int(rng.integers(0, 32))  # may set a bit that is none
        return image | reference << 16 | beyond

    def sample_word() -> int:
        value = int(rng.choice([0, -1, PART // 2 - 1, -PART // 2, rng.integers(-PART, PART)]))
        return value & 0xFF_FFFF | int(rng.random() < 0.2) << int(rng.integers(18, 32))

    for _ in range(4):
        # The passes' turn: writes and reads, never of the sample that was written last.
        cycles = 400
        en = rng.random(cycles) < 0.5
        en[: 2 + READ_LATENCY] = en[-READ_LATENCY - 1 :] = False
        to = rng.integers(0, points, cycles)
        at = (np.roll(to, 1) + rng.integers(1, points, cycles)) % points
        new = [
            (int(rng.integers(-PART // 2, PART // 2)), int(rng.integers(-PART // 2, PART // 2)),
             int(rng.integers(0, 64)))
            for _ in range(cycles)
        ]  # fmt: skip
        data = np.array([pack(*sample) for sample in new], np.uint64)
        out = store(rest=np.zeros(cycles, np.uint64), write__en=en, write__addr=to,
                    write__data=data, read__addr=at)  # fmt: skip
        assert not out["written"].any()
        for cycle in range(cycles - READ_LATENCY):
            got, want = out["read__data"][cycle + READ_LATENCY], pack(*model.samples[at[cycle]])
            assert got == want, f"cycle {cycle}: {got:#x}, not {want:#x}"
            if cycle and en[cycle - 1]:
                model.samples[to[cycle - 1]] = new[cycle - 1]

        # The host's turn, at one window after the other; the passes' ports do nothing.
        for window, words, word, expect in (
            ("pixels", points, pixel_word, model.pixels),
            ("samples", 2 * points, sample_word, model.words),
        ):
            latency = READ_LATENCY + choosing(words // points)
            accesses = random_accesses(rng, 300, words, latency, word, 0.8)
            if window == "pixels":  # the register file lets no read through
                accesses = [a for a in accesses if a.write]
            cycles, before = accesses[-1].answered + IDLE, model.writes
            inputs = {
                name.replace("host", window): array
                for name, array in ports(accesses, (words - 1).bit_length()).items()
            }
            noise = rng.integers(0, 2, cycles)
            out = store(rest=np.ones(cycles, np.uint64), write__en=noise,
                        write__addr=rng.integers(0, points, cycles),
                        write__data=rng.integers(0, 1 << 42, cycles), **inputs)  # fmt: skip
            answered = {name.replace(window, "host"): array for name, array in out.items()}
            check_answers(answered, accesses, expect)
            assert out["written"].sum() == model.writes - before
            refused += sum(a.write for a in accesses) - (model.writes - before)
    assert refused > 50
