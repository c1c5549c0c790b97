"""The compiler: what it places does not meet, what it refuses it names, what it writes is checked.

That the core does the right thing with a plan is proven by the runs in lockstep.
"""

import dataclasses
import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backspike.compile.compiler import Plan, compile_graph
from backspike.compile.cut import Cut, cuts
from backspike.compile.schedule import Task
from backspike.compile.uses import MAX_BLOCKS, MAX_TILES
from backspike.gen.core.engines import KINDS
from backspike.gen.core.layout import NEVER, TASK
from backspike.gen.machine import DEPTH, MACHINES, Machine
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Conv2d, Dense
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.ir.surrogate import Surrogate, rectangle
from tests.support.layered import Layer, Network, compile_network

PLANES = dataclasses.replace(MACHINES["default"], windows=256, units=512, spike_units=512)
DEFAULT = MACHINES["default"]


def dense(*sizes: int, steps: int = 4, bias: bool = False, **layer) -> Network:
    layers = tuple(Layer(size=size, bias=bias, **layer) for size in sizes[1:])
    return Network(inputs=sizes[0], layers=layers, steps=steps)


def disjoint(ranges: list[range]) -> bool:
    """Whether no two of them meet; empty ones meet nobody."""
    ordered = sorted((r for r in ranges if len(r)), key=lambda r: r.start)
    return all(a.stop <= b.start for a, b in itertools.pairwise(ordered))


@st.composite
def plans(draw) -> Plan:
    machine = MACHINES[draw(st.sampled_from(sorted(MACHINES)))]
    sizes = draw(st.lists(st.integers(1, 90), min_size=2, max_size=5))
    bias = draw(st.lists(st.booleans(), min_size=len(sizes) - 1, max_size=len(sizes) - 1))
    network = Network(
        inputs=sizes[0],
        layers=tuple(Layer(size=n, bias=b) for n, b in zip(sizes[1:], bias, strict=True)),
        steps=draw(st.integers(1, 40)),
    )
    try:
        return compile_network(network, Learning(batch=draw(st.integers(1, 40))), machine)
    except UserError:
        assume(False)
        raise


@given(plans())
@settings(deadline=None, max_examples=150)
def test_blocks_hold_the_batch(plan):
    """The blocks hold all samples and steps with none left over, for random networks."""
    cut = plan.cut
    assert cut.samples * cut.steps <= DEPTH
    assert cut.samples <= plan.learning.batch <= cut.samples * cut.sets
    assert cut.samples * (cut.sets - 1) < plan.learning.batch
    assert 0 < cut.last_steps <= cut.steps
    assert cut.steps * (cut.spans - 1) + cut.last_steps == plan.steps
    assert all(use.needs <= use.has for use in plan.uses)


