"""The spectral unit behind its driver: what is refused, resets, what the host may see and when."""

import contextlib

import numpy as np
import pytest
import torch

from backspike.drive.spectral_backend import SpectralRTL
from backspike.drive.spectral_driver import SpectralDriver, SpectralFaultError
from backspike.gen.host.bus import WORD
from backspike.gen.host.registers import BYTES
from backspike.gen.spectral.control import Content, Fault
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.gen.spectral.map import FAULT_TEXT, IDENT
from backspike.gen.spectral.pixel_sums import pixel_product_width
from backspike.gen.spectral.spectral_sums import energy_width
from backspike.gen.spectral.sums_window import SUM_WORDS
from backspike.golden.spectral import Samples, samples, sums, transform
from backspike.ir.errors import UserError
from backspike.sim.verilator.simulator import BusError
from tests.support.spectral_runs import (
    SMALL,
    check_sums,
    check_transforms,
    random_pair,
    random_samples,
    same_samples,
    same_sums,
)

pytestmark = pytest.mark.verilator


@pytest.fixture(scope="module")
def unit():
    unit = SpectralRTL(SMALL)
    yield unit
    unit.close()


@pytest.fixture(autouse=True)
def fresh(unit):
    """Every test begins after a reset, with samples of a run before in the store."""
    unit.transform(random_samples(1, 32, 32))
    unit.simulator.reset()


def store(unit) -> bytes:
    """All that the frame store holds."""
    port = unit.simulator
    return port.read_block("samples", port.registers.window("samples").words).tobytes()


def seen(unit) -> tuple:
    """All that the host can see, but the fault of the last doorbell."""
    status = unit.driver.status()
    del status["fault"]
    registers = [r.name for r in unit.driver.map.registers if r.access != "wo"]
    registers.remove("status")
    words = {name: unit.simulator.read(name) for name in registers}
    return status, words, unit.driver.sums(), store(unit)


def refused(unit, fault: Fault, height: int, width: int, **request: bool) -> None:
    """The run is refused for that reason, and nothing has changed but the fault."""
    driver = unit.driver
    logs = {"log_height": height.bit_length() - 1, "log_width": width.bit_length() - 1}
    unit.simulator.write("size", driver.map.register("size").pack(**logs))
    before = seen(unit)
    with pytest.raises(SpectralFaultError) as raised:
        driver.run(height, width, **request)
    assert raised.value.fault == fault
    assert FAULT_TEXT[fault] in str(raised.value)
    assert driver.status()["fault"] == fault.value
    assert seen(unit) == before


def mended(unit) -> None:
    """The next sound run is right, and clears the fault."""
    check_sums(unit, *random_pair(1, 8, 16))
    assert unit.driver.status()["fault"] == 0
    check_transforms(unit, random_samples(2, 16, 8))


@pytest.mark.parametrize("size", [(4, 8), (8, 64), (64, 8), (2, 2), (1, 32), (32, 2**15)])
@pytest.mark.parametrize("pair", [False, True])
def test_size(unit, size, pair):
    """A size out of range is refused, and what was written waits for the next sound start."""
    unit.driver.write_pixels(*random_pair(1, 8, 8))
    refused(unit, Fault.SIZE, *size, pair=pair)
    # What was written waits for a sound start.
    unit.driver.run(8, 8, pair=True)
    same_sums(unit.driver.sums(), sums(samples(*random_pair(1, 8, 8), 8)))
    mended(unit)


def test_a_pair_neither_goes_back_nor_continues(unit):
    """A pair with `back` or `continues` is refused, and the result stays."""
    unit.transform(random_samples(1, 8, 8))
    for back, continues in ((True, False), (True, True), (False, True)):
        fault = Fault.PAIR_BACK if back else Fault.PAIR_CONTINUES
        refused(unit, fault, 8, 8, pair=True, back=back, continues=continues)
    same_samples(unit.onward(), transform(transform(random_samples(1, 8, 8))))
    mended(unit)


def test_nothing_written(unit):
    """After a reset, after a run of either kind, and not after a refused access."""
    for pair in (False, True):
        refused(unit, Fault.EMPTY, 8, 8, pair=pair)
    mended(unit)
    refused(unit, Fault.EMPTY, 16, 8)
    refused(unit, Fault.EMPTY, 16, 8, pair=True)
    unit.sums(*random_pair(1, 16, 16))
    refused(unit, Fault.EMPTY, 16, 16, pair=True)
    for window, word in (("pixels", 0x100), ("samples", 1 << 20)):
        with pytest.raises(BusError):
            unit.simulator.write(window, word)
        refused(unit, Fault.EMPTY, 16, 16)
    mended(unit)


