"""compile.descriptors: what engines are told of graphs."""

import re

import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.gen.core.layout import NEVER
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Network
from backspike.ir.connection import Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.half_bits import half_bits
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import rectangle
from tests.support.graph_plans import ROOMY, drawn_plan
from tests.support.kinds import KINDS

SEEDS = range(300)


def fields_fit(plan: Plan) -> None:
    for name, kind in KINDS.items():
        found = plan.descriptors[name]
        for each, fields in ((found.layers.values(), kind.fields),
                             (found.records, kind.record_fields)):  # fmt: skip
            for values in each:
                assert values.keys() == fields.keys()
                assert all(0 <= v < 1 << fields[field].width for field, v in values.items())


def records_of(plan: Plan, engine: str, name: str) -> tuple[dict, ...]:
    """Those that a descriptor points to."""
    values = plan.descriptors[engine].layers[name]
    return plan.descriptors[engine].records[values["record"] :][: values["connections"]]


@pytest.mark.parametrize("first", range(0, len(SEEDS), 100))
def test_records_follow_each_other_in_the_order_of_connections(first):
    """Forward those that enter a population, backward those that bring errors, in the graph's
    order; then of a read-out that the host gives errors of every step, those. A loss has none."""
    for seed in SEEDS[first : first + 100]:
        plan = drawn_plan(seed)
        graph, places = plan.graph, plan.places
        fields_fit(plan)
        for engine in ("fp", "bp"):
            found = plan.descriptors[engine]
            at = 0
            for n, (name, values) in enumerate(found.layers.items()):
                assert found.number(name) == n
                assert values["record"] == at
                at += values["connections"]
            assert at == len(found.records)
        order = [name for stage in graph.stages for name in stage]
        forward = [name for name in order if graph.by_name[name].role != "input"]
        assert [*plan.descriptors["fp"].layers] == forward
        assert [*plan.descriptors["bp"].layers] == [n for n in forward if n in graph.learning]
        assert [*plan.descriptors["wg"].layers] == [c.name for c in graph.trained]
        for name in plan.descriptors["fp"].layers:
            records = records_of(plan, "fp", name)
            for c, record in zip(graph.into(name), records, strict=True):
                at = places.connections[c.name]
                assert record == {
                    "source_tiles": at.source_tiles, "sources": at.sources, "bias": at.bias,
                    "source_base": plan.populations[c.source].base, "weights": at.weights,
                    "diagonal": at.diagonal, "delay": c.delay,
                }  # fmt: skip
        for name, values in plan.descriptors["bp"].layers.items():
            population, own = graph.by_name[name], plan.populations[name]
            records = list(records_of(plan, "bp", name))
            if own.errors is not None:
                assert records.pop() == {
                    "next_tiles": own.tiles, "next_base": own.errors,
                    "next_source_tiles": own.tiles, "next_weights": places.identity,
                    "diagonal": 1, "delay": 0,
                }  # fmt: skip
            for c, record in zip(graph.errors_into(name), records, strict=True):
                at = places.connections[c.name]
                assert record == {
                    "next_tiles": at.tiles, "next_base": plan.populations[c.target].gradients,
                    "next_source_tiles": at.source_tiles, "next_weights": at.weights,
                    "diagonal": at.diagonal, "delay": c.delay,
                }  # fmt: skip
            readout = not population.spikes
            assert values["loss"] == (readout and not plan.every)
            assert values["integrate"] == (readout and plan.every)
            assert values["output_base"] == own.base
            assert values["logits"] == (own.logits if values["loss"] else 0)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 100))
def test_updates_are_of_the_connections_that_are_trained(first):
    """A descriptor has its connection's place and both ends, the delay and the rate."""
    for seed in SEEDS[first : first + 100]:
        plan = drawn_plan(seed)
        for c in plan.graph.trained:
            at = plan.connections[c.name]
            assert plan.descriptors["wg"].layers[c.name] == {
                "tiles": at.tiles, "source_tiles": at.source_tiles, "sources": at.sources,
                "bias": at.bias, "source_base": at.source_base, "gradient_base": at.gradient_base,
                "weights": at.weights, "delay": c.delay, "rate": half_bits(plan.learning.rate),
                "stochastic": 0, "all": 0, "hand": 0, "momentum": 0, "key": 0,
            }  # fmt: skip


HIDDEN = CubaLIF(leak=0.5, synapse=0.25, threshold=0.75, reset="soft", temporal=False)


def branches(**options) -> Plan:
    """x -> h -> y, a skip h ~> h, and h -> s, a read-out that spikes and tells h of it."""
    graph = Graph(
        (
            Population("x", (3,), role="input"),
            Population("h", (5,), HIDDEN),
            Population("s", (5,), LIF(leak=0.5, rule="mpd-ed"), role="readout"),
            Population("y", (2,), role="readout"),
        ),
        (
            Connection(name="own", source="h", target="h", kind=Identity(-0.5), delay=1),
            Connection(name="in", source="x", target="h", kind=Dense(bias=True)),
            Connection(name="back", source="s", target="h", kind=Dense(), delay=1),
            Connection(name="skip", source="h", target="s", kind=Identity()),
            Connection(name="out", source="h", target="y", kind=Dense()),
        ),
    )
    return compile_graph(graph, 4, Learning(batch=2, alpha=0.125), ROOMY, **options)


