"""The register map: its description, its page, and the hardware against a plain model."""

import random

import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from backspike.gen.host.bus import OUTSTANDING
from backspike.gen.host.register_file import RegisterFile
from backspike.gen.host.register_page import markdown
from backspike.gen.host.registers import Field, Register, RegisterMap, Window
from tests.support.host_example import MAP


class Model:
    """What an access does, from the page's sentences and nothing of the hardware."""

    def __init__(self):
        self.values = {r.name: r.reset for r in MAP.registers}
        self.strobes: list[tuple[str, int]] = []

    def access(self, write: bool, address: int, data: int, lock: bool):
        """(data, error), or the name of the window that answers."""
        for window in MAP.windows:
            if 0 <= address - window.base < 4 * window.words:
                wrong = window.access == ("ro" if write else "wo") or (window.locked and lock)
                return (0, 1) if wrong else window.name
        for register in MAP.registers:
            if register.offset == address:
                if not write:
                    return (0, 1) if register.access == "wo" else (self.values[register.name], 0)
                if register.access == "ro" or data & ~register.mask or (register.locked and lock):
                    return 0, 1
                if register.access == "rw":
                    self.values[register.name] = data
                else:
                    self.strobes.append((register.name, data))
                return 0, 0
        return 0, 1


def some_request(rng, write):
    """(write, address, data): mostly at the edges of what exists."""
    edges = [r.offset for r in MAP.registers] * 3
    for w in MAP.windows:
        edges += [w.base, w.base + 4 * w.words - 4, w.base + 4 * w.words]
    address = rng.choice(edges) if rng.random() < 0.8 else 4 * rng.randrange(1 << 10)
    data = rng.choice([0, 1, 5, 0xFF00_0007, 0x0100, rng.getrandbits(16), 0xFFFF_FFFF])
    return write, address, data


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hardware_equals_model(seed):
    """Random accesses, as far as the bus allows at once; windows stall, and answer late."""
    rng = random.Random(seed)
    stall = [0.0, 0.3, 0.7][seed]
    dut = RegisterFile(MAP)
    model = Model()
    strobes = []

    async def testbench(ctx):
        wanted = []  # responses that are due: (data, error, the access in words)
        answers = {window.name: [] for window in MAP.windows}
        request, write, lock = None, False, False
        writing = False  # a write has no response yet
        came = False  # a window has answered
        ctx.set(dut.response.ready, 1)
        for _ in range(5000):
            allowed = not writing and len(wanted) < (1 if write else OUTSTANDING)
            if request is None and allowed and rng.random() >= stall:
                request, lock = some_request(rng, write), rng.random() < 0.3
                ctx.set(dut.lock, lock)
                ctx.set(
                    dut.request.payload,
                    {"write": write, "address": request[1] // 4, "data": request[2]},
                )
            ctx.set(dut.request.valid, request is not None)
            for register in MAP.registers:
                if register.access == "ro":
                    value = rng.getrandbits(32) & register.mask
                    model.values[register.name] = value
                    ctx.set(Value.cast(getattr(dut, register.name)), value)
            for name, queue in answers.items():
                port = getattr(dut, name)
                ctx.set(port.request.ready, len(queue) < 3 and rng.random() >= stall)
                ctx.set(port.response.valid, bool(queue) and rng.random() >= stall)
                if queue:
                    ctx.set(port.response.payload, queue[0])

            assert not came or ctx.get(dut.response.valid)  # in the cycle after a window's answer
            if ctx.get(dut.response.valid):
                data, error, what = wanted.pop(0)
                got = ctx.get(dut.response.payload.data), ctx.get(dut.response.payload.error)
                assert got == (data, error), what
                writing = False
            came = False
            for name, queue in answers.items():
                if ctx.get(getattr(dut, name).response.valid):
                    assert ctx.get(getattr(dut, name).response.ready)
                    queue.pop(0)
                    came = True
            routed = [n for n in answers if ctx.get(getattr(dut, n).request.valid)]
            if request and ctx.get(dut.request.ready):
                write, address, data = request
                what = f"{'write' if write else 'read'} at {address:#x}, {data:#x}, lock {lock}"
                want = model.access(write, address, data, lock)
                if isinstance(want, str):
                    assert routed == [want], what
                    port = getattr(dut, want).request
                    assert ctx.get(port.ready), what
                    got = tuple(ctx.get(port.payload[n]) for n in ("write", "address", "data"))
                    assert got == (write, (address - MAP.window(want).base) // 4, data), what
                    want = rng.getrandbits(32), rng.getrandbits(1)
                    answers[routed[0]].append({"data": want[0], "error": want[1]})
                else:
                    assert not routed, what
                wanted.append((*want, what))
                writing, request, write = write, None, rng.random() < 0.4
            else:
                assert not any(ctx.get(getattr(dut, n).request.ready) for n in routed)
            await ctx.tick()
            for name, value in model.values.items():
                if MAP.register(name).access == "rw":
                    assert ctx.get(Value.cast(getattr(dut, name))) == value, name

    async def watch(ctx):
        async for _, _, valid, data in ctx.tick().sample(dut.start.valid, dut.start.data):
            if valid:
                strobes.append(("start", data))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    # The last one may still be on its way.
    assert strobes == model.strobes[: len(strobes)]
    assert len(model.strobes) - len(strobes) <= 1
    assert len(strobes) > 10


def test_words():
    """A register's fields are packed and unpacked at their places, and checked."""
    setting = MAP.register("setting")
    assert setting.mask == 0xFF00_0007
    assert setting.pack() == 0x0300_0005
    assert setting.pack(level=255) == 0xFF00_0005
    assert setting.unpack(0xFE12_3456) == {"mode": 6, "level": 0xFE}
    with pytest.raises(ValueError, match=r"setting\.mode is 8, must be 0 to 7"):
        setting.pack(mode=8)
    with pytest.raises(KeyError, match="it has mode, level"):
        setting.pack(speed=1)


def test_names():
    """Addresses have names, and an unknown name is a KeyError that lists the known ones."""
    assert MAP.at(0x10) == "setting"
    assert MAP.at(0x104) == "scratch + 0x4"
    assert MAP.at(0x1C0) == "nothing"
    assert list(MAP)[-2:] == ["echo", "hole"]
    with pytest.raises(KeyError, match="no register 'speed': it has identification, status"):
        MAP.register("speed")
    with pytest.raises(KeyError, match="no window 'note': it has scratch, echo, hole"):
        MAP.window("note")


def register(name="a", offset=0, **options):
    return Register(name=name, offset=offset, doc="", **{"access": "rw", **options})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: register(offset=6), "offset of a is 0x6"),
        (lambda: register(access="r"), "access of a is 'r', must be ro, rw or wo"),
        (lambda: register(width=33), "width of a is 33"),
        (lambda: register(width=4, reset=16), "reset of a is 0x10, must be within 0xf"),
        (lambda: register(access="ro", reset=1), "only rw has one"),
        (lambda: register(access="ro", locked=True), "only what can be written can be locked"),
        (lambda: register(name="a b"), "name is 'a b'"),
        (lambda: Field("f", 31, 2, ""), "lsb 31 and width 2"),
        (
            lambda: register(fields=(Field("f", 0, 2, ""), Field("g", 1, 2, ""))),
            "a.g overlaps",
        ),
        (
            lambda: register(fields=(Field("f", 0, 1, ""), Field("f", 1, 1, ""))),
            "two fields of one name",
        ),
        (
            lambda: Window(name="w", base=0x20, words=9, access="rw", doc=""),
            "base of w is 0x20, must be a multiple of 0x40",
        ),
        (lambda: Window(name="w", base=0, words=0, access="rw", doc=""), "words of w is 0"),
        (lambda: RegisterMap("", "", (register(), register())), "name twice: a, a"),
        (lambda: RegisterMap("", "", (register(), register("b"))), "b at 0x0 overlaps a"),
        (
            lambda: RegisterMap(
                "",
                "",
                (register(offset=0x38),),
                (Window(name="w", base=0, words=9, access="rw", doc=""),),
            ),
            "a at 0x38 overlaps w, which ends at 0x40",
        ),
        (lambda: RegisterMap("", "", (register(offset=64),), (), 6), "a ends at 0x44, must end"),
        (lambda: RegisterMap("", "", (register("lock"),)), "register's name is 'lock'"),
    ],
)
def test_bad_maps(make, message):
    """A map that contradicts itself is a ValueError that says where."""
    with pytest.raises(ValueError, match=message):
        make()


def test_page():
    """The page has every register, field and window once, with its reset and access."""
    page = markdown(MAP)
    lines = page.splitlines()
    assert lines[0] == "# Example"
    assert (
        "| `0x010` | `setting` | read, write when idle | `0x3000005` | kept for the host |" in lines
    )
    assert "| 31:24 | `level` | any |" in lines
    assert "| 0 | `busy` | the timer runs |" in lines
    assert "| `0x100` | `0x1bf` | `scratch` | read, write | 48 | a memory |" in lines
    for entry in (*MAP.registers, *MAP.windows):
        assert page.count(f"| `{entry.name}` |") == 1
    assert page.endswith("|\n")
