"""Models of ECP5 cells beside what Lattice writes of them (FPGA-TN-02204, FPGA-TN-02205)."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.sim.bench.array_bench import ArrayBench, after
from backspike.sim.verilator.board import CELLS as MODELS
from backspike.system.tools import ToolFailed

pytestmark = pytest.mark.verilator
ROOT = Path(__file__).resolve().parents[4]
CELLS = {"ecp5.v": (MODELS / "ecp5.v").read_text()}
SIGNALS = {"ad": 14, "di": 18, "ce": 1, "we": 1, "rst": 1, "cs": 3}
"""A port's inputs and their widths."""
BITS = 18 * 1024
BEFORE = "READBEFOREWRITE"
RNG = np.random.default_rng(0)
CONTENT = RNG.integers(0, 2, BITS)
"""What the memories begin with, a number a bit."""


def config(a, b, mode_a="NORMAL", mode_b="NORMAL", reset="SYNC", select=(0, 0)) -> dict:
    return {
        "DATA_WIDTH_A": a,
        "DATA_WIDTH_B": b,
        "WRITEMODE_A": mode_a,
        "WRITEMODE_B": mode_b,
        "RESETMODE": reset,
        "ASYNC_RESET_RELEASE": reset,
        "CSDECODE_A": f"0b{select[0]:03b}",
        "CSDECODE_B": f"0b{select[1]:03b}",
        "REGMODE_A": "NOREG",
        "REGMODE_B": "NOREG",
        "CLKAMUX": "CLKA",
        "CLKBMUX": "CLKB",
        "GSR": "DISABLED",
    }


CONFIGS = {
    "bits": config(1, 2, "NORMAL", "WRITETHROUGH"),
    "nibbles": config(4, 9, "WRITETHROUGH", "READBEFOREWRITE", "ASYNC"),
    "words": config(18, 18, "READBEFOREWRITE", "NORMAL", select=(6, 2)),
    "through": config(18, 1, "WRITETHROUGH", "NORMAL", "ASYNC"),
    "wide": config(36, 36),
    "narrowing": config(36, 4, reset="ASYNC"),
    "widening": config(18, 36, select=(0, 7)),
}


def initial_values() -> dict[str, int]:
    """INITVAL_00 to INITVAL_3F: sixteen words of eighteen bits, five hexadecimal digits each."""
    words = [int("".join(map(str, word[::-1])), 2) for word in CONTENT.reshape(-1, 18)]
    return {
        f"INITVAL_{n:02X}": int("".join(f"{w:05x}" for w in words[16 * n : 16 * n + 16][::-1]), 16)
        for n in range(64)
    }


class Memories(wiring.Component):
    """A DP16KD of each configuration, every pin a port: `wide_ad_a`."""

    def __init__(self, configs: dict[str, dict]):
        self._configs = configs
        ports = {f"{name}_{s}_{p}": In(w) for name in configs for p in "ab"
                 for s, w in SIGNALS.items()}  # fmt: skip
        ports |= {f"{name}_do_{p}": Out(18) for name in configs for p in "ab"}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        for name, parameters in self._configs.items():
            pins = {f"p_{key}": value for key, value in (parameters | initial_values()).items()}
            for port in "ab":
                x = port.upper()
                pins |= {f"i_CLK{x}": ClockSignal(), f"i_OCE{x}": 1}
                for s, width in SIGNALS.items():
                    value = getattr(self, f"{name}_{s}_{port}")
                    bits = [(s.upper() + x, value)] if width == 1 else [
                        (f"{s.upper()}{x}{n}", value[n]) for n in range(width)]  # fmt: skip
                    pins |= {f"i_{pin}": bit for pin, bit in bits}
                out = getattr(self, f"{name}_do_{port}")
                pins |= {f"o_DO{x}{n}": out[n] for n in range(18)}
            m.submodules[name] = Instance("DP16KD", **pins)
        return m


