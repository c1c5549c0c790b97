"""Random chains trained on the RTL, every bit compared with golden. Machine and seed name a run:

python -m backspike.train.fuzz_training --machine tiny --seed 17
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backspike.compile.compiler import compile_graph
from backspike.compile.cut import cuts
from backspike.drive.comparison import Counts
from backspike.drive.core_driver import CoreDriver
from backspike.drive.lockstep import Lockstep
from backspike.drive.machines import find_machine
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES, Machine
from backspike.golden.backend import GoldenBackend
from backspike.ir.bits import Bits
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.constants import LARGEST, SMALLEST
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.graph import Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import Surrogate, arctan, fast_sigmoid, rectangle, triangle
from backspike.system.program import run_program

WIDTHS = 70
"""Neurons of a layer at the most."""
STEPS, BATCH, LAYERS = 40, 20, 4
FEW_STEPS, FEW_SAMPLES = 8, 5
"""Of most runs; the others have more of them."""
WORK = 500_000
"""Steps x samples x the square of a layer's width at the most: long runs have few neurons."""
DENSITIES = (0.0, 0.05, 0.3, 0.8, 1.0)
LEAKS = (0.0, SMALLEST, 0.5, 0.75, 0.9, 1.0)
THRESHOLDS = (1.0, 1.0, 0.5, 0.0, -0.25, 3.0, SMALLEST, -LARGEST, LARGEST)
RATES = (2.0**-6, 2.0**-10, 1.0, 30.0, SMALLEST, LARGEST)
ALPHAS = (0.25, 1229 / 4096, 1.0, 0.0, -1.0, LARGEST)  # the second is the half nearest to 0.3
HALVES = ("usual", "usual", "any", "huge", "tiny", "zero")
"""What weights and errors are drawn from; see `random_halves`."""


@dataclass(frozen=True)
class Case:
    """What a seed stands for, and the generator that draws its tensors."""

    seed: int
    graph: Graph
    steps: int
    learning: Learning
    weights: str  # of HALVES
    rng: np.random.Generator

    def __str__(self) -> str:
        sizes = "-".join(str(population.size) for population in self.graph.populations)
        return (
            f"seed {self.seed}: {sizes}, {self.steps} steps, batch {self.learning.batch}, "
            f"{self.learning.loss}, {self.learning.rounding}, {self.weights} weights"
        )


