"""The spectral unit's model: emitted once for each version of the generator, compiled once."""

from pathlib import Path

from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.top import SpectralUnit
from backspike.sim.verilator.core_model import emitted
from backspike.sim.verilator.simulator import driver_library

TOP = "backspike_spectral"
"""The emitted module."""
TEXT = f"{TOP}.v"


def spectral_verilog(machine: SpectralMachine) -> str:
    """The machine's spectral unit as Verilog."""
    return emitted(machine.name, machine, TOP, lambda: SpectralUnit(machine))


def spectral_library(machine: SpectralMachine, *, trace: bool = False) -> Path:
    """The machine's spectral unit with the driver, as a shared library for `Simulator`."""
    return driver_library(spectral_verilog(machine), TOP, trace=trace)
