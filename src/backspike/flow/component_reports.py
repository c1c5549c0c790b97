"""How large and how fast components are: `python -m backspike.flow.component_reports`.

On an LFE5U-85F, speed grade 6. Needs the tools of `backspike build`. Prints a Markdown table with a
row for each component.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring

from backspike.flow.reports.area import area
from backspike.flow.toolchain.family import FAMILIES
from backspike.flow.toolchain.place import core_mhz
from backspike.flow.toolchain.synthesis import synthesise
from backspike.gen.core.backward.front import BackwardFront
from backspike.gen.core.forward.front import ForwardFront
from backspike.gen.core.shared.lane import Lane
from backspike.gen.core.update.front import UpdateFront
from backspike.gen.emit import ZEROS, emit
from backspike.gen.machine import MACHINES
from backspike.gen.numerics.fixed_to_half import FixedToHalf
from backspike.gen.numerics.half_product import HalfProduct
from backspike.gen.numerics.half_subtract import HalfSubtract
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.gen.numerics.hash32 import Hash32
from backspike.gen.spectral.fft import FFT
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.gen.spectral.normalise import Normalise
from backspike.gen.spectral.rotate import Rotate
from backspike.gen.spectral.top import SpectralUnit
from backspike.ir.errors import UserError
from backspike.system.program import run_program
from backspike.system.toolset import WASM

ECP5 = FAMILIES["ecp5"]
PLACEMENT = ("--85k", "--speed", "6", "--package", "CABGA381", "--freq", "100")
PINS = "--lpf-allow-unconstrained"

COMPONENTS: dict[str, Callable[[], wiring.Component]] = {
    "FixedToHalf(width=56, fraction=24)": lambda: FixedToHalf(width=56, fraction=24),
    "FixedToHalf(width=92, fraction=48)": lambda: FixedToHalf(width=92, fraction=48),
    "FixedToHalf(width=82, fraction=48, stochastic=True)": lambda: FixedToHalf(
        width=82, fraction=48, stochastic=True
    ),
    "ForwardFront(default)": lambda: ForwardFront(MACHINES["default"]),
    "BackwardFront(default)": lambda: BackwardFront(MACHINES["default"]),
    "UpdateFront(default)": lambda: UpdateFront(MACHINES["default"]),
    "HalfSubtract()": HalfSubtract,
    "HalfToFixed()": HalfToFixed,
    "HalfProduct()": HalfProduct,
    "Hash32()": Hash32,
    "Lane(product=False, width=52)": lambda: Lane(product=False, width=52),
    "Lane(product=True, width=91)": lambda: Lane(product=True, width=91),
    "Normalise(width=28, mantissa=18)": lambda: Normalise(width=28, mantissa=18),
    "Rotate(width=18, block=256)": lambda: Rotate(width=18, block=256),
    "Rotate(width=23, block=16, mantissa=18, out=23)": lambda: Rotate(
        width=23, block=16, mantissa=18, out=23
    ),
    "Rotate(width=28, block=16)": lambda: Rotate(width=28, block=16),
    "FFT(8, width=16, mantissa=18)": lambda: FFT(8, width=16, mantissa=18),
    "FFT(7)": lambda: FFT(7),
    "SpectralUnit(spectral-128)": lambda: SpectralUnit(SPECTRAL_MACHINES["spectral-128"]),
}


@dataclass(frozen=True)
class ComponentReport:
    """luts: LUT4-equivalents; combs: TRELLIS_COMB, as nextpnr counts LUTs, with two or four for the
    ends of each carry chain; ffs, rams, dsps: registers, DP16KD, MULT18X18D; mhz: a value a seed.
    """

    luts: int
    combs: int
    ffs: int
    rams: int
    dsps: int
    mhz: tuple[float, ...]


def report(component: Callable[[], wiring.Component], seeds: Sequence[int]) -> ComponentReport:
    """Synthesise a component alone for its size; place it between registers for its speed.

    Raises UserError if a tool is not installed.
    """
    WASM.find(ECP5.place)
    alone = synthesise(emit(component(), "alone"), ECP5.name, "alone")
    between = synthesise(_between_registers(component()), ECP5.name, "top")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def place(netlist: Path, *options: str) -> dict:
            shutil.copy(netlist, folder / "netlist.json")
            files = ("--json", "netlist.json", "--report", "report.json")
            WASM.run(ECP5.place, "-q", *PLACEMENT, PINS, *files, *options, folder=folder)
            return json.loads((folder / "report.json").read_text())

        packed = place(alone.path, "--pack-only")["utilization"]
        mhz = [
            core_mhz(place(between.path, "--timing-allow-fail", "--seed", str(seed))["fmax"])
            for seed in seeds
        ]
    taken = area(alone.cells, ECP5)
    return ComponentReport(
        luts=taken.lut4,
        combs=packed["TRELLIS_COMB"]["used"],
        ffs=taken.ffs,
        rams=taken.memories,
        dsps=taken.dsps,
        mhz=tuple(mhz),
    )


def _between_registers(component: wiring.Component) -> str:
    """Verilog in which inputs come from a shift register and outputs leave through another."""
    m = Module()
    m.submodules.component = component
    first, last, load = Signal(), Signal(), Signal()
    chain: Value = first
    outputs = []
    for n, (_, member, port) in enumerate(component.signature.flatten(component)):
        value = Value.cast(port)
        register = Signal(len(value), name=f"port{n}", reset_less=True)
        if member.flow == wiring.In:
            shifted = Signal(len(value), name=f"chain{n}", reset_less=True)
            m.d.sync += [shifted.eq(Cat(chain, shifted)), register.eq(shifted)]
            m.d.comb += value.eq(register)
            chain = shifted[-1]  # pyright: ignore[reportAssignmentType]
        else:
            m.d.sync += register.eq(value)
            outputs.append(register)
    out = Signal(sum(map(len, outputs)), reset_less=True)
    m.d.sync += out.eq(Mux(load, Cat(outputs), out >> 1))
    m.d.comb += last.eq(out[0])
    # A memory set to zero, a line a word, is too much for Yosys if it is deep.
    return ZEROS.sub("", verilog.convert(m, name="top", ports=[first, last, load], emit_src=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0; bad input, or a tool that is missing or fails, is a UserError."""
    parser = argparse.ArgumentParser(
        prog="python -m backspike.flow.component_reports", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=3, help="placements to try (default: 3)")
    parser.add_argument("names", nargs="*", help="parts of components' names (default: all)")
    options = parser.parse_args(arguments)
    wanted = {
        name: make
        for name, make in COMPONENTS.items()
        if not options.names or any(part in name for part in options.names)
    }
    if not wanted:
        known = ", ".join(COMPONENTS)
        raise UserError(f"names is {' '.join(options.names)}, must be parts of {known}")
    print_table(wanted, range(1, options.seeds + 1))
    return 0


def print_table(wanted: Mapping[str, Callable[[], wiring.Component]], seeds: Sequence[int]) -> None:
    """Measure the components, and print a row of each when it is there."""
    columns = ("component", "LUT4", "COMB", "FF", "EBR", "DSP", "MHz: median (of)")
    print("|", " | ".join(columns), "|\n|" + "---|" * len(columns))
    for name, make in wanted.items():
        result = report(make, seeds)
        spread = ", ".join(f"{mhz:.0f}" for mhz in sorted(result.mhz))
        median = f"{statistics.median(result.mhz):.0f} ({spread})"
        sizes = (result.luts, result.combs, result.ffs, result.rams, result.dsps)
        row = (f"`{name}`", *sizes, median)
        print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    sys.exit(run_program(main))
