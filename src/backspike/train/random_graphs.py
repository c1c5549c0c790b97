"""Random networks: chains, branches, skips, circles of delayed connections, several read-outs."""

import numpy as np

from backspike.ir.connection import Dense, Identity
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import IF, LIF, CubaLIF
from backspike.ir.surrogate import SURROGATES

DECAYS = (0.0, 0.3, 0.75, 1.0)
THRESHOLDS = (1.0, 0.1, 300.0, -0.5)


def random_neuron(rng: np.random.Generator, thresholds: tuple[float, ...] = THRESHOLDS) -> LIF:
    """Any model with any options."""
    options = {
        "threshold": float(rng.choice(thresholds)),
        "reset": rng.choice(["hard", "soft"]).item(),
        "rule": rng.choice(["bptt", "mpd-ed"]).item(),
        "temporal": bool(rng.random() < 0.7),
        "surrogate": SURROGATES[rng.choice(sorted(SURROGATES)).item()](),
    }
    leak, synapse = (float(rng.choice(DECAYS)) for _ in range(2))
    model = rng.integers(3)
    if model == 0:
        return IF(**options)
    if model == 1:
        return LIF(leak=leak, **options)
    return CubaLIF(leak=leak, synapse=synapse, **options)


def random_graph(
    rng: np.random.Generator, largest: int = 6, thresholds: tuple[float, ...] = THRESHOLDS
) -> Graph:
    """1 or 2 inputs, 1 to 4 hidden populations, 1 or 2 read-outs of up to `largest` neurons."""

    def size() -> int:
        return int(rng.integers(1, largest + 1))

    inputs = [Population(f"x{n}", (size(),), role="input") for n in range(rng.integers(1, 3))]
    # Two sizes, so that some populations can be connected one to one.
    sizes = [size(), size()]
    hidden = [
        Population(f"h{n}", (int(rng.choice(sizes)),), random_neuron(rng, thresholds))
        for n in range(rng.integers(1, 5))
    ]
    readouts = [
        Population(
            f"y{n}",
            (size(),),
            random_neuron(rng, thresholds) if rng.random() < 0.3 else None,
            role="readout",
        )
        for n in range(rng.integers(1, 3))
    ]
    found: list[Connection] = []

    def connect(source: Population, target: Population, delay: int = 0) -> None:
        same = source.shape == target.shape
        kind = (
            Identity(float(rng.choice([1.0, -0.5, 3.0])))
            if same and rng.random() < 0.5
            else Dense(bias=bool(rng.random() < 0.3))
        )
        found.append(
            Connection(
                name=f"c{len(found)}", source=source.name, target=target.name, kind=kind,
                delay=delay, frozen=bool(rng.random() < 0.1),
                stop_gradient=bool(rng.random() < 0.15),
            )
        )  # fmt: skip

    def pick(populations: list[Population]) -> Population:
        return populations[rng.integers(len(populations))]

    for n, population in enumerate(hidden):
        connect(pick(inputs + hidden[:n]), population)
    for readout in readouts:
        connect(pick(hidden), readout)
    for population in inputs + hidden:
        if not any(c.source == population.name for c in found):
            # A hidden one to what comes later, so that no circle is without delay.
            later = [h for h in hidden if population in inputs or h.name > population.name]
            connect(population, pick(later + readouts))
    if rng.random() < 0.4:  # a circle, through whatever leads from the first to the last
        connect(hidden[-1], hidden[0], delay=1)
    for _ in range(rng.integers(0, 5)):
        source, target = pick(inputs + hidden), pick(hidden + readouts)
        onwards = source in inputs or target in readouts or source.name < target.name
        connect(source, target, delay=0 if onwards and rng.random() < 0.6 else 1)
    return Graph((*inputs, *hidden, *readouts), tuple(found))
