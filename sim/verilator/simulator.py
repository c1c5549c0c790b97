"""Drives a Verilated core over its host port, from compiled code (axi.cpp)."""

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from backspike.gen.host.access import (
    BusError,
    BusTimeoutError,
    Words,
    as_words,
    byte_address,
    check_mask,
)
from backspike.gen.host.registers import BYTES, RegisterMap
from backspike.ir.errors import UserError
from backspike.sim.verilator.build import load_library, verilate_library

SOURCE = Path(__file__).with_name("axi.cpp")
"""To be compiled with the model."""
RESPONSES = {0: "OKAY", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}
TIMEOUT, SILENT, NO_TRACE = 4, 5, 6  # axi.cpp's Status


def driver_library(verilog: str, top: str, *, trace: bool = False) -> Path:
    """Builds the shared object for `Simulator` of a module with ports clk, rst and s_axi_*.

    verilog: its text. trace: whether waves can be dumped (slower, so built apart).
    """
    return verilate_library(verilog, top, [SOURCE], trace=trace)


def _load(path: Path) -> ctypes.CDLL:
    library = load_library(path)
    handle, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    words = np.ctypeslib.ndpointer(np.uint32, flags="C_CONTIGUOUS")
    count = ctypes.POINTER(u64)
    for name, result, arguments in (
        ("create", handle, ()),
        ("destroy", None, (handle,)),
        ("reset", None, (handle, u64)),
        ("run", None, (handle, u64)),
        ("bare", None, (handle, u64)),
        ("cycles", u64, (handle,)),
        ("write", ctypes.c_int, (handle, u32, words, u64, u32, count)),
        ("read", ctypes.c_int, (handle, u32, words, u64, u32, count)),
        ("wait", ctypes.c_int, (handle, u32, u32, u32, u64, u64, ctypes.POINTER(u32))),
        ("stall", None, (handle, u32, u32)),
        ("trace", ctypes.c_int, (handle, ctypes.c_char_p)),
    ):
        function = getattr(library, f"sim_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class Simulator:
    """One Verilated model, a `Port`: after construction it has been reset and stands at cycle 0.

    library: shared object of the model and axi.cpp. registers: its map.
    Addresses are byte addresses (multiples of 4), or names of registers and windows; data are
    uint32. `seconds` is the time spent in compiled code, `cycles` the simulated clock.
    Raises BusError if an access is refused: nothing after it was begun in compiled code but what
    the bus had accepted already; BusTimeoutError if the host port is silent, until a reset.
    """

    def __init__(self, library: Path | str, registers: RegisterMap):
        self.registers = registers
        self.seconds = 0.0
        self._library = _load(Path(library))
        self._handle = self._library.sim_create()
        self._start = 0
        self.reset()
        self._start = self._call("cycles")

    def close(self) -> None:
        """Frees the model and completes its trace. Nothing else may be called afterwards."""
        if self._handle:
            self._library.sim_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    @property
    def cycles(self) -> int:
        """Cycles since the construction; a reset counts, too."""
        return self._call("cycles") - self._start

    def reset(self, cycles: int = 2) -> None:
        """Holds the reset for `cycles`, whatever the core or the bus is doing."""
        self._call("reset", cycles)

    def run(self, cycles: int) -> None:
        """Lets the core run with an idle host port."""
        self._call("run", cycles)

    def bare(self, cycles: int) -> None:
        """The same from the barest loop possible (and never traced): the yardstick for speed."""
        self._call("bare", cycles)

    def write(self, address: int | str, *words: int, increment: bool = True) -> None:
        """Writes a few words."""
        self.write_block(address, words, increment=increment)

    def read(self, address: int | str) -> int:
        """Reads one word."""
        return int(self.read_block(address, 1)[0])

    def write_block(
        self,
        address: int | str,
        words: np.ndarray | Sequence[int],
        *,
        increment: bool = True,
    ) -> None:
        """Writes uint32 words (flattened), to consecutive addresses or all to one."""
        data = as_words(words)
        first = byte_address(self.registers, address, data.size if increment else 1)
        stride = BYTES if increment else 0
        done = ctypes.c_uint64()
        status = self._call("write", first, data, data.size, stride, ctypes.byref(done))
        if status:
            operation = f"write of {int(data[min(done.value, data.size - 1)]):#010x}"
            self._raise(operation, status, first + stride * done.value)

    def read_block(self, address: int | str, words: int, *, increment: bool = True) -> Words:
        """uint32 words from consecutive addresses, or all from one."""
        first = byte_address(self.registers, address, words if increment else 1)
        stride = BYTES if increment else 0
        data = np.empty(words, np.uint32)
        done = ctypes.c_uint64()
        status = self._call("read", first, data, words, stride, ctypes.byref(done))
        if status:
            self._raise("read", status, first + stride * done.value)
        return data

    def wait(
        self,
        address: int | str,
        mask: int,
        value: int,
        *,
        interval: int = 64,
        limit: int = 10_000_000,
    ) -> int:
        """Runs until `word & mask == value`, looking every `interval` cycles; returns the word.

        Raises BusTimeoutError after `limit` cycles.
        """
        check_mask(mask, value)
        first = byte_address(self.registers, address, 1)
        seen = ctypes.c_uint32()
        status = self._call("wait", first, mask, value, interval, limit, ctypes.byref(seen))
        if status == TIMEOUT:
            raise BusTimeoutError(
                f"{self.registers.at(first)} is {seen.value:#010x} after {limit} cycles, "
                f"waiting for {value:#x} under the mask {mask:#x}"
            )
        if status:
            self._raise("read", status, first)
        return seen.value

    def response(self, operation: str, address: int) -> str:
        """The host port's answer, as OKAY or SLVERR, to one access at any byte address.

        operation: "read", or "write" of the word 0. Unlike a block's, the address may be one that
        is not aligned.
        """
        word, done = np.zeros(1, np.uint32), ctypes.c_uint64()
        status = self._call(operation, address, word, 1, BYTES, ctypes.byref(done))
        if status == SILENT:
            self._raise(operation, status, address)
        return RESPONSES[status]

    def stall(self, probability: float, seed: int = 0) -> None:
        """Makes each of the five channels hold back in a cycle with this probability."""
        if not 0 <= probability < 1:
            raise ValueError(f"probability is {probability}, must be 0 up to but not 1")
        self._call("stall", int(probability * 2**32), seed)

    def trace(self, path: Path | str | None) -> None:
        """Dumps waves of all cycles from now on into a new VCD file; None ends that."""
        name = None if path is None else str(path).encode()
        if self._call("trace", name) == NO_TRACE:
            raise UserError(
                f"trace file is {path}, must be writable, and the model must be built with tracing"
            )

    def _call(self, name: str, *arguments) -> int:
        if self._handle is None:
            raise ValueError(f"{name} was called on a simulator that is closed")
        begin = time.perf_counter()
        result = getattr(self._library, f"sim_{name}")(self._handle, *arguments)
        self.seconds += time.perf_counter() - begin
        return result

    def _raise(self, operation: str, status: int, address: int) -> None:
        what = self.registers.at(address)
        if status == SILENT:
            raise BusTimeoutError(
                f"{operation} at {address:#08x} ({what}): the host port is silent"
            )
        raise BusError(operation, address, what, RESPONSES[status])
