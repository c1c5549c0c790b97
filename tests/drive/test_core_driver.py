"""The core behind its driver: stalls, resets, accesses that are refused, one wrong bit found."""

import itertools

import numpy as np
import pytest

from backspike.drive.core_driver import BYTES, CoreDriver
from backspike.gen.core.faults import Fault
from backspike.gen.core.map import core_map
from backspike.gen.machine import MACHINES
from backspike.ir.constants import ENGINES
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.ir.surrogate import rectangle
from backspike.sim.verilator.simulator import BusError
from backspike.train.fuzz_training import random_halves
from tests.support.core_runs import (
    LEARNING,
    MEMORIES,
    NETWORK,
    check_run,
    memories,
    random_weights,
    tiny_backend,
)
from tests.support.layered import GoldenChain, Layer, LockstepChain, Network, random_batch

pytestmark = pytest.mark.verilator


@pytest.fixture
def backend():
    backend = tiny_backend()
    yield backend
    backend.close()


def prepare(backend, seed: int = 1) -> None:
    """Up to where `both` can run: a batch forward, and the next one's inputs."""
    rng = np.random.default_rng(seed)
    backend.load_weights(random_weights(rng))
    backend.forward(*random_batch(rng, NETWORK, LEARNING.batch))
    spikes, labels = random_batch(rng, NETWORK, LEARNING.batch)
    backend.driver.write_inputs({"input": spikes}, labels, 1)


def start(backend, program: str = "both") -> None:
    """Ring the doorbell, and do not wait."""
    port = backend.simulator
    for name, tasks in backend.plan.programs[program].items():
        register = port.registers.register(f"queue_{name}")
        port.write(f"queue_{name}", register.pack(begin=tasks.begin, end=tasks.end))
    port.write("buffer", port.registers.register("buffer").pack(forward=1, backward=0))
    port.write("start", 1)


def running(backend) -> bool:
    return bool(backend.driver.status()["running"])


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_stalls_of_the_host_port(backend, probability):
    """Runs with random stalls of the host port keep golden's bits."""
    print("seed", seed := int(1000 * probability))
    backend.simulator.stall(probability, seed)
    check_run(backend, seed)


def test_stalls_with_a_host_supplied_error():
    """An error written by the host under stalls trains with golden's bits."""
    backend = tiny_backend(learning=Learning(batch=7, rounding="stochastic", seed=3))
    backend.simulator.stall(0.6, 5)
    check_run(backend, 5)
    backend.close()


def test_resets_in_the_middle_of_a_batch(backend):
    """At random cycles, from the doorbell to the end; then everything is right, and again."""
    rng = np.random.default_rng(11)
    prepare(backend)
    begun = backend.simulator.cycles
    start(backend)
    backend.simulator.wait("status", 1, 0)
    length = backend.simulator.cycles - begun
    assert length > 2000
    cut = 0
    for at in [0, 1, 5, *rng.integers(0, length, 12)]:
        prepare(backend)
        # Not rehearsed if nothing has changed since: both kinds of run are cut.
        start(backend)
        backend.simulator.run(int(at))
        cut += running(backend)
        backend.simulator.reset(int(rng.integers(1, 4)))
        assert not running(backend)
        counters = backend.driver.counters()
        assert counters.pop("total") == counters.pop("overlap") == 0
        assert all(not any(counters[name].values()) for name in ENGINES)
        assert backend.driver.status() == dict.fromkeys(backend.driver.status(), 0)
        backend.driver.load_plan()
        check_run(backend, int(at))
    assert cut > 8


def test_reset_of_registers(backend):
    """The configuration is gone after a reset; the memories are not, and a start is refused."""
    prepare(backend)
    before = memories(backend)
    backend.simulator.reset()
    assert backend.simulator.read("batch") == backend.simulator.read("time") == 0
    assert memories(backend) == before
    start(backend)
    backend.simulator.wait("status", 1, 0)
    assert backend.driver.status()["fault"] == 1
    assert memories(backend) == before


