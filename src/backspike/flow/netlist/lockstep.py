"""The netlist that goes into a bitstream, simulated.

A board's top as Yosys leaves it for place and route, cell by cell, in Verilator. Behind its UART
pins a core trains, a spectral unit compares pictures, and every number is compared with PyTorch.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from backspike.compile.compiler import compile_graph
from backspike.drive.comparison import Counts
from backspike.drive.core_backend import CoreBackend
from backspike.drive.link import LinkPort
from backspike.drive.lockstep import Lockstep
from backspike.drive.machines import find_machine
from backspike.drive.serial_spectral import SerialSpectral
from backspike.flow.netlist.model import netlist_library, netlist_text
from backspike.flow.toolchain.synthesis import Netlist, synthesise
from backspike.gen.boards.board import BOARDS, Board
from backspike.gen.boards.files import TOP
from backspike.gen.machine import MACHINES, Accelerator, Machine
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.golden.backend import GoldenBackend
from backspike.ir.builder import Network
from backspike.ir.connection import Conv2d, Dense, Identity
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import arctan, rectangle
from backspike.sim.verilator.board import BoardUart, cached_files
from backspike.sim.verilator.uart import Uart, UartLine
from backspike.spectral import fsds
from backspike.system.json_text import json_text
from backspike.train import fuzz_training

FEWEST = 4
"""Cycles a bit on the serial line: each is simulated."""
PLACES = {
    ("ecp5", "tiny"): "ulx3s-25f",
    ("ecp5", "planes"): "ulx3s-25f",
    ("ecp5", "spectral-32"): "ulx3s-85f",
    ("ice40", "tiny"): "icebreaker",
    ("ice40", "planes"): "icebreaker",
    ("ice40", "spectral-32"): "icebreaker",
}
"""The board of each family that a machine is put on, whether it fits there or not."""


def _network() -> Graph:
    """A recurrent population with a current, one of another rule behind it, a skip, two kinds of
    connections."""
    net = Network()
    x, h = net.input("x", 5), net.population("h", 4, CubaLIF(surrogate=arctan()))
    k = net.population(
        "k", 4, LIF(reset="soft", rule="mpd-ed", surrogate=rectangle(2.0), threshold=0.5)
    )
    y = net.readout("y", 3)
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1)
    net.connect(h, k)
    net.connect(h, k, Identity(0.5))
    net.connect(k, y, Dense(bias=True))
    return net.graph


def _planes() -> Graph:
    """Planes of a graded input, a convolution with a stride, pools, a shortcut, a skip."""
    net = Network()
    x, h = net.input("x", (1, 5, 6), bits=2), net.population("h", (3, 5, 6), LIF())
    k = net.population("k", (3, 2, 3), CubaLIF(surrogate=arctan()))
    y = net.readout("y", 3)
    net.connect(x, h, Conv2d(kernel=3, padding=1, bias=True))
    net.connect(h, k, Conv2d(kernel=(2, 3), stride=2, padding=(0, 1)))
    net.connect(h, k, Conv2d(kernel=1, pool=2, average=True))
    net.connect(k, k, Identity(-0.5), delay=1)
    net.connect(k, y, Conv2d(kernel=1, pool="all"))
    return net.graph


STEPS = 4
PLANES = "tiny,layers=8,units=512,spike_units=1024,windows=256,scale_down=2,states=64"
LEARNING = Learning(batch=5, loss="mse", rate=2.0**-5, rounding="stochastic", seed=3)
"""Small, because all tensors cross the link."""
BATCHES = 10
SIDE = 32
"""Pixels of a pair of pictures either way."""


TRAINED: dict[str, tuple[Machine, Graph]] = {
    "tiny": (MACHINES["tiny"], _network()),
    "planes": (find_machine(PLANES), _planes()),
}
"""Machines that train, and what."""
ALL: dict[str, Accelerator] = {
    **{name: machine for name, (machine, _) in TRAINED.items()},
    **SPECTRAL_MACHINES,
}


@dataclass(frozen=True)
class Found:
    """What a netlist has computed. cells: of it, by type. cycles: of its clock, to load and read
    over the link besides. values: compared with golden; mismatches: of these.
    """

    board: str
    machine: str
    run: str
    cells: dict[str, int]
    cycles: int
    values: int
    mismatches: int
    seconds: float


def place(family: str, machine: str) -> Board:
    """A board of PLACES, its link as fast as it goes."""
    board = BOARDS[PLACES[family, machine]]
    return replace(board, baud=board.clock // FEWEST)


class NetlistBackend(CoreBackend):
    """A core behind a serial line of this process."""

    name = "netlist"

    def __init__(self, uart: Uart, machine: Machine, graph: Graph):
        plan = compile_graph(graph, STEPS, LEARNING, machine)
        super().__init__(plan, LinkPort(UartLine(uart), machine.map()))


def train(uart: Uart, name: str, counts: Counts, batches: int = BATCHES) -> str:
    """Train that machine's network on random batches in lockstep with golden; says what was run.
    counts: what was compared.

    Raises Mismatch at the first bit of any tensor that differs.
    """
    rng = np.random.default_rng(0)
    machine, graph = TRAINED[name]
    golden = GoldenBackend(graph, LEARNING, every=False)
    lockstep = Lockstep(NetlistBackend(uart, machine, graph), golden)
    lockstep.counts = counts
    sizes = [LEARNING.batch - (n % 3 == 2) for n in range(batches)]  # not all blocks full
    fuzz_training.train(lockstep, STEPS, sizes, rng)
    return f"{batches} batches of {LEARNING.batch}"


def compare(uart: Uart, machine: SpectralMachine, counts: Counts, side: int = SIDE) -> str:
    """Compare the FSDS of a random pair of side x side with golden's; says what was run. counts:
    what was compared.

    Raises Mismatch at the first sum that differs from golden's.
    """
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(1, side, side)).cumsum(1).cumsum(2)  # bright places, as photographs
    image = (255 * (walk - walk.min()) / (walk.max() - walk.min())).astype(np.uint8)
    noise = rng.integers(0, 8, image.shape, np.uint8)
    unit = SerialSpectral(UartLine(uart), machine)
    found = fsds.measure(image, image // 2 + noise, "rtl", machine, unit=unit, counts=counts)
    return f"a pair of {side} x {side}, {found.fsds_db:.4f} dB"


def simulate(netlist: Netlist, board: Board, seed: int = 0) -> BoardUart:
    """The netlist of a board's top, awake. seed: of the state it begins in; see `Uart`."""
    return BoardUart(netlist_library(netlist_text(netlist), board), board, seed=seed)


