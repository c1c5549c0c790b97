"""The RTL backend's simulated cycles a second, beside those of a bare loop over the same model."""

import time
from statistics import median

from backspike.bench.figure import Figure, at_least
from backspike.compile.compiler import compile_graph
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.initial import initial_weights
from backspike.system.progress import progress_bar
from backspike.train.data import Dataset
from backspike.train.digits_run import STEPS, WHAT, batches, errors_of, learning, network

GOAL = 0.5
ROUNDS = 7
BATCHES = 4
"""Of a round: some seconds, so that both loops meet the same load of the computer."""


def figures(data: Dataset) -> list[Figure]:
    """The median of the ratios of interleaved rounds."""
    graph = network("bptt")
    backend = RTLBackend(compile_graph(graph, STEPS, learning(0), MACHINES["default"]))
    try:
        backend.load_weights(initial_weights(graph, 0))
        ratios, speeds = measure(backend, data)
    finally:
        backend.close()
    return [
        at_least(
            "RTL backend / bare loop, cycles a second",
            median(ratios),
            GOAL,
            f"{WHAT}, machine default: training steps with all transfers ({median(speeds):,.0f} "
            "cycles/s, all of the backend's time counted) over a C++ loop that only toggles the "
            f"clock of the same model at rest; median of {ROUNDS} interleaved rounds "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
        )
    ]


def measure(
    backend: RTLBackend, data: Dataset, rounds: int = ROUNDS
) -> tuple[list[float], list[float]]:
    """Train from the weights that are loaded; (ratio, the backend's cycles a second) by round."""
    epoch = batches(data.train, learning(0), 0)
    simulator = backend.simulator
    batch = next(epoch)
    logits, step = backend.forward(batch.inputs), 0
    ratios, speeds = [], []
    for _ in progress_bar(range(rounds), desc="speed", unit="round"):
        before, seconds = simulator.cycles, 0.0
        for _ in range(BATCHES):
            errors = errors_of(logits, batch)
            batch = next(epoch)
            begin = time.perf_counter()
            logits = backend.update_forward(errors, step, batch.inputs)
            seconds += time.perf_counter() - begin
            step += 1
        cycles = simulator.cycles - before
        begin = time.perf_counter()
        simulator.bare(cycles)
        bare = cycles / (time.perf_counter() - begin)
        speeds.append(cycles / seconds)
        ratios.append(speeds[-1] / bare)
    return ratios, speeds