def test_no_result_to_continue_on(unit):
    """Continuing without a result, or on one written over, is refused."""
    refused(unit, Fault.RESULT, 8, 8, continues=True)
    unit.driver.write_samples(*random_samples(1, 8, 8)[:2])
    refused(unit, Fault.RESULT, 8, 8, continues=True)
    unit.driver.run(8, 8)
    unit.simulator.write(unit.driver.map.window("samples").base + 5 * BYTES, 3)
    refused(unit, Fault.RESULT, 8, 8, continues=True, back=True)
    unit.sums(*random_pair(1, 8, 8))
    refused(unit, Fault.RESULT, 8, 8, continues=True)
    mended(unit)


def test_a_result_of_another_size(unit):
    """Continuing on a result of another size is refused; of its own size it is golden's."""
    numbers = random_samples(4, 16, 8)
    want = transform(numbers)
    unit.transform(numbers)
    for size in ((8, 16), (16, 16), (8, 8)):
        refused(unit, Fault.RESIZED, *size, continues=True, back=True)
    unit.driver.run(16, 8, continues=True, back=True)
    same_samples(unit.driver.read_samples(16, 8), transform(want, back=True))
    mended(unit)


def test_passes_at_the_most(unit):
    """A fifth and sixth pass are refused, and the result of four stays."""
    numbers = random_samples(4, 8, 32)
    unit.transform(numbers)
    assert unit.driver.status()["passes"] == 2
    got = unit.onward()
    assert unit.driver.status()["passes"] == 4
    refused(unit, Fault.PASSES, 8, 32, continues=True)
    same_samples(unit.driver.read_samples(8, 32), got)
    mended(unit)


def test_resets_in_the_middle_of_a_run(unit):
    """At random cycles; afterwards the store is not taken for samples, and all is right."""
    rng = np.random.default_rng(3)
    cut = 0
    for n in range(24):
        pair = bool(n % 2)
        unit.driver.write_pixels(*random_pair(n, 32, 32))
        unit.simulator.write(
            "size", unit.driver.map.register("size").pack(log_height=5, log_width=5)
        )
        unit.simulator.write("start", int(pair))
        unit.simulator.run(int(rng.choice([0, 1, 2, rng.integers(2250)])))
        cut += unit.driver.status()["running"]
        unit.simulator.reset(int(rng.integers(1, 4)))
        assert unit.driver.status() == dict.fromkeys(unit.driver.status(), 0)
        assert unit.driver.cycles() == 0
        assert set(vars(unit.driver.sums()).values()) == {0}
        refused(unit, Fault.EMPTY, 32, 32, pair=pair)
        refused(unit, Fault.RESULT, 32, 32, continues=True)
        size = (8, 16, 32)[n % 3]
        check_sums(unit, *random_pair(n, size, 8))
        check_transforms(unit, random_samples(n, 8, size))
    assert cut > 12


def test_while_running_everything_but_looking_is_refused(unit, monkeypatch):
    """From the doorbell to the last sum: start, size, and both ends of every window."""
    port, wait = unit.simulator, unit.simulator.wait
    tried, phases = 0, set()

    def refuses(access, *arguments) -> bool:
        """False if the run ended meanwhile."""
        nonlocal tried
        with contextlib.suppress(BusError):
            access(*arguments)
            assert not unit.driver.status()["running"], f"{arguments} was not refused"
        status = unit.driver.status()
        phases.add((status["running"], status["transforming"], status["analysing"]))
        tried += status["running"]
        return bool(status["running"])

    def meddle(*arguments, **options) -> int:
        accesses = [(port.write, "start", 1), (port.write, "size", 0x404)]
        for window in port.registers.windows:
            for address in (window.base, window.base + (window.words - 1) * BYTES):
                accesses += [(port.write, address, 0), (port.read, address)]
        for access in accesses:
            assert refuses(*access), "the run was over before all was tried"
        while refuses(port.write, "size", 0x505):  # which it is already
            pass
        return wait(*arguments, **options)

    monkeypatch.setattr(port, "wait", meddle)
    check_sums(unit, *random_pair(6, 32, 32))
    numbers = random_samples(6, 32, 32)
    same_samples(unit.transform(numbers), transform(numbers))
    monkeypatch.undo()
    assert tried > 100
    phases -= {(1, 0, 0)}  # a few cycles at the start, not always seen
    assert phases == {(1, 1, 0), (1, 1, 1), (1, 0, 1), (0, 0, 0)}
    mended(unit)


