"""The compiled driver on a small design: blocks, refusals, waiting, resets, stalls, waves."""

import numpy as np
import pytest

from backspike.gen.emit import emit
from backspike.ir.errors import UserError
from backspike.sim.verilator.simulator import BusError, BusTimeoutError, Simulator, driver_library
from tests.support.host_example import IDENTIFICATION, MAP, Example

pytestmark = pytest.mark.verilator


@pytest.fixture(scope="module")
def library():
    return driver_library(emit(Example(), "example", s_axi=True), "example")


@pytest.fixture(scope="module")
def tracing_library():
    return driver_library(emit(Example(), "example", s_axi=True), "example", trace=True)


@pytest.fixture
def sim(library):
    with Simulator(library, MAP) as simulator:
        yield simulator


def random_words(seed, n):
    return np.random.default_rng(seed).integers(0, 2**32, n, np.uint32)


def test_names_and_addresses(sim):
    """Registers are read and written by name and by address, words and blocks."""
    assert sim.read("identification") == IDENTIFICATION
    assert sim.read(0) == IDENTIFICATION
    assert sim.read("setting") == MAP.register("setting").reset
    sim.write("setting", MAP.register("setting").pack(mode=2, level=200))
    assert sim.read(0x10) == 200 << 24 | 2
    sim.write("scratch", 7, 8, 9)
    assert sim.read_block("scratch", 3).tolist() == [7, 8, 9]
    assert sim.read_block("echo", 16).tolist() == list(range(16))


@pytest.mark.parametrize("seed", range(8))
def test_blocks_under_stalls(sim, seed):
    """Blocks of all lengths, from everywhere, against an array."""
    rng = np.random.default_rng(seed)
    sim.stall([0, 0.2, 0.5, 0.9][seed % 4], seed)
    want = random_words(seed, 47)
    sim.write_block("scratch", want)
    for _ in range(60):
        first = int(rng.integers(0, 47))
        n = int(rng.integers(0, 48 - first))
        if rng.random() < 0.5:
            want[first : first + n] = random_words(int(rng.integers(1000)), n)
            sim.write_block(0x100 + 4 * first, want[first : first + n])
        else:
            got = sim.read_block(0x100 + 4 * first, n)
            assert got.tolist() == want[first : first + n].tolist()
    assert sim.read_block("scratch", 47).tolist() == want.tolist()


def test_stalls_are_reproducible(library):
    """One seed gives one number of cycles, another seed another; stalls cost cycles."""

    def cycles(probability, seed):
        with Simulator(library, MAP) as sim:
            sim.stall(probability, seed)
            sim.write_block("scratch", random_words(0, 47))
            return sim.cycles

    assert cycles(0.5, 1) == cycles(0.5, 1)
    assert cycles(0.5, 1) != cycles(0.5, 2)
    assert cycles(0.9, 1) > 2 * cycles(0, 1)


def test_one_address(sim):
    """Blocks without increment write and read one address again and again."""
    sim.write_block("note", np.arange(100), increment=False)
    assert sim.read("note") == 99
    sim.write_block("note", [5], increment=False)
    assert sim.read_block("note", 4, increment=False).tolist() == [5] * 4


def test_throughput(sim):
    """A word is read every 2 cycles; a write takes 3, and two more in the scratch memory."""
    words = np.ones(47, np.uint32)
    for access, cycles in (
        (lambda: sim.read_block("note", 300, increment=False), 600),
        (lambda: sim.write_block("note", [1] * 300, increment=False), 900),
        (lambda: sim.read_block("scratch", 48), 2 * 48),
        (lambda: sim.write_block("scratch", words), 5 * 47),
    ):
        before = sim.cycles
        access()
        assert cycles <= sim.cycles - before <= cycles + 5


@pytest.mark.parametrize("stall", [0, 0.5])
def test_refusals(sim, stall):
    """A refused access is a BusError with its address and name; what came before it is done."""
    sim.stall(stall, 3)
    with pytest.raises(BusError, match=r"^read at 0x000020 \(start\) was answered SLVERR$"):
        sim.read("start")
    with pytest.raises(BusError, match=r"read at 0x000040 \(nothing\)"):
        sim.read(0x40)
    with pytest.raises(BusError, match=r"write of 0x00010000 at 0x000014 \(note\)"):
        sim.write("note", 1 << 16)
    assert sim.read("note") == 0
    # The last word of the scratch memory refuses: those before it are written.
    with pytest.raises(BusError, match=r"write of 0x0000002f at 0x0001bc \(scratch \+ 0xbc\)"):
        sim.write_block("scratch", np.arange(48))
    assert sim.read_block("scratch", 47).tolist() == list(range(47))
    # A refusal in the middle: what follows may or may not have begun, nothing comes twice.
    with pytest.raises(BusError) as caught:
        sim.read_block(0x1B0, 16)
    assert (caught.value.address, caught.value.response) == (0x1C0, "SLVERR")
    sim.write("start", 500)
    with pytest.raises(BusError, match=r"write of 0x00000001 at 0x000020 \(start\)"):
        sim.write("start", 1)
    with pytest.raises(BusError, match=r"read at 0x000200 \(echo \+ 0x0\)"):
        sim.read("echo")
    assert sim.read("starts") == 1


