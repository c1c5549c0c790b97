"""FSDS of two pictures: from the spectral unit's exact sums, or in float64.

The unit, and its integer golden, find ten sums of a pair of one-channel images; `similarity` makes
decibels of those of all channels. Tiles count as channels: one mean and one deviation over all of
them, and energies summed over all. So a tile may be flat, or equal in both pictures. It is an
average over tiles, and another figure than that of the whole picture: a tile's lowest frequency is
one of N pixels.
"""

import math
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol

import numpy as np
import torch

from backspike.drive.comparison import Counts
from backspike.drive.machines import SPECTRAL_MACHINE, find_spectral_machine
from backspike.drive.registry import SERIAL, check_backend, serial_port
from backspike.gen.spectral.machine import (
    LARGEST,
    SMALLEST,
    SPECTRAL_MACHINES,
    SpectralMachine,
)
from backspike.golden.fsds import fsds as definition
from backspike.golden.spectral import Sums, samples, similarity, sums
from backspike.golden.threads import one_thread
from backspike.ir.errors import Mismatch, UserError
from backspike.spectral.pictures import Tiles, tiles
from backspike.system.progress import progress_bar

CAUSAL = ("x", "y", "xx", "yy", "xy", "ta", "tb", "saa", "sbb", "sab")
"""Sums in the order in which the unit has them: the first that differs is nearest to its cause."""