class Naive:
    """A DP16KD bit by bit, as Lattice documents it."""

    def __init__(self, parameters: dict):
        self.width = {p: parameters[f"DATA_WIDTH_{p.upper()}"] for p in "ab"}
        self.mode = {p: parameters[f"WRITEMODE_{p.upper()}"] for p in "ab"}
        self.select = {p: int(parameters[f"CSDECODE_{p.upper()}"], 2) for p in "ab"}
        self.asynchronous = parameters["RESETMODE"] == "ASYNC"
        self.pseudo = 36 in self.width.values()
        self.bits = CONTENT.copy()
        self.out = {"a": 0, "b": 0}

    def places(self, port: str, address: int) -> list[int]:
        """Where the bits of a port's word are."""
        width = self.width[port]
        if width >= 9:  # "the parity bits are data bits": the memory in words
            word = address >> {9: 3, 18: 4, 36: 5}[width]
            return list(range(word * width, (word + 1) * width))
        word = address >> {1: 0, 2: 1, 4: 2}[width]
        each = 8 // width
        return [word // each * 9 + word % each * width + n for n in range(width)]

    def writes(self, port: str, i: dict) -> dict[int, int]:
        """{place: bit} that a port writes."""
        if not (i[f"ce_{port}"] and i[f"we_{port}"] and i[f"cs_{port}"] == self.select[port]):
            return {}
        address, data = i[f"ad_{port}"], i[f"di_{port}"]
        if self.width[port] == 36:
            data |= i["di_b"] << 18
        places = self.places(port, address)
        enabled = lambda n: self.width[port] < 18 or address >> n // 9 & 1  # noqa: E731
        return {place: data >> n & 1 for n, place in enumerate(places) if enabled(n)}

    def shown(self, i: dict) -> dict[str, int]:
        """The pins, before the clock's edge."""
        if self.asynchronous:
            self.out = {p: 0 if i[f"rst_{p}"] else v for p, v in self.out.items()}
        if self.width["b"] == 36:
            return {"a": self.out["b"] & 0x3FFFF, "b": self.out["b"] >> 18}
        return dict(self.out)

    def edge(self, i: dict) -> None:
        written = {p: self.writes(p, i) for p in "ab"}
        for p, other in ("ab", "ba"):
            reads = (
                i[f"ce_{p}"] and i[f"cs_{p}"] == self.select[p] and not (self.pseudo and p == "a")
            )
            if i[f"rst_{p}"]:
                self.out[p] = 0
            elif reads and not (i[f"we_{p}"] and self.mode[p] == "NORMAL"):
                bits = []
                for place in self.places(p, i[f"ad_{p}"]):
                    bit = self.bits[place]
                    if place in written[other]:
                        bit = 1 - written[other][place]
                    if self.mode[p] == "WRITETHROUGH":
                        bit = written[p].get(place, bit)
                    bits.append(int(bit))
                self.out[p] = sum(bit << n for n, bit in enumerate(bits))
        for place, bit in (written["a"] | written["b"]).items():
            self.bits[place] = bit

    def legal(self, i: dict) -> None:
        """Changes inputs so that nothing is asked for that is left open."""
        if self.pseudo:
            i["we_b"] = 0
        for p in "ab":
            if i[f"rst_{p}"]:
                i[f"we_{p}"] = 0
            if self.width[p] == 18 and self.mode[p] != "READBEFOREWRITE" and not self.pseudo:
                i[f"ad_{p}"] |= 3 * i[f"we_{p}"]
        if self.writes("a", i).keys() & self.writes("b", i).keys():
            i["we_b"] = 0


def random_inputs(naive: Naive, cycles: int) -> tuple[list[dict], list[dict]]:
    """Inputs, mostly at few addresses, and what the pins show."""
    given, shown = [], []
    for _ in range(cycles):
        i = {}
        for p in "ab":
            near = RNG.random() < 0.9
            i[f"ad_{p}"] = int(RNG.integers(128) if near else RNG.integers(1 << 14))
            i[f"di_{p}"] = int(RNG.integers(1 << 18))
            i[f"ce_{p}"], i[f"we_{p}"] = int(RNG.random() < 0.8), int(RNG.random() < 0.5)
            i[f"rst_{p}"] = int(RNG.random() < 0.05)
            i[f"cs_{p}"] = naive.select[p] if RNG.random() < 0.8 else int(RNG.integers(8))
        naive.legal(i)
        given.append(i)
        shown.append(naive.shown(i))
        naive.edge(i)
    return given, shown


def memory_model() -> ArrayBench:
    return ArrayBench(Memories(CONFIGS), "cells_ecp5_memories", CELLS)


@pytest.fixture(scope="module")
def memories() -> ArrayBench:
    return memory_model()


def test_memories_do_as_documented(memories):
    """Widths, writing modes, byte enables, chip selects, resets, contents: two naive models."""
    cases = {name: random_inputs(Naive(each), 3000) for name, each in CONFIGS.items()}
    arrays = {f"{name}_{pin}": np.array([i[pin] for i in given])
              for name, (given, _) in cases.items() for pin in given[0]}  # fmt: skip
    outputs = memories(**arrays)
    for name, (given, shown) in cases.items():
        for p in "ab":
            got, want = outputs[f"{name}_do_{p}"], np.array([out[p] for out in shown])
            wrong = np.flatnonzero(got != want)
            assert not len(wrong), (
                f"{name}, port {p}, cycle {wrong[0]}: got {got[wrong[0]]:#x}, "
                f"want {want[wrong[0]]:#x} before {given[wrong[0] - 1]}"
            )
            reads = (
                p == "b" or CONFIGS[name]["DATA_WIDTH_B"] == 36 or "36" not in str(CONFIGS[name])
            )
            assert (len(set(want.tolist())) > 1) == reads


def stopped(model: str, arrays: dict[str, list[int]]) -> str:
    """What a model prints that stops itself, and the process with it. model: who makes it here."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"import numpy as np; from {__name__} import {model}\n"
        f"{model}()(**{{name: np.array(values) for name, values in {arrays!r}.items()}})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("bits", {"ce_a": 1, "we_a": 1, "ce_b": 1, "we_b": 1}, "both ports write one place"),
        ("wide", {"ce_b": 1, "we_b": 1}, "port B of a pseudo dual-port memory writes"),
        ("nibbles", {"ce_a": 1, "we_a": 1, "rst_a": 1}, "a port writes under its reset"),
        ("through", {"ce_a": 1, "we_a": 1, "ad_a": 2}, "port A shows a word of which"),
        ("words", {"ce_b": 1, "we_b": 1, "cs_b": 2}, "port B shows a word of which"),
    ],
)
def test_signals_that_are_not_modelled_stop_it(memories, name, inputs, message):
    """Signals whose effect Lattice leaves open stop the simulation with a sentence."""
    arrays = {f"{name}_{pin}": [value, 0] for pin, value in inputs.items()}
    assert f"DP16KD: {message}" in stopped("memory_model", arrays)


USUAL = config(18, 18)
REFUSED = {
    "DATA_WIDTH_A is 8: 1, 2, 4, 9, 18 and 36 are modelled": USUAL | {"DATA_WIDTH_A": 8},
    "WRITEMODE_B is AFTER for 18 bits: not modelled": USUAL | {"WRITEMODE_B": "AFTER"},
    "WRITEMODE_B is READBEFOREWRITE for 4 bits: not modelled": config(18, 4, "NORMAL", BEFORE),
    "REGMODE_A is OUTREG: NOREG is modelled": USUAL | {"REGMODE_A": "OUTREG"},
    "CSDECODE_B is 0b0X1: 0b000 to 0b111 are": USUAL | {"CSDECODE_B": "0b0X1"},
    "CLKBMUX is INV: CLKB is modelled": USUAL | {"CLKBMUX": "INV"},
    "ASYNC_RESET_RELEASE is ASYNC: RESETMODE's": USUAL | {"ASYNC_RESET_RELEASE": "ASYNC"},
}


@pytest.mark.parametrize("half", [0, 1])
def test_parameters_that_are_not_modelled_are_refused(half):
    """Some at a time: Verilator stops after some errors."""
    messages = list(REFUSED)[half::2]
    cells = {f"cell{n}": REFUSED[message] for n, message in enumerate(messages)}
    with pytest.raises(ToolFailed) as error:
        ArrayBench(Memories(cells), "cells_ecp5_refused", CELLS)
    for message in messages:
        assert f"DP16KD: {message}" in error.value.said


class Multiplier(wiring.Component):
    """A MULT18X18D and a register behind it; signs, sources, enable and reset are ports."""

    flags = ("SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CE0", "RST0")

    def __init__(self, **parameters: str):
        self._parameters = {f"p_{key}": value for key, value in parameters.items()}
        flags = {flag.lower(): In(1) for flag in self.flags}
        super().__init__({"a": In(18), "b": In(18), **flags, "p": Out(36)})

    def elaborate(self, platform):
        m = Module()
        product = Signal(36)
        m.d.sync += self.p.eq(product)
        pins = {f"i_{flag}": getattr(self, flag.lower()) for flag in self.flags}
        pins["i_CLK0"] = ClockSignal()
        pins |= {f"i_A{n}": self.a[n] for n in range(18)}
        pins |= {f"i_B{n}": self.b[n] for n in range(18)}
        pins |= {f"i_C{n}": 0 for n in range(18)} | {f"o_P{n}": product[n] for n in range(36)}
        m.submodules.cell = Instance("MULT18X18D", **self._parameters, **pins)
        return m


REGISTERED = {"REG_OUTPUT_CLK": "CLK0", "GSR": "DISABLED"}


def multiplier_model() -> ArrayBench:
    return ArrayBench(Multiplier(), "cells_ecp5_multiplier", CELLS)


@pytest.fixture(scope="module")
def multiplier() -> ArrayBench:
    return multiplier_model()


def test_products_of_either_sign(multiplier):
    """The multiplier's product equals Python's for all signs, ends and random operands."""
    ends = [0, 1, (1 << 17) - 1, 1 << 17, (1 << 18) - 1]
    pairs = [(x, y) for x in ends for y in ends] + RNG.integers(0, 1 << 18, (2000, 2)).tolist()
    x, y = np.array(pairs).T
    for signs in range(4):
        sa, sb = signs & 1, signs >> 1
        flags = {"signeda": np.full(len(x), sa), "signedb": np.full(len(x), sb)}
        got = after(1, multiplier, a=x, b=y, **flags)["p"].tolist()
        value = lambda v, signed: v - (v >> 17 << 18) if signed else v  # noqa: E731
        for p, (one, other) in zip(got, pairs, strict=True):
            assert p == value(one, sa) * value(other, sb) & (1 << 36) - 1, (signs, one, other)


def test_a_multiplier_that_is_not_modelled(multiplier):
    """Cascaded operands stop the simulation, and other registers inside the cell fail the build."""
    told = stopped("multiplier_model", {"sourcea": [1]})
    assert "MULT18X18D: it takes another's operand" in told
    with pytest.raises(ToolFailed, match="MULT18X18D: it has registers before the product"):
        ArrayBench(Multiplier(REG_INPUTA_CLK="CLK0"), "cells_ecp5_registers", CELLS)
    for wrong in ({"REG_OUTPUT_CLK": "CLK1"}, {"GSR": "ENABLED"}, {"RESETMODE": "ASYNC"}):
        with pytest.raises(ToolFailed, match="MULT18X18D: its register has another clock"):
            ArrayBench(Multiplier(**{**REGISTERED, **wrong}), "cells_ecp5_registers", CELLS)


def test_a_registered_product():
    """A product comes a cycle later, is held without enable, and is 0 after a reset."""
    x, y = RNG.integers(0, 1 << 18, (2, 500))
    enable, reset = RNG.random((2, 500)) < np.array([[0.5], [0.1]])
    run = ArrayBench(Multiplier(**REGISTERED), "cells_ecp5_registered", CELLS)
    got = run(a=x, b=y, ce0=enable, rst0=reset)["p"].tolist()
    want, held = [0], 0  # the bench's own register is a cycle behind
    for one, other, write, clear in zip(x.tolist(), y.tolist(), enable, reset, strict=True):
        want.append(held)
        held = 0 if clear else one * other if write else held
    assert got == want[: len(got)]