def test_wait(sim):
    """`wait` polls at its interval until the bits have their value, and gives up at its limit."""
    busy = MAP.register("status").field("busy").mask
    sim.write("start", 1000)
    before = sim.cycles
    assert sim.wait("status", busy, 0, interval=10) == 0
    assert 990 <= sim.cycles - before <= 1020
    sim.write("start", 1000)
    before = sim.cycles
    with pytest.raises(BusTimeoutError, match=r"status is 0x[0-9a-f]*1 after 300 cycles"):
        sim.wait("status", busy, 0, interval=7, limit=300)
    assert 300 <= sim.cycles - before <= 310
    with pytest.raises(BusError, match="start"):
        sim.wait("start", 1, 1)
    with pytest.raises(ValueError, match="value is 0x2, must have bits within the mask 0x1"):
        sim.wait("status", 1, 2)


def test_cycles(sim):
    """run and bare advance the design by exactly the cycles they say."""

    def left():
        return MAP.register("status").unpack(sim.read("status"))["left"]

    sim.write("start", 60000)
    timer, before = left(), sim.cycles
    for advance, n in ((sim.run, 1234), (sim.bare, 1234), (sim.run, 0)):
        advance(n)
        assert sim.cycles == before + n
        passed = timer - left()
        assert passed == sim.cycles - before
        timer, before = timer - passed, sim.cycles


def test_silence_and_reset(sim):
    """A host port that never answers is an error, not a hang; a reset brings it back."""
    sim.write("note", 9)
    for access in (lambda: sim.read("hole"), lambda: sim.write_block("hole", [1, 2])):
        with pytest.raises(BusTimeoutError, match=r"at 0x000300 \(hole \+ 0x0\): .* silent"):
            access()
        with pytest.raises(BusTimeoutError, match="note"):
            sim.read("note")
        sim.reset(1)
        assert sim.read("note") == 0
        sim.write("note", 9)
        assert sim.read("note") == 9


def test_reset_in_mid_run(sim):
    """A reset ends a running operation and sets the counters back, and the next one runs."""
    sim.write("start", 60000)
    sim.run(100)
    assert sim.read("status") != 0
    sim.reset()
    assert sim.read("status") == 0
    assert sim.read("starts") == 0
    sim.write("start", 50)
    sim.wait("status", 1, 0)
    assert sim.read("starts") == 1


def test_models_are_independent(library, tracing_library):
    """Three open simulators, one of them tracing, keep their own state."""
    with (
        Simulator(library, MAP) as a,
        Simulator(library, MAP) as b,
        Simulator(tracing_library, MAP) as c,
    ):
        for value, sim in enumerate((a, b, c)):
            sim.write("note", value)
        assert [sim.read("note") for sim in (a, b, c)] == [0, 1, 2]


def test_waves(tracing_library, tmp_path):
    """Waves hold just the cycles between trace(path) and trace(None), once more if asked."""
    with Simulator(tracing_library, MAP) as sim:
        for name, value in (("a.vcd", 0x1234), ("b.vcd", 0x0F0F)):
            sim.trace(tmp_path / name)
            sim.write("note", value)
            sim.trace(None)
            sim.write("note", value + 1)
            text = (tmp_path / name).read_text()
            assert "s_axi_awvalid" in text
            assert f"b{value:032b} " in text
            assert f"b{value + 1:032b} " not in text
        with pytest.raises(UserError, match="nowhere"):
            sim.trace(tmp_path / "nowhere" / "c.vcd")


def test_waves_without_tracing(sim, tmp_path):
    """Waves on a model built without tracing are a UserError, and no file is made."""
    with pytest.raises(
        UserError, match=r"a\.vcd, must be writable, and the model must be built with tracing"
    ):
        sim.trace(tmp_path / "a.vcd")
    assert not (tmp_path / "a.vcd").exists()


def test_tracing_changes_nothing(library, tracing_library, tmp_path):
    """A traced run takes the same cycles and reads the same words."""

    def run(path, traced):
        with Simulator(path, MAP) as sim:
            if traced:
                sim.trace(tmp_path / "waves.vcd")
            sim.stall(0.3, 5)
            sim.write_block("scratch", random_words(1, 47))
            return sim.cycles, sim.read_block("scratch", 47).tolist()

    assert run(library, False) == run(tracing_library, True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.write("note", -1), "words are -1 to -1"),
        (lambda s: s.write("note", 1, 2**32), "words are 1 to 4294967296"),
        (lambda s: s.write_block("note", np.ones(2)), "dtype float64"),
        (lambda s: s.read(2), "at 0x2, must be at a multiple of 4"),
        (lambda s: s.read(0x1000), "1 words at 0x1000, must be .* end by 0x1000"),
        (lambda s: s.read_block(0xFF8, 3), "3 words at 0xff8"),
        (lambda s: s.stall(1), "probability is 1"),
    ],
)
def test_bad_arguments(sim, call, message):
    """Values, dtypes, addresses and probabilities out of range are ValueErrors."""
    with pytest.raises(ValueError, match=message):
        call(sim)


def test_unknown_name(sim):
    """A name that the register map lacks is a KeyError."""
    with pytest.raises(KeyError, match="speed"):
        sim.read("speed")


def test_closed(library):
    """A closed simulator may be closed again, and refuses everything else."""
    sim = Simulator(library, MAP)
    sim.close()
    sim.close()
    with pytest.raises(ValueError, match="run was called on a simulator that is closed"):
        sim.run(1)


def test_no_library(tmp_path):
    """A library that is not there is a UserError with its path."""
    with pytest.raises(UserError, match=r"none\.so cannot be loaded"):
        Simulator(tmp_path / "none.so", MAP)
