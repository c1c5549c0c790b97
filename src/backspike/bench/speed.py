"""The RTL backend's simulated cycles a second, beside those of a bare loop over the same model."""

import time
from statistics import median

from backspike.bench.figure import Figure, at_least
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy_error
from backspike.system.progress import progress_bar
from backspike.train.data import Dataset
from backspike.train.digits_run import WHAT, batches, learning, network

GOAL = 0.5
ROUNDS = 7
BATCHES = 4
"""Of a round: some seconds, so that both loops meet the same load of the computer."""


def figures(data: Dataset) -> list[Figure]:
    """The median of the ratios of interleaved rounds."""
    backend = RTLBackend(network("bptt"), learning(0), MACHINES["default"])
    try:
        backend.load_weights(initial_weights(network("bptt"), 0))
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
    logits, step = backend.forward(batch.spikes, batch.labels), 0
    ratios, speeds = [], []
    for _ in progress_bar(range(rounds), desc="speed", unit="round"):
        before, seconds = simulator.cycles, 0.0
        for _ in range(BATCHES):
            error = cross_entropy_error(logits, batch.labels)
            batch = next(epoch)
            begin = time.perf_counter()
            logits = backend.update_forward(error, step, batch.spikes, batch.labels)
            seconds += time.perf_counter() - begin
            step += 1
        cycles = simulator.cycles - before
        begin = time.perf_counter()
        simulator.bare(cycles)
        bare = cycles / (time.perf_counter() - begin)
        speeds.append(cycles / seconds)
        ratios.append(speeds[-1] / bare)
    return ratios, speeds
