"""The netlist that goes into a bitstream, simulated: `python -m backspike.sim.netlist`.

Yosys' netlist of a machine and its host link, cell by cell, in Verilator. Behind its UART pins a
core trains, a spectral unit compares two pictures, and every number is compared with PyTorch.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from backspike import fsds
from backspike.check import Counts, Lockstep
from backspike.compiler import compile_network
from backspike.errors import Mismatch, UserError
from backspike.flow.synthesis import Netlist, synthesise
from backspike.flow.tools import ToolFailed
from backspike.gen.core.map import core_map
from backspike.gen.core.top import Core
from backspike.gen.link.rate import Rate
from backspike.gen.link.top import Linked
from backspike.gen.machine import MACHINES, Machine
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.gen.spectral.map import spectral_map
from backspike.gen.spectral.top import SpectralUnit
from backspike.golden.backend import GoldenBackend
from backspike.golden.spectral import Sums
from backspike.network import Layer, Learning, Network, arctan, rectangle
from backspike.sim.core_backend import CoreBackend
from backspike.sim.link import LinkPort
from backspike.sim.model import emitted
from backspike.sim.netlist_model import FROM_YOSYS, netlist_library, netlist_text
from backspike.sim.random_run import random_batch, random_halves
from backspike.sim.spectral_driver import Matrix, SpectralDriver
from backspike.sim.uart import Uart, UartLine

TOP = "top"
RATE = Rate(clock=4_000_000, baud=1_000_000)
"""Four cycles a bit: the fewest, because each is simulated."""
NETWORK = Network(
    inputs=11,
    steps=5,
    layers=(
        Layer(size=9, bias=True, surrogate=arctan()),
        Layer(size=6, reset="soft", rule="mpd-ed", surrogate=rectangle(2.0), threshold=0.5),
        Layer(size=5, bias=True),
    ),
)
LEARNING = Learning(batch=7, loss="mse", rate=2.0**-5, rounding="stochastic", seed=3)
BATCHES = 10
SIDE = 32
"""Pixels of a pair of pictures either way."""


@dataclass(frozen=True)
class Found:
    """What a netlist has computed. cells: of it, by type. cycles: of its clock, to load and read
    over the link besides. values: compared with golden; mismatches: of these.
    """

    family: str
    machine: str
    run: str
    cells: dict[str, int]
    cycles: int
    values: int
    mismatches: int
    seconds: float


def linked(machine: Machine | SpectralMachine) -> str:
    """Verilog of a machine and its host link, as a module TOP with ports clk, rst, rx and tx."""

    def make() -> Linked:
        spectral = isinstance(machine, SpectralMachine)
        return Linked(SpectralUnit(machine) if spectral else Core(machine), RATE)

    return emitted(f"{machine.name}-linked", (machine, RATE), TOP, make)


def train(uart: Uart, machine: Machine, counts: Counts, batches: int = BATCHES) -> None:
    """Train NETWORK on random batches in lockstep with golden; counts: what was compared.

    Raises Mismatch at the first bit of any tensor that differs.
    """
    rng = np.random.default_rng(0)
    port = LinkPort(UartLine(uart), core_map(machine))
    backend = CoreBackend(compile_network(NETWORK, LEARNING, machine), port)
    lockstep = Lockstep(backend, GoldenBackend(NETWORK, LEARNING))
    lockstep.counts = counts
    lockstep.load_weights([random_halves(rng, shape, "usual") for shape in NETWORK.shapes])
    lockstep.forward(*random_batch(rng, NETWORK, LEARNING.batch))
    for step in range(batches - 1):
        samples = LEARNING.batch - (step % 3 == 1)  # not all blocks full
        lockstep.update_forward(None, step, *random_batch(rng, NETWORK, samples))
    lockstep.update(None, batches - 1)


class LinkedUnit:
    """A spectral unit behind a serial line; see `backspike.fsds.Unit`."""

    def __init__(self, uart: Uart, machine: SpectralMachine):
        self.machine = machine
        self.cycles = 0
        self._driver = SpectralDriver(LinkPort(UartLine(uart), spectral_map(machine)), machine)

    def sums(self, image: Matrix, reference: Matrix) -> Sums:
        self._driver.write_pixels(image, reference)
        self._driver.run(*image.shape, pair=True)
        self.cycles = self._driver.cycles()
        return self._driver.sums()

    def close(self) -> None:
        pass


def compare(uart: Uart, machine: SpectralMachine, counts: Counts) -> fsds.Similarity:
    """FSDS of a random pair; what was compared is added to counts.

    Raises Mismatch at the first sum that differs from golden's.
    """
    rng = np.random.default_rng(0)
    side = min(SIDE, machine.size)
    walk = rng.normal(size=(1, side, side)).cumsum(1).cumsum(2)  # bright places, as photographs
    image = (255 * (walk - walk.min()) / (walk.max() - walk.min())).astype(np.uint8)
    noise = rng.integers(0, 8, image.shape, np.uint8)
    unit = LinkedUnit(uart, machine)
    return fsds.measure(image, image // 2 + noise, "rtl", machine, unit=unit, counts=counts)


def simulate(netlist: Netlist, family: str, seed: int = 0) -> Uart:
    """The netlist, reset. seed: of the random state before it, 0 as after configuration."""
    return Uart(netlist_library(netlist_text(netlist), family, netlist.top), RATE, seed=seed)


def check(family: str, machine: Machine | SpectralMachine, batches: int = BATCHES) -> Found:
    """Synthesise a machine and its link, and let the netlist train, or find an FSDS.

    Raises Mismatch, UserError if a tool is missing, ToolFailed.
    """
    netlist = synthesise(linked(machine), family, TOP)
    uart, counts = simulate(netlist, family), Counts()
    begin = time.perf_counter()
    try:
        if isinstance(machine, SpectralMachine):
            run = f"{SIDE} x {SIDE} pair: {compare(uart, machine, counts).fsds_db:.4f} dB"
        else:
            train(uart, machine, counts, batches)
            run = f"{batches} batches of {LEARNING.batch}"
        cycles = uart.cycles
    finally:
        uart.close()
    return Found(
        family=family,
        machine=machine.name,
        run=run,
        cells=dict(netlist.cells),
        cycles=cycles,
        values=counts.values,
        mismatches=counts.mismatches,
        seconds=time.perf_counter() - begin,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 at the first number that differs."""
    machines = {**MACHINES, **SPECTRAL_MACHINES}
    parser = argparse.ArgumentParser(
        prog="python -m backspike.sim.netlist",
        description="Train on Yosys' netlist, cell by cell, every number compared with PyTorch.",
    )
    parser.add_argument("--family", nargs="+", default=list(FROM_YOSYS), choices=list(FROM_YOSYS))
    parser.add_argument("--machine", nargs="+", default=["tiny", "spectral-32"], choices=machines)
    parser.add_argument("--batches", type=int, default=BATCHES, help=f"default: {BATCHES}")
    parser.add_argument("--json", action="store_true", help="JSON instead of lines")
    given = parser.parse_args(arguments)
    found = []
    try:
        for family in given.family:
            for name in given.machine:
                found.append(check(family, machines[name], given.batches))
                if not given.json:
                    print(_line(found[-1]), flush=True)
    except (UserError, ToolFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Mismatch as error:
        print(f"mismatch: {error}", file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    return 0


def _line(found: Found) -> str:
    cells = ", ".join(f"{n:,} {name}" for name, n in sorted(found.cells.items()))
    return (
        f"{found.machine} on {found.family}, {found.run}: {found.values:,} values, "
        f"{found.mismatches} mismatches; {found.cycles:,} cycles of {cells} in {found.seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
