"""How many cycles a machine takes for what it is for, measured on its simulated RTL."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from backspike.compile.compiler import compile_graph
from backspike.gen.machine import Accelerator, Machine
from backspike.gen.spectral.machine import SpectralMachine
from backspike.ir.errors import UserError

SIZES = (64, 128, 10)
SMALLER = (64, 48, 10), (64, 32, 10), (64, 16, 10), (64, 8, 10)
"""For machines that SIZES do not fit."""
BATCHES = 10
"""The first fills the pipeline of batches, and is not counted."""


@dataclass(frozen=True)
class Throughput:
    """cycles: of one of the `units` (samples, or pairs of images). how: what was run. workload: the
    network that was trained, or the images' size; empty in reports that do not tell.
    """

    units: str
    cycles: float
    how: str
    workload: str = ""

    def per_second(self, mhz: float) -> float:
        return mhz * 1e6 / self.cycles


def throughput(machine: Accelerator) -> Throughput:
    """Simulate the machine, compare with golden, and count its cycles: of training a sample, or of
    a pair of images. The host's transfers are left out.

    Raises UserError if a simulation cannot be built here, Mismatch if golden computes otherwise.
    """
    return MEASURES[machine.kind](machine)


def _training(machine: Machine) -> Throughput:
    from backspike.drive.comparison import Counts
    from backspike.train.data import digits
    from backspike.train.digits_run import STEPS, batches, learning, network
    from backspike.train.steady import train_steadily

    how = learning(0)
    sizes = fitting(machine)
    data = islice(batches(digits().train, how, 0), BATCHES)
    steady = train_steadily(network("bptt", sizes), how, machine, data, Counts())
    samples = (BATCHES - 1) * how.batch
    workload = "-".join(map(str, sizes))
    return Throughput(
        "samples",
        steady["total"] / samples,
        f"training, {workload}, {STEPS} steps, batch {how.batch}, bptt, digits: "
        f"{steady['total']:,} cycles of {machine.name}'s simulated RTL for {samples} samples, each "
        "batch's update beside the next one's forward pass; compute alone, without the host's "
        "transfers",
        workload,
    )


def fitting(machine: Machine) -> tuple[int, ...]:
    """The sizes of the largest network of those above that fits the machine."""
    from backspike.train.digits_run import STEPS, learning, network

    for sizes in (SIZES, *SMALLER):
        try:
            compile_graph(network("bptt", sizes), STEPS, learning(0), machine)
            return sizes
        except UserError as error:
            reason = error
    raise UserError(f"machine {machine.name} holds no network that throughput is told of: {reason}")


def _spectral(machine: SpectralMachine) -> Throughput:
    from backspike.drive.comparison import Counts
    from backspike.golden.spectral import samples, sums
    from backspike.spectral.fsds import compare
    from backspike.spectral.image_pairs import kinds, opened

    size, bits = machine.size, machine.pixel_bits
    a, b = kinds(size, size, bits, 1)["noise"]
    with opened(machine) as unit:
        compare(unit.sums(a, b), sums(samples(a, b, bits)), f"noise, {size} x {size}", Counts())
        cycles = unit.cycles
    return Throughput(
        "pairs of images",
        cycles,
        f"FSDS, {size} x {size}, one channel of {bits} bits: {cycles:,} cycles of {machine.name}'s "
        "simulated RTL, start to results, without the host's transfers",
        f"{size} x {size}",
    )


MEASURES: dict[str, Callable[..., Throughput]] = {"training": _training, "spectral": _spectral}
"""What a machine of each kind is measured by."""
