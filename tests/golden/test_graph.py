"""Networks as graphs: without rounding they are torch.autograd's, with rounding rationals'."""

from typing import cast

import numpy as np
import pytest
import torch

from backspike.golden import graph as golden
from backspike.golden import rules
from backspike.golden.arithmetic import Halves, Reals
from backspike.golden.half import from_bits, random_halves, to_bits
from backspike.golden.reference import outputs
from backspike.ir.connection import Dense
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import CubaLIF
from backspike.train.random_graphs import random_graph
from tests.support.autograd import close
from tests.support.rational_graph import Batch, patterns
from tests.support.weight_kinds import WEIGHTS

# ------------------------------------------------------------------- float64: torch.autograd agrees


def check_autograd(graph: Graph, seed: int, batch: int, steps: int) -> int:
    """Logits and gradients of weights, for errors of every step. How many gradients were not 0."""
    g = torch.Generator().manual_seed(seed)
    weights = {n: torch.randn(s, generator=g).double() for n, s in graph.shapes.items()}
    inputs = {
        p.name: torch.randint(0, p.most + 1, (batch, steps, p.size), generator=g).double() * p.unit
        for p in graph.populations
        if p.role == "input"
    }
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    made = outputs(graph, leaves, inputs)
    errors = {n: torch.randn(x.shape, generator=g).double() for n, x in made.items()}
    loss = sum((x * errors[name]).sum() for name, x in made.items())
    live = [c.name for c in graph.connections if c.name in leaves and not c.frozen]
    found = torch.autograd.grad(
        cast(torch.Tensor, loss), [leaves[name] for name in live], allow_unused=True
    )
    want = dict(zip(live, found, strict=True))

    a = Reals()
    activity = golden.forward(a, graph, weights, inputs)
    gradients = golden.backward(a, graph, weights, activity, errors)
    got = golden.weight_gradients(a, graph, (activity, gradients))
    for name, x in made.items():
        spiking = graph.by_name[name].neuron is not None
        assert close(activity.logits[name], x.cumsum(1) if spiking else x), name
    assert set(got) <= set(want)
    for name, w in want.items():
        if name not in got:  # no error reaches its target
            assert w is None or not w.any(), name
            continue
        assert close(got[name], torch.zeros_like(got[name]) if w is None else w), name
    return sum(bool(d.any()) for d in got.values())


def test_without_rounding_random_graphs_are_autograds():
    """Every kind of connection and neuron, branches, circles, stops, errors of every step."""
    learnt = sum(
        check_autograd(random_graph(np.random.default_rng(seed), thresholds=(1.0, 0.3)), seed, 4, 6)
        for seed in range(150)
    )
    assert learnt > 300  # of about 700: of small random networks some are silent


# ---------------------------------------------------------------- halves: exact rationals agree


def check_rational(graph: Graph, kind: str, seed: int, batch: int, steps: int, parts: int) -> bool:
    """Batches that go on where the last stopped, `parts` of them. Whether anything saturated."""
    g = torch.Generator().manual_seed(seed)
    weights = {n: WEIGHTS[kind](s, g) for n, s in graph.shapes.items()}
    values = {name: from_bits(w) for name, w in weights.items()}
    learning = Learning(rate=[2.0**-6, 1000.0, 2.0**-24][seed % 3])
    last = want = None
    saturated = False
    for _ in range(parts):
        inputs = {
            p.name: torch.randint(0, p.most + 1, (batch, steps, p.size), generator=g)
            for p in graph.populations
            if p.role == "input"
        }
        errors = {
            p.name: random_halves((batch, steps, p.size), g) * (torch.rand((), generator=g) < 0.8)
            for p in graph.populations
            if p.role == "readout"
        }
        a = Halves()
        reals = {name: x.double() * graph.by_name[name].unit for name, x in inputs.items()}
        activity = golden.forward(a, graph, values, reals, last)
        gradients = golden.backward(a, graph, values, activity, errors)
        d = golden.weight_gradients(a, graph, (activity, gradients))
        draws = {n: torch.randint(0, 2**16, s, generator=g) for n, s in graph.shapes.items()}
        random = draws if seed % 2 else dict.fromkeys(draws)
        new = {n: rules.update(a, learning, values[n], x, random[n]) for n, x in d.items()}

        lists = {name: x.tolist() for name, x in inputs.items()}
        want = Batch(graph, {n: to_bits(w).tolist() for n, w in values.items()}, lists, want)
        want.backward({name: patterns(e) for name, e in errors.items()})
        drawn = {name: x.tolist() for name, x in draws.items()}
        updated = want.update(learning.rate, drawn.__getitem__ if seed % 2 else None)
        for name, codes in activity.codes.items():
            assert activity.spikes[name].int().tolist() == want.spikes[name], name
            assert codes.tolist() == want.codes[name], name
        for name, logits in activity.logits.items():
            assert patterns(logits) == want.logits[name], name
        assert set(gradients) == graph.learning
        for name, x in gradients.items():
            assert patterns(x) == want.gradients[name], name
        assert set(new) <= set(updated)
        assert {name: patterns((values | new)[name]) for name in updated} == updated
        assert a.saturated == want.round.saturated
        for name, state in activity.state.items():
            for n, variable in enumerate(state):
                exact = [[float(x[n]) for x in row] for row in want.state[name]]
                assert variable.tolist() == exact, name
        values |= new
        last, saturated = activity, saturated or a.saturated
    return saturated


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
def test_with_rounding_random_graphs_are_exact(kind):
    """Whole steps of random graphs, up to weights that saturate; a third go on for two batches."""
    found = [
        check_rational(
            random_graph(np.random.default_rng(seed), 4), kind, seed, 2, 4, 1 + (not seed % 3)
        )
        for seed in range(24)
    ]
    assert kind in ("ordinary", "tiny", "ties") or any(found)