class Unit(Protocol):
    """What finds the sums of images, int64 (H, W) of pixels 0 … 2^pixel_bits - 1.

    cycles: those of the last run.
    """

    machine: SpectralMachine

    cycles: int

    def sums(self, image: torch.Tensor, reference: torch.Tensor) -> Sums: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Similarity:
    """How alike two pictures of height x width pixels are.

    fsds_db: the figure. reference_db: the float64 definition's, of the same pixels.
    arithmetic: fsds_db is of `integer` sums, or of `float64` where the integers do not go (then
    both figures are the same number). tile: side of the tiles that were averaged, which are
    `cut`; None if the pictures were taken whole.
    parts: the sums of each channel of each tile, channels first to change; empty in float64.
    cycles: of all the unit's runs, and their bound, two passes over all samples: 2 H W a run; None
    on golden. check: sums compared with golden, and how many of them differ.
    """

    backend: str
    machine: str | None
    height: int
    width: int
    channels: int
    bits: int
    tile: int | None
    cut: Tiles | None
    arithmetic: str
    fsds_db: float
    reference_db: float
    parts: list[Sums]
    cycles: dict[str, int] | None
    check: dict[str, int]

    @property
    def sums(self) -> Sums | None:
        """Of all parts together."""
        return sum(self.parts[1:], start=self.parts[0]) if self.parts else None

    def to_json(self) -> dict:
        """JSON has no infinity: a figure of +inf is the string "Infinity"."""
        total = self.sums
        return {
            "backend": self.backend,
            "machine": self.machine,
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "fsds_db": _finite(self.fsds_db),
            "reference_db": _finite(self.reference_db),
            "sums": None
            if total is None
            else {n: getattr(total, n) for n in ("saa", "sbb", "sab")},
            "cycles": self.cycles,
            "check": self.check,
            "bits": self.bits,
            "arithmetic": self.arithmetic,
            "tile": self.tile,
            "parts": [
                {"tile": n // self.channels, "channel": n % self.channels, **asdict(part)}
                for n, part in enumerate(self.parts)
            ],
        }


def measure(
    reference: np.ndarray,
    image: np.ndarray,
    backend: str = "rtl",
    machine: str | SpectralMachine = SPECTRAL_MACHINE,
    *,
    tile: int | None = None,
    names: tuple[str, str] = ("the reference", "the image"),
    unit: Unit | None = None,
    counts: Counts | None = None,
    bar: bool = False,
) -> Similarity:
    """FSDS of `image` against `reference`, both uint8 or both uint16 (C, H, W), C from 1.

    backend `rtl`: on `machine`, simulated, and every sum compared with golden; sides (of the tiles,
    if any) are powers of two from 8 to the machine's size. `serial:PORT[:BAUD]`: the same on a
    board. `golden`: any size, in integers where sides are powers of two from 8 to 512, else in
    float64. unit: an open unit of that machine, for many calls. counts: what was compared is added.
    bar: show progress.

    Raises UserError, which calls the two by `names`, if there is no figure of them; LinkError if a
    board is lost; Mismatch at the first sum that differs from golden's.
    """
    check_backend(backend)
    on_unit = backend != "golden"
    machine = find_spectral_machine(machine) if isinstance(machine, str) else machine
    bits = _checked(reference, image, names)
    channels, height, width = reference.shape
    cut = None if tile is None else tiles(reference, tile)
    b, a = (
        pixels.reshape(-1, height, width) if tile is None else _tiled(pixels, tile)
        for pixels in (reference, image)
    )
    if on_unit:
        _check_size(machine, b.shape[1:], bits, names[0], tile)
    for name, pixels in zip(names, (b, a), strict=True):
        if (pixels == pixels.flat[0]).all():
            where = "everywhere" if tile is None else "in all of its tiles"
            raise UserError(f"{name} is {pixels.flat[0]} {where}: contrast is needed")

    a, b = _tensor(a), _tensor(b)
    reference_db = float(definition(a, b))
    size = b.shape[1:]
    integer = all(SMALLEST <= n <= LARGEST and not n & (n - 1) for n in size)
    counts = Counts() if counts is None else counts
    before = replace(counts)
    parts, cycles = [], 0
    with ExitStack() as stack:
        if on_unit and unit is None:
            unit = stack.enter_context(closing(open_unit(machine, backend)))
        pairs = list(zip(a, b, strict=True)) if integer else []
        for n, (x, y) in enumerate(
            progress_bar(pairs, desc="fsds", unit="pair", shown=bar and bool(pairs))
        ):
            with one_thread():
                parts.append(sums(samples(x, y, bits)))
            if on_unit:
                assert unit is not None
                where = f"channel {n % channels}"
                where = where if tile is None else f"tile {n // channels}, {where}"
                scale = machine.pixel_bits - bits  # grey levels stay what they are: equal samples
                got = unit.sums(x << scale, y << scale)
                cycles += unit.cycles
                compare(got, parts[-1], where, counts)
    return Similarity(
        backend=backend,
        machine=machine.name if on_unit else None,
        height=height,
        width=width,
        channels=channels,
        bits=bits,
        tile=tile,
        cut=cut,
        arithmetic="integer" if integer else "float64",
        fsds_db=similarity(parts, *size) if integer else reference_db,
        reference_db=reference_db,
        parts=parts,
        cycles={"total": cycles, "bound": 2 * b.numel()} if on_unit else None,
        check={
            "values": counts.values - before.values,
            "mismatches": counts.mismatches - before.mismatches,
        },
    )


def open_unit(machine: SpectralMachine, backend: str = "rtl") -> Unit:
    """The machine's unit, on `rtl` or `serial:PORT[:BAUD]`.

    Raises UserError if the port cannot be opened, nobody answers, or not such a unit.
    """
    if backend.startswith(SERIAL):
        from backspike.drive.serial_spectral import serial_unit

        return serial_unit(machine, *serial_port(backend))
    from backspike.drive.spectral_backend import SpectralRTL

    return SpectralRTL(machine)


def compare(got: Sums, want: Sums, index: str, counts: Counts) -> None:
    """Count the ten sums; raise Mismatch at the first that differs. index: where they are from."""
    wrong = [name for name in CAUSAL if getattr(got, name) != getattr(want, name)]
    counts.tensors += len(CAUSAL)
    counts.values += len(CAUSAL)
    counts.mismatches += len(wrong)
    if wrong:
        raise Mismatch(
            f"tensor {wrong[0]}, index {index}: got {_shown(getattr(got, wrong[0]))}, want "
            f"{_shown(getattr(want, wrong[0]))} ({len(wrong)} of {len(fields(Sums))} sums of this "
            "pair differ)"
        )


def _checked(reference: np.ndarray, image: np.ndarray, names: tuple[str, str]) -> int:
    """Bits of a pixel."""
    for name, pixels in zip(names, (reference, image), strict=True):
        if pixels.dtype not in (np.uint8, np.uint16):
            raise UserError(f"{name} is {pixels.dtype}, must be uint8 or uint16")
        if pixels.ndim != 3 or 0 in pixels.shape:
            raise UserError(f"{name} has the shape {pixels.shape}, must have (C, H, W) without a 0")
    for what in ("shape", "dtype"):
        if getattr(reference, what) != getattr(image, what):
            raise UserError(
                f"{names[0]} has the {what} {getattr(reference, what)} and {names[1]} "
                f"{getattr(image, what)}, must be equal"
            )
    return 8 * reference.itemsize


def _check_size(
    machine: SpectralMachine, size: tuple[int, ...], bits: int, name: str, tile: int | None
) -> None:
    does = f"sides of powers of two from {SMALLEST} to {machine.size}"
    if any(not SMALLEST <= n <= machine.size or n & (n - 1) for n in size):
        if tile is not None:
            raise UserError(
                f"tile is {tile}: {machine.name} does {does}, and --backend golden any size"
            )
        raise UserError(
            f"{name} has {size[1]} x {size[0]} pixels: {machine.name} does {does}; --tile N "
            "averages over tiles (another figure), --backend golden takes any size"
        )
    if bits > machine.pixel_bits:
        wide = [m.name for m in SPECTRAL_MACHINES.values() if m.pixel_bits >= bits]
        raise UserError(
            f"{name} has {bits} bits a sample: {machine.name} takes up to {machine.pixel_bits}, "
            f"and --machine {' or '.join(wide)} or --backend golden takes {bits}"
        )


def _tiled(pixels: np.ndarray, tile: int) -> np.ndarray:
    """(C, H, W) -> (tiles C, N, N)."""
    return tiles(pixels, tile).pixels.reshape(-1, tile, tile)


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.int64))


def _finite(decibels: float) -> float | str:
    return decibels if math.isfinite(decibels) else "Infinity"


def _shown(value: int) -> str:
    return f"{value:#x} ({value})"
