"""Compiled random graphs on a machine of two lanes that has room for them."""

import bisect
import functools
from dataclasses import replace

import numpy as np

from backspike.compile.compiler import Plan, compile_graph
from backspike.gen.machine import Machine
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.train.random_graphs import random_graph

ROOMY = Machine(name="roomy", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=2048,
                units=1024, spike_units=2048, readout_units=256, layers=16, tasks=256,
                states=256)  # fmt: skip


@functools.cache
def drawn_plan(seed: int) -> Plan:
    """A random graph, in a few sets and spans. `every` and `stateful` take turns: of four seeds
    each is True and False with both of the other. Of eight seeds the last four have no more memory
    for gradients than they need."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, largest=int(rng.choice([3, 6])))
    learning = Learning(batch=int(rng.choice([1, 3, 17, 20])))
    steps = int(rng.integers(1, 5))
    every, stateful = bool(seed & 1), bool(seed & 2)
    plan = compile_graph(graph, steps, learning, ROOMY, every=every, stateful=stateful)
    return tight(plan) if seed & 4 else plan


def tight(plan: Plan) -> Plan:
    """On a machine with as few gradients as it takes."""

    def on(units: int) -> Plan | None:
        machine = replace(plan.machine, gradient_units=units)
        try:
            return compile_graph(
                plan.graph, plan.steps, plan.learning, machine,
                every=plan.every, stateful=plan.stateful,
            )  # fmt: skip
        except UserError:
            return None

    least = bisect.bisect_left(
        range(plan.machine.units), True, lo=2, key=lambda n: on(n) is not None
    )
    found = on(least)
    assert found is not None
    return found


def delayed(plan: Plan) -> bool:
    """Whether spikes of a step arrive in the next one somewhere."""
    return any(c.delay for c in plan.graph.connections)