def test_accesses_outside_the_map(unit):
    """Accesses outside the map or against a register's access are refused and change nothing."""
    port = unit.simulator
    before = seen(unit)
    named = {register.offset for register in port.registers.registers}
    holes = [address for address in range(0, 0x80, BYTES) if address not in named]
    holes += [0x100, 0x1000, 0x1F_FFFC, (1 << port.registers.addr_width) - BYTES]
    holes += [window.base + window.words * BYTES for window in port.registers.windows]
    for address in holes:
        with pytest.raises(BusError, match="SLVERR"):
            port.read(address)
        with pytest.raises(BusError, match="SLVERR"):
            port.write(address, 0)
    for name in ("start", "pixels"):
        with pytest.raises(BusError, match="SLVERR"):
            port.read(name)
    for register in port.registers.registers:
        if register.access == "ro":
            with pytest.raises(BusError, match="SLVERR"):
                port.write(register.name, 0)
        else:
            with pytest.raises(BusError, match="SLVERR"):
                port.write(register.name, 0xFFFF_FFFF)
    for window in port.registers.windows:
        assert port.response("write", window.base + 2) == "SLVERR"  # not aligned
    assert seen(unit) == before
    assert before[0]["content"] == Content.NOTHING.value
    mended(unit)


def test_words_that_are_no_samples_are_refused(unit):
    """Words that are no samples or pixels are refused and change nothing."""
    port = unit.simulator
    unit.driver.write_samples(*random_samples(1, 32, 32)[:2])
    before = seen(unit)
    for word in (0x02_0000, 0xFD_FFFF, 0x01FF_FFFF, 0x4000_0000, 0x80_0000, 0xFFFF_FFFF):
        for place in (0, 1, 2 * SMALL.points - 1):
            with pytest.raises(BusError, match="SLVERR"):
                port.write(port.registers.window("samples").base + place * BYTES, word)
    for word in (0x100, 0x100_0000, 0xFFFF_00FF, 0x8000_0000):
        with pytest.raises(BusError, match="SLVERR"):
            port.write("pixels", word)
    assert seen(unit) == before
    assert before[0]["content"] == Content.SAMPLES.value
    mended(unit)


def test_a_written_sample_loses_its_exponent(unit):
    """One word of a result's sample: the other part stays, the exponent of both is 0."""
    got = unit.transform(random_samples(1, 8, 8))
    assert got.exponent.min() > 0
    base, stride = unit.driver.map.window("samples").base, 2 * SMALL.size * BYTES
    unit.simulator.write(base + 3 * stride + (2 * 5 + 1) * BYTES, 0xFF_FFF9)
    after = unit.driver.read_samples(8, 8)
    got.im[3, 5], got.exponent[3, 5] = -7, 0
    same_samples(after, got)


def test_what_the_driver_does_not_take(unit):
    """Values, shapes and dtypes out of range are UserErrors before anything is written."""
    before = seen(unit)
    zero, small = torch.zeros((8, 8), dtype=torch.int64), torch.zeros((4, 8), dtype=torch.int64)
    part = r"to 131071"
    for call, text in (
        (lambda: unit.sums(zero + 256, zero), "image has 256 to 256, must have 0 to 255"),
        (lambda: unit.sums(zero, zero - 1), "reference has -1 to -1, must have 0 to 255"),
        (lambda: unit.sums(zero, small), "image is 8 x 8 and reference is 4 x 8, must"),
        (
            lambda: unit.sums(zero.repeat(1, 8), zero),
            "image is 8 x 64, must be a power of two from 8 to 32",
        ),
        (lambda: unit.sums(zero[0], zero[0]), "image is 8, must be a power of two from 8 to 32"),
        (lambda: unit.sums(zero.double(), zero), "image has dtype float64, must be of integers"),
        (lambda: unit.transform(Samples(zero + (1 << 17), zero, zero)), part),
        (lambda: unit.transform(Samples(zero, zero, zero + 1)), "exponents up to 1, must be 0"),
        (lambda: unit.driver.run(12, 8), "height is 12, must be a power of two from 8 to 32"),
        (lambda: unit.driver.run(8, 0), "width is 0, must be a power of two"),
    ):
        with pytest.raises(UserError, match=text):
            call()
        assert seen(unit) == before


def test_identification(unit, monkeypatch):
    """A driver refuses what is not this unit, and one of other sizes."""
    port = unit.simulator
    assert port.read("ident") == IDENT
    assert port.read("machine") == 5 | 8 << 8 | 18 << 16 | 2 << 24
    for other, text in ((SPECTRAL_MACHINES["spectral-128"], "log_size is 5, must be 7"),
                        (SpectralMachine(name="deep", size=32, pixel_bits=16),
                         "pixel_bits is 8, must be 16, as deep has it")):  # fmt: skip
        with pytest.raises(UserError, match=text):
            SpectralDriver(port, other)
    read = port.read_block
    monkeypatch.setattr(port, "read_block", lambda at, n: read(at, n) + np.uint32(at == "ident"))
    with pytest.raises(UserError, match="identification is 0x424b4655"):
        SpectralDriver(port, SMALL)


@pytest.mark.parametrize("size", [8, 512])
def test_sums_fit_their_words(size):
    """The widest sum has its sign in the last word."""
    machine = SpectralMachine(name="any", size=size, pixel_bits=16)
    assert max(energy_width(machine), pixel_product_width(machine)) <= SUM_WORDS * WORD
