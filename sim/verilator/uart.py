"""A design with UART pins, Verilated, as a serial line: bytes in, bytes out (uart.cpp)."""

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path

from backspike.gen.link.uart import Rate
from backspike.sim.verilator.build import load_library, verilate_library

SOURCE = Path(__file__).with_name("uart.cpp")
"""To be compiled with the model."""
RANDOM = "random"
"""Plusarg that a model is given with a seed, to begin at random."""
SLICE = 1000
"""Cycles between two looks at what else there is to do."""
QUIET = 100
"""Bytes' times without a byte either way, after which the line is thought to be quiet: longer than
the bridge takes for the longest request."""


def uart_library(verilog: Mapping[str, str] | str, top: str, *, lights: bool = False) -> Path:
    """Builds the shared object for `Uart` of a module with ports clk, rst, rx and tx.

    verilog: text, or texts by file name. lights: it has ports alive and error, for `lights`.
    """
    return verilate_library(verilog, top, [SOURCE], cflags=["-DLIGHTS"] if lights else [])


class ModelStopped(RuntimeError):
    """An assertion in a model has failed."""


class Uart:
    """One Verilated model, reset.

    library: of `uart_library`. rate: of the model. skew: by how much this end's bits are longer.
    seed: of a random state before the reset, if the model was built for one; 0: as initialised.
    `cycles`: simulated so far.
    Raises ModelStopped once an assertion in the model has failed, which it has said on stdout.
    """

    def __init__(self, library: Path, rate: Rate, *, skew: float = 0.0, seed: int = 0):
        self._library = load_library(library)
        handle, u64 = ctypes.c_void_p, ctypes.c_uint64
        for name, result, arguments in (
            ("create", handle, (ctypes.c_double, ctypes.c_int)),
            ("destroy", None, (handle,)),
            ("reset", None, (handle, u64)),
            ("send", None, (handle, ctypes.c_char_p, u64)),
            ("idle", ctypes.c_int, (handle,)),
            ("stopped", ctypes.c_int, (handle,)),
            ("cycles", u64, (handle,)),
            ("run", u64, (handle, u64, ctypes.c_char_p, u64)),
        ):
            function = getattr(self._library, f"uart_{name}")
            function.restype, function.argtypes = result, arguments
        self.rate = rate
        self._handle = self._library.uart_create(rate.cycles * (1 + skew), seed)
        self._quiet = 0.0

    def close(self) -> None:
        """Frees the model. Nothing else may be called afterwards."""
        if self._handle:
            self._library.uart_destroy(self._handle)
            self._handle = None

    @property
    def cycles(self) -> int:
        return self._library.uart_cycles(self._handle)

    @property
    def quiet(self) -> bool:
        """Whether nothing has moved for a while."""
        return self._quiet > QUIET * 10 * self.rate.cycles

    def stir(self) -> None:
        """Lets the line be looked at once more before it is called quiet."""
        self._quiet = 0

    def reset(self) -> None:
        """Holds the reset for two cycles."""
        self._library.uart_reset(self._handle, 2)

    def send(self, data: bytes) -> None:
        """Puts bytes on their way into the model."""
        self._library.uart_send(self._handle, data, len(data))

    def run(self, cycles: int = SLICE) -> bytes:
        """Runs so many cycles (SLICE at the most); returns the bytes that came out."""
        cycles = min(cycles, SLICE)
        room = ctypes.create_string_buffer(cycles)
        count = self._library.uart_run(self._handle, cycles, room, cycles)
        if self._library.uart_stopped(self._handle):
            raise ModelStopped("the model has stopped itself: what it printed says why")
        moved = count or not self._library.uart_idle(self._handle)
        self._quiet = 0 if moved else self._quiet + cycles
        return room.raw[:count]


class UartLine:
    """The model as a `Line` of this process, on which time is the model's own.

    there, back: what happens to bytes on their way, such as `NoisyLine`.
    """

    def __init__(
        self,
        uart: Uart,
        there: Callable[[bytes], bytes] = bytes,
        back: Callable[[bytes], bytes] = bytes,
    ):
        self.name, self.baud = "the model's serial line", uart.rate.baud
        self.uart, self._there, self._back = uart, there, back

    def send(self, data: bytes) -> None:
        self.uart.send(self._there(data))

    def receive(self, seconds: float) -> bytes:
        """What comes until the line is quiet, or is bytes."""
        self.uart.stir()
        while not self.uart.quiet:
            if data := self._back(self.uart.run()):
                return data
        return b""

    def close(self) -> None:
        self.uart.close()