@pytest.mark.parametrize(
    ("register", "fields"),
    [
        ("batch", {"samples": 0}),
        ("batch", {"sets": 0}),
        ("batch", {"samples": 9}),  # 18 entries
        ("batch", {"samples": 31}),
        ("batch", {"sets": 2731}),  # 8193 blocks
        ("batch", {"sets": 8191}),
        ("time", {"steps": 0, "last_steps": 0}),
        ("time", {"last_steps": 0}),
        ("time", {"last_steps": 3}),
        ("time", {"steps": 3}),  # 21 entries
        ("time", {"spans": 0}),
        ("time", {"spans": 8192 - 1}),  # of a set: as many as can be counted
    ],
)
def test_a_batch_that_is_none_is_refused(backend, register, fields):
    """Nothing in it, blocks that are too large, or too many: a fault, and nothing has run."""
    prepare(backend)
    cut = backend.plan.cut
    assert (cut.samples, cut.sets, cut.steps, cut.last_steps, cut.spans) == (7, 1, 2, 1, 3)
    before = memories(backend)
    port = backend.simulator
    entry = port.registers.register(register)
    port.write(register, entry.pack(**entry.unpack(port.read(register)) | fields))
    start(backend)
    port.wait("status", 1, 0)
    status = backend.driver.status()
    beyond = fields == {"spans": 8191}  # a batch, but one that no memory has room for
    assert status["fault"] == (Fault.UNITS if beyond else Fault.BATCH).value
    assert memories(backend) == before
    start(backend)  # and again, though nothing has changed
    port.wait("status", 1, 0)
    assert backend.driver.status() == status
    backend.driver.load_plan()
    check_run(backend)


def test_while_running_everything_but_looking_is_refused(backend, monkeypatch):
    """Doorbell, configuration and windows answer SLVERR; the run's bits do not change."""
    rng = np.random.default_rng(2)
    lockstep = LockstepChain(backend, GoldenChain(NETWORK, LEARNING))
    lockstep.load_weights(random_weights(rng))
    first, second = (random_batch(rng, NETWORK, 7) for _ in range(2))
    lockstep.forward(*first)
    refused = 0
    port, wait = backend.simulator, backend.simulator.wait

    def meddle(*arguments, **options) -> int:
        nonlocal refused
        assert running(backend)
        for register in port.registers.registers:
            if register.access != "ro":
                with pytest.raises(BusError, match="SLVERR"):
                    port.write(register.name, 0 if register.name != "start" else 1)
                refused += 1
        for window in port.registers.windows:
            for address in (window.base, window.base + (window.words - 1) * BYTES):
                with pytest.raises(BusError, match="SLVERR"):
                    port.write(address, 0)
                with pytest.raises(BusError, match="SLVERR"):
                    port.read(address)
                refused += 2
        assert running(backend), "the run was over before all was tried"
        return wait(*arguments, **options)

    monkeypatch.setattr(port, "wait", meddle)
    lockstep.update_forward(None, 0, *second)
    monkeypatch.undo()
    assert refused > 40
    lockstep.update(None, 1)


def test_accesses_outside_the_map(backend):
    """Accesses outside the map or against a register's access are refused and change nothing."""
    prepare(backend)
    before = memories(backend)
    port = backend.simulator
    limit = 1 << port.registers.addr_width
    named = {register.offset for register in port.registers.registers}
    holes = [address for address in range(0, 0x80, BYTES) if address not in named]
    holes += [0x100, 0x1000, 0xF_FFFC, limit - BYTES]
    for window in port.registers.windows:
        if window.base >= 1 << 20:
            holes += [window.base + window.words * BYTES, window.base + (1 << 20) - BYTES]
    for address in holes:
        with pytest.raises(BusError) as raised:
            port.read(address)
        assert (raised.value.address, raised.value.response) == (address, "SLVERR")
        with pytest.raises(BusError):
            port.write(address, 0x3C00)
    for name in ("ident", "version", "machine", "status", "sizes", "counters", "codes"):
        with pytest.raises(BusError):
            port.write(name, 0)
    for name in ("start", "clear", "labels"):
        with pytest.raises(BusError):
            port.read(name)
    for name in ("batch", "time", "buffer", "extent0", "queue_fp"):
        value = port.read(name)
        with pytest.raises(BusError):
            port.write(name, 0xFFFF_FFFF)
        assert port.read(name) == value
    assert not running(backend)
    assert memories(backend) == before
    check_run(backend)