def random_halves(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """uint16 patterns of finite halves without -0: `usual` weights, `any` pattern, `huge` ones
    that saturate, `tiny` ones (subnormal), or `zero`."""
    if kind == "usual":
        bits = rng.normal(0, 0.3, shape).astype(np.float16).view(np.uint16)
    else:
        low, high = {"any": (0, 0x7C00), "huge": (0x7000, 0x7C00), "tiny": (0, 0x0400),
                     "zero": (0, 1)}[kind]  # fmt: skip
        bits = rng.integers(low, high, shape).astype(np.uint16)
        bits |= rng.integers(0, 2, shape).astype(np.uint16) << 15
    return np.where(bits == 0x8000, 0, bits).astype(np.uint16)


def random_surrogate(rng: np.random.Generator) -> Surrogate:
    """A preset, or a table of any size with values of either sign, some zero."""
    kind = int(rng.integers(6))
    if kind < 5:
        return (rectangle(1.0), rectangle(2.0), triangle(), arctan(), fast_sigmoid())[kind]
    edges = np.unique(rng.normal(0, 1, int(rng.integers(1, 16))))
    values = rng.normal(0, 1, len(edges) + 1) * rng.integers(0, 2, len(edges) + 1)
    values = values.astype(np.float16) + 0.0
    return Surrogate("table", tuple(map(float, edges)), tuple(map(float, values)))


def random_number(rng: np.random.Generator, few: int, most: int) -> int:
    """A number up to `few`, or, in three cases of ten, beyond it up to `most`."""
    low, high = (1, few) if rng.random() < 0.7 else (few + 1, most)
    return int(rng.integers(low, high + 1))


def _tiles(machine: Machine, batch: int, steps: int) -> int:
    """How many tiles of neurons there is room for."""
    return machine.units // min(cut.blocks for cut in cuts(batch, steps, machine))


def random_chain(rng: np.random.Generator, machine: Machine) -> tuple[Graph, int, Learning]:
    """A chain, T and learning that fit the machine, with any options: the more steps and samples,
    the fewer layers and neurons."""
    learning = Learning(
        batch=random_number(rng, FEW_SAMPLES, BATCH),
        loss=("ce", "mse")[rng.integers(2)],
        rate=float(rng.choice(RATES)),
        alpha=float(rng.choice(ALPHAS)),
        rounding=("nearest", "stochastic")[rng.integers(2)],
        seed=int(rng.integers(2**32)),
    )
    steps = random_number(rng, FEW_STEPS, STEPS)
    while not (tiles := _tiles(machine, learning.batch, steps)):
        steps //= 2
    layers = int(rng.integers(1, min(LAYERS, machine.layers, tiles) + 1))
    widest = min(WIDTHS, math.isqrt(WORK // (steps * learning.batch)))
    widest = min(widest, tiles // layers * machine.lanes)
    while True:
        sizes = [int(size) for size in rng.integers(1, widest + 1, layers + 1)]
        parts: list[Input | Dense | LIF] = [Input(sizes[0])]
        for size in sizes[1:]:
            neuron = random_lif(rng)
            parts += [Dense(size, bias=bool(rng.integers(2))), neuron]
        graph = Sequential(*parts[:-1])
        try:
            compile_graph(graph, steps, learning, machine)
        except UserError:  # does not fit
            continue
        return graph, steps, learning


def random_lif(rng: np.random.Generator) -> LIF:
    """With any options."""
    return LIF(
        leak=float(rng.choice(LEAKS)),
        threshold=float(rng.choice(THRESHOLDS)),
        reset=("hard", "soft")[rng.integers(2)],
        surrogate=random_surrogate(rng),
        rule=("bptt", "mpd-ed")[rng.integers(2)],
        temporal=bool(rng.integers(2)),
    )


def draw_case(machine: Machine, seed: int) -> Case:
    """The run of that seed on that machine."""
    rng = np.random.default_rng([seed, machine.lanes])
    return Case(seed, *random_chain(rng, machine), str(rng.choice(HALVES)), rng)


def random_batch(
    rng: np.random.Generator, graph: Graph, steps: int, samples: int
) -> tuple[dict[str, Bits], Bits]:
    """(inputs, labels) of a chain's batch, some of it perhaps silent, perhaps all of it spiking."""
    first, last = graph.populations[0], graph.populations[-1]
    spikes = random_spikes(rng, first, steps, samples)
    return {first.name: spikes}, rng.integers(0, last.size, samples)


def random_spikes(
    rng: np.random.Generator, population: Population, steps: int, samples: int
) -> Bits:
    """(samples, steps, N) of an input, or its numbers, some perhaps silent, perhaps all spiking."""
    shape = samples, steps, population.size
    spikes = (rng.random(shape) < rng.choice(DENSITIES)).astype(np.uint8)
    if population.bits > 1:
        spikes *= rng.integers(1, population.most + 1, shape, dtype=np.uint8)
    return spikes


def random_weights(rng: np.random.Generator, graph: Graph, kind: str) -> dict[str, Bits]:
    """FP16 numbers by connection; kind: see `random_halves`."""
    return {name: random_halves(rng, shape, kind) for name, shape in graph.shapes.items()}


def train(lockstep: Lockstep, steps: int, sizes: Sequence[int], rng: np.random.Generator) -> None:
    """Train a chain with random weights on random batches of these sizes, each update beside the
    next batch's forward pass. The loss is mse, so no error is supplied.

    Raises Mismatch at the first bit of any tensor that differs.
    """
    graph = lockstep.graph
    lockstep.load_weights(random_weights(rng, graph, "usual"))
    lockstep.forward(*random_batch(rng, graph, steps, sizes[0]))
    for step, samples in enumerate(sizes[1:]):
        lockstep.update_forward(None, step, *random_batch(rng, graph, steps, samples))
    lockstep.update(None, len(sizes) - 1)


def random_error(rng: np.random.Generator, case: Case, samples: int) -> dict[str, Bits] | None:
    """A host-supplied error, uint16 (B, N), if the loss needs one."""
    if case.learning.loss == "mse":
        return None
    readout = case.graph.populations[-1]
    shape = (samples, readout.size)
    present = rng.random(shape) < rng.choice(DENSITIES)
    bits = random_halves(rng, shape, str(rng.choice(HALVES))) * present.astype(np.uint16)
    return {readout.name: bits}


def run_case(case: Case, machine: Machine) -> tuple[Counts, bool]:
    """Run it in lockstep; returns what was compared and whether a rounding saturated.

    Before some, another network trains on the same core, whose traces in every memory must not
    matter. Mismatch says what differs and which command shows it again.
    """
    rng = case.rng
    graph, steps = case.graph, case.steps
    primary = RTLBackend(compile_graph(graph, steps, case.learning, machine))
    lockstep = Lockstep(primary, GoldenBackend(graph, case.learning, every=False))
    try:
        if rng.random() < 0.3:
            _leave_traces(primary, machine, rng)
        lockstep.load_weights(random_weights(rng, graph, case.weights))
        samples, step = 0, 0
        for n in range(3):
            coming = int(rng.integers(1, case.learning.batch + 1))
            batch = random_batch(rng, graph, steps, coming)
            # A batch may also be run forward only, as an evaluation is.
            way = rng.choice(["both", "both", "apart", "skip"]) if n else "skip"
            if way == "both":
                lockstep.update_forward(random_error(rng, case, samples), step, *batch)
            else:
                if way == "apart":
                    lockstep.update(random_error(rng, case, samples), step)
                lockstep.forward(*batch)
            samples, step = coming, step + int(way != "skip")
        lockstep.update(random_error(rng, case, samples), step)
        got, want = primary.saturated(), lockstep.reference.saturated()
        if got != want:
            raise Mismatch(f"flag `saturated`: got {got}, want {want}")
        return lockstep.counts, want
    except Exception as error:
        if isinstance(error, Mismatch):
            raise Mismatch(f"{error}. {_again(case, machine)}") from None
        error.add_note(_again(case, machine))
        raise
    finally:
        lockstep.close()


def _leave_traces(backend: RTLBackend, machine: Machine, rng: np.random.Generator) -> None:
    """Train another network on this backend's core, then load the backend's plan again."""
    graph, steps, learning = random_chain(rng, machine)
    driver = CoreDriver(backend.simulator, compile_graph(graph, steps, learning, machine))
    driver.write_weights(random_weights(rng, graph, "any"))
    for buffer in range(2):
        inputs, labels = random_batch(rng, graph, steps, learning.batch)
        driver.write_inputs(inputs, labels, buffer)
    driver.run("forward", forward=0, backward=0)
    driver.run("both", forward=1, backward=0)
    backend.driver.load_plan()


def _again(case: Case, machine: Machine) -> str:
    program = "python -m backspike.train.fuzz_training"
    return f"Again: {program} --machine {machine.name} --seed {case.seed}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Raises Mismatch at the first run that differs."""
    parser = argparse.ArgumentParser(
        prog="python -m backspike.train.fuzz_training",
        description="Random training runs on the RTL, every bit compared with golden.",
    )
    parser.add_argument("--machine", required=True, help=f"one of {', '.join(MACHINES)}")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default 0)")
    parser.add_argument("--runs", type=int, default=1, help="how many, one seed each (default 1)")
    given = parser.parse_args(arguments)
    machine = find_machine(given.machine)
    for seed in range(given.seed, given.seed + given.runs):
        case = draw_case(machine, seed)
        counts, saturated = run_case(case, machine)
        end = ", saturated" if saturated else ""
        print(f"{case}: {counts.values} values equal{end}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
