"""compile.placement: nothing meets in any memory, for random graphs."""

import itertools
from collections.abc import Iterator

import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.placement import stepped
from backspike.ir.connection import Dense
from backspike.ir.constants import ceil_div
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from tests.support.graph_plans import ROOMY, drawn_plan

SEEDS = range(300)


def used(plan: Plan) -> Iterator[tuple[str, str, range]]:
    """(memory, whose, what of it)."""
    cut = plan.cut
    for name, at in plan.populations.items():
        population = plan.graph.by_name[name]
        units = range(at.base, at.base + at.tiles * cut.blocks)
        if population.spikes:
            yield "spikes", name, units
        if population.neuron is not None:
            yield "codes", name, units
        if name in plan.graph.learning:
            first = at.gradients
            yield "gradients", name, range(first, first + at.tiles * cut.blocks)
        if at.errors is not None:
            yield ("gradients", f"errors of {name}",
                   range(at.errors, at.errors + at.tiles * cut.blocks))  # fmt: skip
        if at.logits is not None:
            each = cut.blocks if plan.every else cut.sets
            yield "logits", name, range(at.logits, at.logits + at.tiles * each)
    for name, at in plan.connections.items():
        yield "blocks of weights", name, range(at.weights, at.weights + at.weight_blocks)
    if plan.places.identity is not None:
        yield (
            "blocks of weights",
            "the identity",
            range(plan.places.identity, plan.places.identity + 1),
        )


SIZES = {
    "spikes": ROOMY.spike_units,
    "codes": ROOMY.units,
    "gradients": ROOMY.gradients,
    "logits": ROOMY.readout_units,
    "blocks of weights": ROOMY.weight_rows // ROOMY.lanes,
}


@pytest.mark.parametrize("first", range(0, len(SEEDS), 100))
def test_nothing_overlaps(first):
    """In no memory, and nothing lies outside; and there is no gap in any."""
    for seed in SEEDS[first : first + 100]:
        plan = drawn_plan(seed)
        for memory, size in SIZES.items():
            if memory == "gradients" and plan.machine.gradient_units:
                continue  # of which some take the place of others: test_liveness
            found = sorted((what for m, _, what in used(plan) if m == memory),
                           key=lambda what: what.start)  # fmt: skip
            assert all(a.stop == b.start for a, b in itertools.pairwise(found)), (seed, memory)
            assert all(what.start == 0 for what in found[:1]), (seed, memory)
            assert all(len(what) and what.stop <= size for what in found), (seed, memory)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 100))
def test_places_have_room_for_what_is_put_there(first):
    """Neurons in tiles, sources and bias in source tiles; both ends are where populations lie."""
    for seed in SEEDS[first : first + 100]:
        plan = drawn_plan(seed)
        graph, lanes = plan.graph, plan.machine.lanes
        assert plan.populations.keys() == graph.by_name.keys()
        assert list(plan.connections) == [c.name for c in graph.connections]
        for name, at in plan.populations.items():
            assert (at.size, at.tiles) == (
                graph.by_name[name].size, ceil_div(graph.by_name[name].size, lanes)
            )  # fmt: skip
        for c in graph.connections:
            at = plan.connections[c.name]
            source, target = plan.populations[c.source], plan.populations[c.target]
            assert (at.sources, at.size, at.tiles) == (source.size, target.size, target.tiles)
            assert (at.source_base, at.output_base) == (source.base, target.base)
            assert at.gradient_base == target.gradients
            assert at.diagonal == (not isinstance(c.kind, Dense))
            assert at.bias == (isinstance(c.kind, Dense) and c.kind.bias)
            assert (at.source_tiles - 1) * lanes < at.sources + at.bias <= at.source_tiles * lanes
            assert at.weight_blocks == (1 if at.diagonal else at.tiles * at.source_tiles)


def test_who_has_errors_of_its_own_and_logits():
    """Read-outs without spikes have logits. Errors of the host's of every step: of all read-outs,
    or, if errors come for the last step, of those that spike; and then there is an identity."""
    seen = set()
    for seed in SEEDS:
        plan = drawn_plan(seed)
        for name, at in plan.populations.items():
            population = plan.graph.by_name[name]
            readout = population.role == "readout"
            assert (at.logits is not None) == (readout and not population.spikes)
            wanted = readout and (plan.every or population.spikes)
            wanted = wanted and name in plan.graph.learning
            assert stepped(population, plan.every) or not wanted
            assert (at.errors is not None) == wanted
        some = any(at.errors is not None for at in plan.populations.values())
        assert (plan.places.identity is not None) == some
        seen.add(some)
    assert seen == {False, True}


def test_inputs_come_last():
    """Two inputs, 3 tiles of blocks in all, lie behind what else spikes; errors come first among
    the gradients, then these from the last population to the first."""
    graph = Graph(
        (
            Population("x", (4,), role="input"),
            Population("y", (3,), role="readout"),
            Population("z", (2,), role="input"),
            Population("h", (5,), drawn_plan(0).graph.by_name["h0"].neuron),
        ),
        tuple(
            Connection(name=f"{source}{target}", source=source, target=target, kind=Dense())
            for source, target in ("xy", "zh", "hy")
        ),
    )
    plan = compile_graph(graph, 1, Learning(batch=17), ROOMY, every=True)
    assert plan.cut.blocks == 2
    places = {name: (at.base, at.tiles, at.errors) for name, at in plan.populations.items()}
    assert places == {"x": (6, 2, None), "z": (10, 1, None), "h": (0, 3, None), "y": (0, 2, 0)}
    assert [plan.populations[name].gradients for name in "yh"] == [4, 8]
    needs = {use.memory: use.needs for use in plan.uses}
    assert [needs[f"{memory} memory"] for memory in ("spike", "code", "gradient")] == [12, 6, 14]
