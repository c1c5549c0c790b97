"""Runs a component on arrays, a row per cycle, in compiled code (array_bench.cpp)."""

import ctypes
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from amaranth.hdl import Value
from amaranth.lib import wiring

from backspike.gen.emit import emit
from backspike.sim.verilator.build import load_library, verilate_library

SOURCE = Path(__file__).with_name("array_bench.cpp")
LIMB = 64
"""Bits of the words that a wide number is made of."""


def limbs_of(width: int) -> int:
    """64-bit words that a number of `width` bits takes."""
    return -(-width // LIMB)


def to_limbs(numbers: list[int], width: int) -> np.ndarray:
    """Python integers of any sign as uint64 (n, limbs), two's complement, lowest limb first."""
    size = limbs_of(width) * LIMB // 8
    mask = (1 << width) - 1
    data = b"".join((number & mask).to_bytes(size, "little") for number in numbers)
    return np.frombuffer(data, np.uint64).reshape(len(numbers), -1)


class ArrayBench:
    """A component with a clock as a function from arrays to arrays.

    `bench(i=..., ...)` sets the inputs of cycle n from row n of the arrays, for as many cycles as
    there are rows, and returns every output's value in each cycle, before the clock's edge.
    Inputs that are left out are as if unconnected: at their `init`; `rst` at 0. State begins as
    initialised and goes on from one call to the next.

    Ports are named as in the emitted text (`o`, `i__payload`). Arrays are integers (n,) for ports
    up to 64 bits and uint64 (n, limbs), lowest limb first, above; results are uint64 likewise.
    ValueError for an unknown port or arrays of different lengths.
    cells: Verilog of what the component instantiates by name, by file name.
    """

    def __init__(
        self, component: wiring.Component, name: str, cells: Mapping[str, str] | None = None
    ):
        self.inputs: dict[str, int] = {}
        self._unconnected: dict[str, int] = {}
        self.outputs: dict[str, int] = {}
        for path, member, value in component.signature.flatten(component):
            ports = self.inputs if member.flow == wiring.In else self.outputs
            if width := len(Value.cast(value)):
                port = "__".join(map(str, path))
                ports[port] = width
                if isinstance(member.init, int):
                    self._unconnected[port] = member.init
        text = emit(component, name)
        if re.search(r"\brst\b", text.split(";", 1)[0]):
            self.inputs["rst"] = 1
        with tempfile.TemporaryDirectory() as folder:
            header = Path(folder) / "bench_ports.h"
            lines = [self._line("INPUT", *port) for port in self.inputs.items()]
            lines += [self._line("OUTPUT", *port) for port in self.outputs.items()]
            header.write_text("".join(lines))
            files = {f"{name}.v": text, **(cells or {})}
            path = verilate_library(files, name, [SOURCE], headers=[header])
        self._library = load_library(path)
        self._library.bench_create.restype = ctypes.c_void_p
        self._library.bench_destroy.argtypes = (ctypes.c_void_p,)
        pointers = ctypes.POINTER(ctypes.c_void_p)
        self._library.bench_run.argtypes = (ctypes.c_void_p, ctypes.c_uint64, pointers, pointers)
        self._handle = self._library.bench_create()

    @staticmethod
    def _line(kind: str, port: str, width: int) -> str:
        # Verilator writes the second of two underscores in a name as its code.
        return f"{kind}({port.replace('__', '___05F')}, {width})\n"

    def __del__(self) -> None:
        if handle := getattr(self, "_handle", None):
            self._library.bench_destroy(handle)

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        if unknown := set(arrays) - set(self.inputs):
            raise ValueError(f"inputs are {sorted(unknown)}, must be of {sorted(self.inputs)}")
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) != 1:
            raise ValueError(f"inputs have {sorted(lengths)} rows, must all have as many")
        cycles = lengths.pop()

        def rows(width: int) -> np.ndarray:
            shape = (cycles,) if width <= LIMB else (cycles, limbs_of(width))
            return np.zeros(shape, np.uint64)

        inputs = {name: rows(width) for name, width in self.inputs.items()}
        for name, init in self._unconnected.items():
            inputs[name] += to_limbs([init], self.inputs[name]).squeeze()
        for name, array in arrays.items():
            if array.shape != inputs[name].shape:
                raise ValueError(f"{name} has shape {array.shape}, must be {inputs[name].shape}")
            inputs[name] = np.ascontiguousarray(array).astype(np.uint64)
        outputs = {name: rows(width) for name, width in self.outputs.items()}
        self._library.bench_run(self._handle, cycles, _pointers(inputs), _pointers(outputs))
        return outputs


def _pointers(arrays: dict[str, np.ndarray]) -> ctypes.Array:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays.values()))


def after(latency: int, run: ArrayBench, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """`run(**arrays)` of a pipelined component, results beside the inputs that they belong to.

    The inputs of the last cycle are held until its results are out.
    """
    padded = {
        name: np.concatenate([array, np.repeat(array[-1:], latency, axis=0)])
        for name, array in arrays.items()
    }
    return {name: array[latency:] for name, array in run(**padded).items()}