@pytest.mark.parametrize("skew", [1, 2, 3])
def test_accesses_that_are_not_aligned(backend, skew):
    """An access at an address that is no multiple of 4 is refused and changes nothing."""
    prepare(backend)
    before = memories(backend)
    port = backend.simulator
    for name in ("batch", "time", *(w.name for w in port.registers.windows)):
        entry = port.registers[name]
        address = (entry.base if hasattr(entry, "base") else entry.offset) + skew
        for operation in ("write", "read"):
            assert port.response(operation, address) == "SLVERR", (name, operation)
    assert memories(backend) == before
    check_run(backend)


@pytest.mark.parametrize("window", ["weights", "logits", "gradients"])
@pytest.mark.parametrize("bits", [0x8000, 0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF])
def test_what_is_no_finite_half_is_refused(backend, window, bits):
    """Infinities, NaNs and -0 are refused in windows of halves; the largest halves are not."""
    prepare(backend)
    port = backend.simulator
    address = port.registers.window(window).base + 5 * BYTES
    before = memories(backend)
    for word in (bits, bits << 16, bits << 16 | 0x3C00, bits << 16 | bits):
        with pytest.raises(BusError, match="SLVERR"):
            port.write(address, word)
    assert memories(backend) == before
    port.write(address, 0xFBFF_7BFF)  # the largest are halves
    assert port.read(address) == 0xFBFF_7BFF
    check_run(backend)


def test_memories_keep_what_is_written(backend):
    """Every word of every window that can be written and read."""
    rng = np.random.default_rng(4)
    port, written = backend.simulator, {}
    for window in port.registers.windows:
        if window.access == "rw":
            if window.name in ("weights", "logits", "gradients"):
                words = random_halves(rng, (2 * window.words,), "any").view(np.uint32)
            else:
                words = rng.integers(0, 2**32, window.words).astype(np.uint32)
            written[window.name] = words
            port.write_block(window.name, words)
    assert set(written) == {"weights", "spikes", "gradients", "masks", "logits",
                            *(f"layers_{n}" for n in ENGINES),
                            *(f"tasks_{n}" for n in ENGINES)}  # fmt: skip
    for name, words in written.items():
        assert (port.read_block(name, len(words)) == words).all(), name
    assert set(MEMORIES) - set(written) == {"codes"}
    backend.driver.load_plan()
    check_run(backend)