@given(plans())
@settings(deadline=None, max_examples=150)
def test_nothing_that_is_placed_meets(plan):
    """Weights in rows; spikes, codes and gradients in units, inputs among the spikes."""
    machine, blocks = plan.machine, plan.cut.blocks
    rows = [
        range(at.weights * machine.lanes, (at.weights + at.weight_blocks) * machine.lanes)
        for at in plan.layers
    ]
    outputs = [range(at.output_base, at.output_base + at.tiles * blocks) for at in plan.layers]
    gradients = [
        range(at.gradient_base, at.gradient_base + at.tiles * blocks) for at in plan.layers
    ]
    first, inputs_at = plan.layers[0], plan.populations["input"].base
    tiles = -(-first.sources // machine.lanes)  # as the host writes them
    inputs = range(inputs_at, inputs_at + tiles * blocks)
    assert disjoint(rows)
    assert disjoint(gradients) or sum(map(len, gradients)) > machine.gradients
    assert disjoint([*outputs[:-1], inputs])  # the read-out has no spikes
    assert max(r.stop for r in rows) <= machine.weight_rows
    assert max([0, *(r.stop for r in outputs[:-1])]) <= machine.units
    assert max(r.stop for r in gradients) <= machine.gradients
    assert inputs.stop <= machine.spike_units
    assert plan.layers[-1].tiles * plan.cut.sets <= machine.readout_units
    assert first.source_base == inputs_at
    for below, at in itertools.pairwise(plan.layers):
        assert at.source_base == below.output_base
    for (rows, size), at in zip(plan.graph.shapes.values(), plan.layers, strict=True):
        assert (at.tiles - 1) * machine.lanes < size <= at.tiles * machine.lanes
        assert (at.source_tiles - 1) * machine.lanes < at.sources + at.bias == rows
        assert rows <= at.source_tiles * machine.lanes
        assert at.rows == rows * at.tiles
        assert at.rows <= at.weight_blocks * machine.lanes


def check_fields(plan: Plan) -> None:
    """Descriptors, records and tasks have all their fields, which fit their widths."""
    for name in KINDS:
        kind, found = KINDS[name].on(plan.machine), plan.descriptors[name]
        for each, fields in ((found.layers.values(), kind.fields),
                             (found.records, kind.record_fields)):  # fmt: skip
            for values in each:
                assert values.keys() == fields.keys()
                for field, value in values.items():
                    assert 0 <= value < 1 << fields[field].width, (name, field)
        for task in plan.queues[name].tasks:
            assert 0 <= task.layer < min(len(found.layers), 1 << TASK["layer"].width)
            assert 0 <= task.tile < 1 << TASK["tile"].width
            assert 0 <= task.place < 1 << TASK["place"].width
            assert all(
                0 <= count < 1 << TASK[f"wait_{other}"].width for other, count in task.waits.items()
            )
            assert name not in task.waits


@given(plans())
@settings(deadline=None, max_examples=100)
def test_fields_and_tasks_fit_their_widths(plan):
    """Descriptors, tasks and programs of random networks fit their fields' widths; a chain keeps
    nothing and has no loops."""
    check_fields(plan)
    for name in ENGINES:
        found = plan.descriptors[name]
        assert len(found.layers) == len(plan.layers) <= plan.machine.layers
        assert (
            len(found.records)
            == {"fp": len(plan.layers), "bp": len(plan.layers) - 1, "wg": 0}[name]
        )
        tasks = plan.queues[name].tasks
        assert len(tasks) <= plan.machine.tasks
        for task in tasks:
            layer = list(found.layers)[task.layer]
            assert 0 <= task.tile < plan.connections[layer].tiles
            assert task == Task(task.layer, task.tile, task.waits)
    for program in plan.programs.values():
        for name, tasks in program.items():
            assert 0 <= tasks.begin <= tasks.end <= len(plan.queues[name].tasks)


def test_digits_on_default():
    """64-128-10 as a person would place it: 8 lanes, a step of all 16 samples a block, 4 blocks."""
    network = dense(64, 128, 10, surrogate=rectangle(2.0), leak=0.5, threshold=0.75)
    plan = compile_network(network, Learning(batch=16, rate=2.0**-6), DEFAULT)
    assert plan.cut == Cut(samples=16, sets=1, steps=1, spans=4, last_steps=1)
    hidden, readout = plan.layers
    assert (hidden.tiles, hidden.source_tiles, hidden.rows) == (16, 8, 1024)
    assert (readout.tiles, readout.source_tiles, readout.rows) == (2, 16, 256)
    assert (hidden.weights, readout.weights) == (0, 128)
    assert (hidden.output_base, hidden.source_base) == (0, 64)
    assert (hidden.gradient_base, readout.gradient_base) == (8, 0)
    assert {(use.memory, use.needs, use.has) for use in plan.uses} >= {
        ("layers", 2, 4),
        ("weight memory", 1280, 2048),
        ("spike memory", 96, 256),
        ("code memory", 64, 128),
        ("gradient memory", 72, 128),
        ("batch", 4, MAX_BLOCKS),
        ("read-out memory", 2, 32),
        ("fp task memory", 36, 256),
        ("bp task memory", 18, 256),
        ("wg task memory", 18, 256),
    }


def test_descriptors():
    """Every field of a layer in the middle, and of the read-out."""
    surrogate = Surrogate("table", (-0.5, 0.25), (0.0, 0.5, 0.0))
    network = Network(
        inputs=20,
        steps=4,
        layers=(
            Layer(size=9, bias=True, leak=0.5, threshold=0.75, reset="soft", rule="mpd-ed",
                  temporal=False, surrogate=surrogate),
            Layer(size=17, leak=0.25, threshold=2.0),
        ),
    )  # fmt: skip
    learning = Learning(batch=8, loss="mse", alpha=0.125, rate=0.5, rounding="stochastic")
    plan = compile_network(network, learning, DEFAULT)
    fp, bp, wg = ([*plan.descriptors[name].layers.values()] for name in ENGINES)
    never = {f"edge{n}": NEVER for n in range(15)}
    assert fp[0] == never | {
        "tiles": 2, "size": 9, "record": 0, "connections": 1, "output_base": 0, "leak": 0x3800,
        "current": 0, "synapse": 0, "threshold": 0x3A00, "soft": 1, "readout": 0, "every": 0,
        "spikes_only": 1, "nonzero": 0b010, "edge0": 0x3400, "edge1": 0x3C00,
    }  # fmt: skip
    assert {k: v for k, v in fp[1].items() if not k.startswith("edge")} == {
        "tiles": 3, "size": 17, "record": 1, "connections": 1, "output_base": 0, "leak": 0x3C00,
        "current": 0, "synapse": 0, "threshold": 0x3C00, "soft": 0, "readout": 1, "every": 0,
        "spikes_only": 0, "nonzero": 0b010,
    }  # fmt: skip
    assert plan.descriptors["fp"].records == (
        {"source_tiles": 3, "sources": 20, "bias": 1, "source_base": 4, "weights": 0,
         "diagonal": 0, "delay": 0},
        {"source_tiles": 2, "sources": 9, "bias": 0, "source_base": 0, "weights": 6,
         "diagonal": 0, "delay": 0},
    )  # fmt: skip
    none = {f"h{n}": 0 for n in range(16)}
    assert bp[0] == none | {
        "tiles": 2, "size": 9, "record": 0, "connections": 1, "output_base": 0,
        "gradient_base": 6, "loss": 0,
        "squared": 0, "logits": 0, "integrate": 0, "leak": 0x3800, "current": 0, "synapse": 0,
        "soft": 1, "temporal": 0, "spikes_only": 1, "h1": 0x3800,
    }  # fmt: skip
    assert {k: v for k, v in bp[1].items() if k[0] != "h" and k not in ("soft", "temporal")} == {
        "tiles": 3, "size": 17, "record": 1, "connections": 0, "output_base": 0,
        "gradient_base": 0, "loss": 1,
        "squared": 1, "logits": 0, "integrate": 0, "leak": 0x3000, "current": 0, "synapse": 0,
        "spikes_only": 0,
    }  # fmt: skip
    assert plan.descriptors["bp"].records == (
        {"next_tiles": 3, "next_base": 0, "next_source_tiles": 2, "next_weights": 6,
         "diagonal": 0, "delay": 0},
    )  # fmt: skip
    assert wg[1] == {
        "tiles": 3, "source_tiles": 2, "sources": 9, "bias": 0, "source_base": 0,
        "gradient_base": 0, "weights": 6, "delay": 0, "rate": 0x3800, "stochastic": 1, "all": 0,
        "hand": 0, "momentum": 0, "key": 0,
    }  # fmt: skip
    assert plan.descriptors["wg"].records == ()


BIG = Machine(name="big", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=2**16,
              units=4096, spike_units=8192, readout_units=4096, layers=4, tasks=1024)  # fmt: skip


@pytest.mark.parametrize(
    ("network", "batch", "machine", "words"),
    [
        (dense(4, 4, steps=4096), 32, BIG, "its batch needs 8192 blocks, and there are 8191"),
        (dense(4, 4, 4, 4, 4, 4), 1, DEFAULT,
         "its layers need 5 descriptors, and there are 4 (parameter layers)"),
        (dense(64, 300, 10), 1, DEFAULT,
         "'default': its weight memory needs 3040 row tiles, and there are 2048"),
        (dense(64, 128, 10, steps=16), 16, DEFAULT, "its spike memory needs 384 tiles, and"),
        (dense(8, 64, 64, 8), 48, DEFAULT, "its code memory needs 192 tiles, and there are"),
        (dense(8, 64, 64, 8, steps=17), 6, DEFAULT, "its gradient memory needs 136 tiles, and"),
        (dense(2, 264, steps=1), 1, DEFAULT,
         "its read-out memory needs 33 tiles, and there are 32"),
        (dense(1, 2 * MAX_TILES + 2, 1), 1, BIG, "its widest layer needs 257 tiles"),
        (dense(2 * MAX_TILES + 1, 1, 1), 1, BIG, "its widest layer needs 257 tiles"),
        (dense(4, *[500] * 2), 1, dataclasses.replace(BIG, tasks=512),
         "its weight memory needs 126000 row tiles"),
        (dense(4, *[300, 4] * 2), 1, dataclasses.replace(BIG, tasks=256),
         "its fp task memory needs 608 tasks, and there are 256"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(network, batch, machine, words):
    """A network that is too large is a UserError with the memory, its need and its size."""
    with pytest.raises(UserError) as raised:
        compile_network(network, Learning(batch=batch), machine)
    assert words in str(raised.value)


def test_the_limit_itself_fits():
    """The largest read-out, the largest batch of it and the most steps that default has room for:
    one more of any of them does not fit."""
    most = dense(2, 256, steps=4)
    plan = compile_network(most, Learning(batch=16), DEFAULT)
    full = {use.memory for use in plan.uses if use.needs == use.has}
    assert full == {"gradient memory", "read-out memory"}
    compile_network(dense(2 * MAX_TILES, 1), Learning(batch=1), BIG)
    for network, batch, memory in (
        (dense(2, 257, steps=1), 1, "read-out memory needs 33"),
        (dense(2, 256, steps=1), 17, "read-out memory needs 64"),
        (dense(2, 256, steps=5), 16, "gradient memory needs 160"),
    ):
        with pytest.raises(UserError, match=memory):
            compile_network(network, Learning(batch=batch), DEFAULT)


def test_steps_have_no_limit_but_memory():
    """As many steps as there is room for, and not one more."""
    network = dense(2, 2, steps=2048)
    plan = compile_network(network, Learning(batch=1), DEFAULT)
    assert plan.cut == Cut(samples=1, sets=1, steps=16, spans=128, last_steps=16)
    with pytest.raises(UserError, match="its gradient memory needs 129 tiles, and there are 128"):
        compile_network(dataclasses.replace(network, steps=2049), Learning(batch=1), DEFAULT)


def test_another_cut_where_the_fastest_has_no_room():
    """All samples in a set take 9 spans; where these do not fit it is two sets of 4 spans each."""
    learning = Learning(batch=6)
    fastest, room = (
        Cut(samples=6, sets=1, steps=2, spans=9, last_steps=1),
        Cut(samples=3, sets=2, steps=5, spans=4, last_steps=2),
    )
    assert next(cuts(6, 17, DEFAULT)) == fastest
    assert compile_network(dense(8, 64, 40, 8, steps=17), learning, DEFAULT).cut == fastest
    plan = compile_network(dense(8, 64, 56, 8, steps=17), learning, DEFAULT)
    assert plan.cut == room
    assert ("gradient memory", 128, 128) in {(u.memory, u.needs, u.has) for u in plan.uses}


def test_the_first_cut_that_fits_is_taken():
    """Of many batches: no faster cut has room. So it is the fastest wherever there is enough."""
    larger = dataclasses.replace(DEFAULT, units=2**12, spike_units=2**13, readout_units=2**11)
    other = 0
    for batch, steps in itertools.product(range(3, 24, 3), range(1, 40, 2)):
        network, learning = dense(9, 30, 9, steps=steps), Learning(batch=batch)
        order = list(cuts(batch, steps, DEFAULT))
        assert compile_network(network, learning, larger).cut == order[0]
        fits = [cut for cut in order if 6 * cut.blocks <= DEFAULT.units]
        if not fits:
            with pytest.raises(UserError, match="memory needs"):
                compile_network(network, learning, DEFAULT)
            continue
        assert compile_network(network, learning, DEFAULT).cut == fits[0]
        other += fits[0] != order[0]
    assert other > 2


SCALES = dataclasses.replace(PLANES, scale_down=2)
OPTIONS = "must have one for convolutions and graded inputs, as default,windows=256"


@pytest.mark.parametrize(
    ("layers", "machine", "message"),
    [
        ((Conv2d(2, 3), LIF(), Dense(3)), DEFAULT,
         f"machine 'default' has no table of windows, {OPTIONS}$"),
        ((Conv2d(2, 1, pool=2, average=True), LIF(), Dense(3)), DEFAULT,
         f"machine 'default' has no table of windows, {OPTIONS},scale_down=2"),
        ((Conv2d(2, 1, pool=4, average=True), LIF(), Dense(3)), SCALES,
         "machine 'default' has a scale_down of 2, must have more for averages and graded inputs, "
         "as default,scale_down=4"),
        ((Conv2d(2, 3), LIF(), Conv2d(3, 1)), PLANES,
         "read-out readout has planes of 4 pixels, must have planes of 1 on a core"),
        ((Conv2d(2, 3), LIF(), Dense(3)), dataclasses.replace(PLANES, windows=8),
         "its table of windows needs .* rows, and there are 8"),
    ],
)  # fmt: skip
def test_what_a_core_has_no_windows_for_is_refused(layers, machine, message):
    """In a sentence that names the connection, and what must be."""
    graph = Sequential(Input((1, 4, 4)), *layers)
    with pytest.raises(UserError, match=message):
        compile_graph(graph, 4, Learning(), machine)


@pytest.mark.parametrize(
    ("given", "machine", "message"),
    [
        ({"bits": 2}, DEFAULT, f"'default' has no table of windows, {OPTIONS},scale_down=2"),
        ({"bits": 4, "fraction": 3}, SCALES, "scale_down of 2, .* default,scale_down=3"),
        ({"bits": 3, "fraction": 0}, PLANES, "scale_up of 0, must have more for graded inputs, "
         "as default,scale_up=2"),
    ],
)  # fmt: skip
def test_scales_that_a_machine_lacks_are_named(given, machine, message):
    """Of a graded input's highest and lowest bit."""
    graph = Sequential(Input(4, **given), Dense(3))
    with pytest.raises(UserError, match=message):
        compile_graph(graph, 4, Learning(), machine)


def test_a_sum_has_no_more_terms_than_there_is_room_for():
    """Pools give a weight many sources: a sum that is too long is refused."""
    graph = Sequential(Input((2, 16, 16)), Conv2d(3, 1, pool="all"), LIF(), Dense(3))
    small = dataclasses.replace(PLANES, units=512, spike_units=512, weight_rows=256)
    message = "its longest sum of fp needs 512 terms, and there are 256"
    with pytest.raises(UserError, match=message):
        compile_graph(graph, 1, Learning(batch=1), small)
    compile_graph(graph, 1, Learning(batch=1), dataclasses.replace(small, weight_rows=512))