def check(board: Board, name: str, batches: int = BATCHES) -> Found:
    """Synthesise a board's top as for its bitstream, and let the netlist train, or find an FSDS.

    Raises Mismatch, UserError if a tool is missing or fails.
    """
    machine = ALL[name]
    netlist = synthesise(cached_files(board, machine)[f"{TOP}.v"], board.family, TOP)
    uart, counts = simulate(netlist, board), Counts()
    runs: dict[str, Callable[[], str]] = {
        "training": lambda: train(uart, name, counts, batches),
        "spectral": lambda: compare(uart, SPECTRAL_MACHINES[machine.name], counts),
    }
    begin = time.perf_counter()
    try:
        run = runs[machine.kind]()
        cycles = uart.cycles
    finally:
        uart.close()
    return Found(
        board=board.name,
        machine=machine.name,
        run=run,
        cells=dict(netlist.cells),
        cycles=cycles,
        values=counts.values,
        mismatches=counts.mismatches,
        seconds=time.perf_counter() - begin,
    )


def check_all(
    families: Sequence[str] = ("ecp5", "ice40"),
    machines: Sequence[str] = ("tiny", "planes", "spectral-32"),
    batches: int = BATCHES,
) -> Iterator[Found]:
    """`check` of each machine on each family's board. Raises as it does."""
    for family in families:
        for name in machines:
            yield check(place(family, name), name, batches)


def main(arguments: Sequence[str] | None = None) -> int:
    """Raises Mismatch at the first number that differs."""
    families, machines = (sorted(set(each)) for each in zip(*PLACES, strict=True))
    parser = argparse.ArgumentParser(
        prog="python -m backspike.flow.netlist",
        description="Train on Yosys' netlist, cell by cell, every number compared with PyTorch.",
    )
    parser.add_argument("--family", nargs="+", default=families, choices=families)
    parser.add_argument("--machine", nargs="+", default=machines, choices=machines)
    parser.add_argument("--batches", type=int, default=BATCHES, help=f"default: {BATCHES}")
    parser.add_argument("--json", action="store_true", help="JSON instead of lines")
    given = parser.parse_args(arguments)
    found = []
    for one in check_all(given.family, given.machine, given.batches):
        found.append(one)
        if not given.json:
            print(_line(one), flush=True)
    if given.json:
        print(json_text([asdict(one) for one in found]), end="")
    return 0


def _line(found: Found) -> str:
    cells = ", ".join(f"{n:,} {name}" for name, n in sorted(found.cells.items()))
    return (
        f"{found.machine} for {found.board}, {found.run}: {found.values:,} values, "
        f"{found.mismatches} mismatches\n"
        f"  {found.cycles:,} cycles in {found.seconds:.0f} s of {cells}"
    )