def flip(backend, layer: int, k: int, j: int, bit: int) -> int:
    """Flip a bit of a weight in the core's memory; returns the weight's new pattern."""
    at, lanes = backend.plan.layers[layer], backend.plan.machine.lanes
    row = (at.weights + j // lanes * at.source_tiles) * lanes + k
    place = row * lanes + (k + j) % lanes
    address = backend.simulator.registers.window("weights").base + place // 2 * BYTES
    shift = 16 * (place % 2)
    word = backend.simulator.read(address) ^ 1 << shift + bit
    backend.simulator.write(address, word)
    return word >> shift & 0xFFFF


def shown(bits: int) -> str:
    return f"0x{bits:04x} ({float(np.uint16(bits).view(np.float16)):.9g})"


@pytest.mark.parametrize("seed", range(6))
def test_one_flipped_bit_of_a_weight_is_found_and_named(seed):
    """Any bit of any weight of any layer. With an error of zero nothing hides or spreads it."""
    backend = tiny_backend(learning=Learning(batch=7))
    rng = np.random.default_rng(seed)
    lockstep = LockstepChain(backend, GoldenChain(NETWORK, backend.plan.learning))
    weights = random_weights(rng)
    lockstep.load_weights(weights)
    batch = random_batch(rng, NETWORK, 7)
    lockstep.forward(*batch)
    layer = seed % len(weights)
    k, j = (int(rng.integers(n)) for n in weights[layer].shape)
    got = flip(backend, layer, k, j, int(rng.integers(10)))
    want = int(weights[layer][k, j])
    with pytest.raises(Mismatch) as raised:
        lockstep.update(np.zeros((7, NETWORK.sizes[-1]), np.uint16), 0)
    assert str(raised.value) == (
        f"connection {layer}, tensor weights, batch 0, source {k}, index {j}: got {shown(got)}, "
        f"want {shown(want)} (1 of {weights[layer].size} values of this tensor differ)"
    )
    assert lockstep.counts.mismatches == 1
    backend.close()


def test_a_flipped_bit_is_named_where_it_first_shows(backend):
    """In a weight that is updated, the updated weight; in the read-out's bias, the logits."""
    rng = np.random.default_rng(8)
    golden = GoldenChain(NETWORK, LEARNING)
    lockstep = LockstepChain(backend, golden)
    weights = random_weights(rng)
    batch = random_batch(rng, NETWORK, 7)
    lockstep.load_weights(weights)
    lockstep.forward(*batch)
    flip(backend, 0, 4, 3, 9)
    with pytest.raises(Mismatch, match="connection 0, tensor weights, batch 0, source 4, ind"):
        lockstep.update(None, 0)

    lockstep = LockstepChain(backend, golden)
    lockstep.load_weights(weights)
    flip(backend, 2, 6, 1, 9)
    with pytest.raises(Mismatch) as raised:
        lockstep.forward(*batch)
    golden.load_weights([*weights[:2], np.where(*_bit(weights[2], 6, 1, 9))])
    wrong = golden.forward(*batch)
    lockstep.reference.load_weights(weights)
    right = golden.forward(*batch)
    text = str(raised.value)
    assert text.startswith("population 2, tensor logits, batch 0, sample 0, index 1: ")
    assert f"got {shown(int(wrong[0, 1]))}, want {shown(int(right[0, 1]))} (7 of 35" in text


def _bit(weights: np.ndarray, k: int, j: int, bit: int):
    """Arguments of np.where: these weights with one bit flipped."""
    here = np.zeros(weights.shape, bool)
    here[k, j] = True
    return here, weights ^ np.uint16(1 << bit), weights


def test_identification(backend, monkeypatch):
    """A driver refuses what is not this core."""
    port = backend.simulator
    assert port.read("ident") == 0x424B5350
    read = port.read_block
    wrong = {"ident": np.uint32(1)}
    monkeypatch.setattr(port, "read_block", lambda at, n: read(at, n) + wrong.get(at, np.uint32(0)))
    with pytest.raises(UserError, match="identification is 0x424b5351"):
        CoreDriver(port, backend.plan)


@pytest.mark.parametrize("name", MACHINES)
def test_every_window_has_its_room(name):
    """No window reaches into the next one's addresses."""
    windows = core_map(MACHINES[name]).windows
    for first, second in itertools.pairwise(windows):
        assert first.base + first.words * BYTES <= second.base


@pytest.mark.parametrize("rule", ["bptt", "mpd-ed"])
@pytest.mark.parametrize("fires", [False, True])
def test_an_error_that_is_not_used_does_not_saturate(rule, fires):
    """Two neurons of one tile: the first fires; the second's error saturates if it is summed.

    It is used if its derivative is not zero: always with `bptt` here, at spikes with `mpd-ed`.
    Golden and core must agree on the flag, and the lanes beside it must not matter.
    """
    layer = Layer(size=2, rule=rule, surrogate=rectangle(8.0))
    network = Network(inputs=1, steps=1, layers=(layer, Layer(size=4)))
    backend = tiny_backend(network, Learning(batch=1, rate=2.0**-10))
    golden = GoldenChain(network, backend.plan.learning)
    one, large = 0x3C00, 0x7BFF
    weights = [np.array([[one, one if fires else 0]], np.uint16), np.zeros((2, 4), np.uint16)]
    weights[1][1] = large
    flags = []
    for each in (backend, golden):
        each.load_weights(weights)
        each.forward(np.ones((1, 1, 1), np.uint8), np.zeros(1, np.int64))
        before = each.saturated()
        each.update(np.full((1, 4), one, np.uint16), 0)
        flags.append((before, each.saturated()))
    assert flags[0] == flags[1] == (False, fires or rule == "bptt")
    backend.close()