# ------------------------------------------------------------------------------------- properties


def recurrent() -> Graph:
    """One population that listens to itself, and a read-out."""
    return Graph(
        (
            Population("x", (5,), role="input"),
            Population("h", (7,), CubaLIF(leak=0.6, synapse=0.3)),
            Population("y", (3,), role="readout"),
        ),
        (
            Connection(name="in", source="x", target="h", kind=Dense(bias=True)),
            Connection(name="again", source="h", target="h", kind=Dense(), delay=1),
            Connection(name="out", source="h", target="y", kind=Dense()),
        ),
    )


def test_a_batch_that_goes_on_is_one_long_batch():
    """Forward, in pieces of 1, 4 and 7 steps: every spike and logit is that of 12 steps."""
    graph, g = recurrent(), torch.Generator().manual_seed(4)
    weights = {n: random_halves(s, g).clamp(-2, 2) for n, s in graph.shapes.items()}
    spikes = torch.randint(0, 2, (3, 12, 5), generator=g).double()
    whole = golden.forward(Halves(), graph, weights, {"x": spikes})
    assert 0.05 < whole.spikes["h"].mean() < 0.95
    last, done = None, []
    for piece in spikes.split([1, 4, 7], 1):
        last = golden.forward(Halves(), graph, weights, {"x": piece}, last)
        done.append(last)
    assert torch.equal(torch.cat([p.spikes["h"] for p in done], 1), whole.spikes["h"])
    assert torch.equal(torch.cat([p.logits["y"] for p in done], 1), whole.logits["y"])


def test_what_is_frozen_or_stopped_has_no_gradient():
    """A frozen connection's weights have none; no error passes one that stops it."""
    graph, g = recurrent(), torch.Generator().manual_seed(5)
    weights = {n: torch.randn(s, generator=g).double() for n, s in graph.shapes.items()}
    inputs = {"x": torch.randint(0, 2, (3, 6, 5), generator=g).double()}
    errors = {"y": torch.randn(3, 6, 3, generator=g).double()}

    def gradients(**changed) -> dict[str, torch.Tensor]:
        connections = tuple(
            Connection(**{**c.__dict__, **changed.get(c.name, {})}) for c in graph.connections
        )
        other = Graph(graph.populations, connections)
        activity = golden.forward(Reals(), other, weights, inputs)
        back = golden.backward(Reals(), other, weights, activity, errors)
        return golden.weight_gradients(Reals(), other, (activity, back))

    plain = gradients()
    assert all(d.any() for d in plain.values())
    frozen = gradients(again={"frozen": True})
    assert list(frozen) == ["in", "out"]
    assert all(torch.equal(d, plain[name]) for name, d in frozen.items())
    stopped = gradients(out={"stop_gradient": True})
    assert list(stopped) == ["out"]  # the others' would be 0
    assert torch.equal(stopped["out"], plain["out"])
    unrolled = gradients(again={"stop_gradient": True})
    assert unrolled["in"].any()
    assert not torch.equal(unrolled["in"], plain["in"])