def test_fields_of_neurons():
    """A current's leak where there is one; a read-out integrates what it gets, without leak; the
    loss has alpha in the leak's place."""
    for every in (False, True):
        plan = branches(every=every)
        fp, bp = (plan.descriptors[name].layers for name in ("fp", "bp"))
        for found in (fp["h"], bp["h"]):
            assert (found["current"], found["synapse"]) == (1, 0x3400)
            assert (found["leak"], found["soft"], found["spikes_only"]) == (0x3800, 1, 0)
        assert (fp["h"]["threshold"], bp["h"]["temporal"]) == (0x3A00, 0)
        assert (fp["h"]["readout"], fp["h"]["every"], fp["s"]["readout"]) == (0, 0, 0)
        for found in (fp["s"], bp["s"]):
            assert (found["current"], found["synapse"], found["spikes_only"]) == (0, 0, 1)
        assert (bp["s"]["loss"], bp["s"]["integrate"]) == (0, 0)
        assert (fp["y"]["readout"], fp["y"]["every"], fp["y"]["leak"]) == (1, every, 0x3C00)
        assert fp["y"]["output_base"] == plan.populations["y"].logits == 0
        assert bp["y"]["leak"] == (0x3C00 if every else 0x3000)
        assert (bp["y"]["loss"], bp["y"]["integrate"]) == (not every, every)
        assert fp["h"]["edge14"] == NEVER
        assert [len(records_of(plan, "fp", name)) for name in "hsy"] == [3, 1, 1]
        assert [len(records_of(plan, "bp", name)) for name in "hsy"] == [3, 2, int(every)]


def crowd(*ends: tuple[str, str, int]) -> Graph:
    """x, h, and read-outs that spike: so many connections between two, of which one learns."""
    readouts = {target for _, target, _ in ends} - {"h"}
    return Graph(
        (
            Population("x", (2,), role="input"),
            Population("h", (2,), LIF()),
            *(Population(name, (2,), LIF(), role="readout") for name in sorted(readouts)),
        ),
        tuple(
            Connection(
                name=f"{source}{target}{n}", source=source, target=target, kind=Dense(),
                delay=int(source == "y"), frozen=n > 0,
            )
            for source, target, many in ends
            for n in range(many)
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((("x", "h", 17), ("h", "y", 1)), "17 connections enter population h, must be up to 16"),
        ((("x", "h", 1), ("h", "y", 17)), "17 connections enter population y, must be up to 16"),
        (
            (("x", "h", 1), ("h", "y", 8), ("h", "z", 9)),
            "17 connections leave population h, must be up to 16 on a core",
        ),
        # The errors of the host's are one more.
        (
            (("x", "h", 1), ("h", "y", 1), ("y", "h", 8), ("y", "y", 8)),
            "17 connections leave population y, must be up to 16 on a core",
        ),
    ],
)
def test_too_many_connections_in_one_direction(ends, message):
    """More than sixteen are a UserError with the population and the direction."""
    graph = crowd(*ends)
    with pytest.raises(UserError, match=re.escape(message)):
        compile_graph(graph, 2, Learning(batch=1), ROOMY)


def test_sixteen_connections_in_one_direction():
    """As many as a core can have, one after the other."""
    plan = compile_graph(crowd(("x", "h", 16), ("h", "y", 16)), 2, Learning(batch=1), ROOMY)
    assert [v["connections"] for v in plan.descriptors["fp"].layers.values()] == [16, 16]
    assert [v["connections"] for v in plan.descriptors["bp"].layers.values()] == [16, 1]


def test_a_machine_has_room_for_four_records_a_layer():
    """Of `tiny`'s four layers: 16 records, and not one more."""
    fits = compile_graph(
        crowd(("x", "h", 8), ("h", "y", 8)), 2, Learning(batch=1), MACHINES["tiny"]
    )
    assert ("connections", 16, 16) in {(u.memory, u.needs, u.has) for u in fits.uses}
    with pytest.raises(UserError, match="its connections need 17 records, and there are 16"):
        compile_graph(crowd(("x", "h", 9), ("h", "y", 8)), 2, Learning(batch=1), MACHINES["tiny"])


def test_the_height_of_a_surrogate_is_in_the_descriptor():
    """As a half; codes that a table does not have are 0."""
    net = Network()
    neuron = LIF(rule="mpd-ed", surrogate=rectangle(2.0, 1.5))
    net.connect(net.input("x", 4), net.population("h", 4, neuron))
    net.connect("h", net.readout("y", 2))
    plan = compile_graph(net.graph, 2, Learning(batch=2), MACHINES["tiny"])
    told = plan.descriptors["bp"].layers["h"]
    assert [told[f"h{c}"] for c in range(16)] == [0, half_bits(1.5), *[0] * 14]
    assert plan.descriptors["fp"].layers["h"]["nonzero"] == 0b10
