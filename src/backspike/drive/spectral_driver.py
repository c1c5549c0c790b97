"""What software does with a spectral unit: move images and samples, run, read what it found."""

import numpy as np
import torch
from torch import Tensor

from backspike.drive.port import Port
from backspike.gen.host.registers import BYTES
from backspike.gen.spectral.control import Fault
from backspike.gen.spectral.machine import SMALLEST, SpectralMachine
from backspike.gen.spectral.map import FAULT_TEXT, IDENT, VERSION
from backspike.gen.spectral.store import PART, PIXEL, SAMPLE_WORDS
from backspike.gen.spectral.sums_window import SUM_WORDS, SUMS
from backspike.golden.spectral import Samples, Sums
from backspike.ir.errors import UserError
from backspike.ir.spectral_constants import MANTISSA

Matrix = np.ndarray | Tensor
"""Of integers."""


class SpectralFaultError(RuntimeError):
    """The unit refused a run: `fault` as its status says."""

    def __init__(self, fault: Fault):
        super().__init__(
            f"the spectral unit refused to run: {FAULT_TEXT[fault]} (fault {fault.value})"
        )
        self.fault = fault


class SpectralDriver:
    """Drives the spectral unit behind a port.

    Images and parts of samples are integers, (H, W), H and W up to the machine's size. Raises
    UserError for data that the unit does not take, before anything is written; BusError if the unit
    refuses an access, SpectralFaultError if it refuses a run.
    """

    def __init__(self, port: Port, machine: SpectralMachine):
        self.port = port
        self.machine = machine
        self.map = port.registers
        ident, version = (int(word) for word in port.read_block("ident", 2))
        if (ident, version) != (IDENT, VERSION):
            raise UserError(
                f"the unit's identification is {ident:#x} version {version}, "
                f"must be {IDENT:#x} version {VERSION}"
            )
        found = self.map.register("machine").unpack(port.read("machine"))
        for name in ("log_size", "pixel_bits"):
            if found[name] != getattr(machine, name):
                raise UserError(
                    f"the unit's {name} is {found[name]}, must be "
                    f"{getattr(machine, name)}, as {machine.name} has it"
                )

    def write_pixels(self, image: Matrix, reference: Matrix) -> None:
        """Two images, pixels 0 … 2^pixel_bits - 1, as a pair of samples each."""
        high = (1 << self.machine.pixel_bits) - 1
        x, y = self._matrices({"image": image, "reference": reference}, 0, high)
        self._write("pixels", (x | y << PIXEL)[..., None])

    def write_samples(self, re: Matrix, im: Matrix) -> None:
        """Mantissas of complex numbers with exponent 0."""
        high = (1 << (MANTISSA - 1)) - 1
        parts = self._matrices({"re": re, "im": im}, -high - 1, high)
        self._write("samples", np.stack(parts, -1) & (1 << PART) - 1)

    def read_samples(self, height: int, width: int) -> Samples:
        """What the unit's store holds; int64 (H, W) each."""
        stride = self.machine.size * SAMPLE_WORDS * BYTES
        base = self.map.window("samples").base
        rows = [
            self.port.read_block(base + row * stride, width * SAMPLE_WORDS) for row in range(height)
        ]
        words = np.stack(rows).astype(np.int64).reshape(height, width, SAMPLE_WORDS)
        sign = 1 << (PART - 1)
        parts = ((words & (1 << PART) - 1) ^ sign) - sign
        exponents = words >> PART
        if (exponents[..., 0] != exponents[..., 1]).any():
            raise RuntimeError("the unit shows two exponents of one sample")
        arrays = (parts[..., 0], parts[..., 1], exponents[..., 0])
        return Samples(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def run(
        self,
        height: int,
        width: int,
        *,
        pair: bool = False,
        back: bool = False,
        continues: bool = False,
        limit: int = 100_000_000,
    ) -> None:
        """Transform what was written, (H, W), to the end; see the map's `start`."""
        for name, value in (("height", height), ("width", width)):
            if value < 1 or value & (value - 1):
                raise UserError(f"{name} is {value}, must be {self._sizes()}")
        logs = {"log_height": height.bit_length() - 1, "log_width": width.bit_length() - 1}
        self.port.write("size", self.map.register("size").pack(**logs))
        request = {"pair": int(pair), "back": int(back), "continues": int(continues)}
        self.port.write("start", self.map.register("start").pack(**request))
        running = self.map.register("status").field("running").mask
        self.port.wait("status", running, 0, interval=32, limit=limit)
        if fault := self.status()["fault"]:
            raise SpectralFaultError(Fault(fault))

    def status(self) -> dict[str, int]:
        """The status register's fields."""
        return self.map.register("status").unpack(self.port.read("status"))

    def cycles(self) -> int:
        """Cycles of the last run."""
        return self.port.read("cycles")

    def sums(self) -> Sums:
        """What the last run of a pair found."""
        data = self.port.read_block("sums", len(SUMS) * SUM_WORDS).tobytes()
        size = SUM_WORDS * BYTES
        return Sums(
            **{
                name: int.from_bytes(data[n * size : (n + 1) * size], "little", signed=True)
                for n, name in enumerate(SUMS)
            }
        )

    def _sizes(self) -> str:
        return f"a power of two from {SMALLEST} to {self.machine.size} ({self.machine.name})"

    def _matrices(self, matrices: dict[str, Matrix], low: int, high: int) -> list[np.ndarray]:
        """int64 (H, W) each; UserError unless they are matrices of such integers, of one size."""
        arrays = {name: np.asarray(values) for name, values in matrices.items()}
        shapes = {name: " x ".join(map(str, array.shape)) for name, array in arrays.items()}
        for name, array in arrays.items():
            if array.dtype.kind not in "iu":
                raise UserError(f"{name} has dtype {array.dtype}, must be of integers")
            if array.ndim != 2 or not all(1 <= n <= self.machine.size for n in array.shape):
                raise UserError(f"{name} is {shapes[name]}, must be {self._sizes()} either way")
            least, most = int(array.min()), int(array.max())
            if least < low or most > high:
                raise UserError(f"{name} has {least} to {most}, must have {low} to {high}")
        if len(set(shapes.values())) > 1:
            named = " and ".join(f"{name} is {shape}" for name, shape in shapes.items())
            raise UserError(f"{named}, must be of one size")
        return [array.astype(np.int64) for array in arrays.values()]

    def _write(self, window: str, words: np.ndarray) -> None:
        """words: (H, W, words a sample)."""
        base, stride = self.map.window(window).base, self.machine.size * words.shape[-1] * BYTES
        for n, row in enumerate(words.astype(np.uint32)):
            self.port.write_block(base + n * stride, row)
