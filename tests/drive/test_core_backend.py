"""CoreBackend: what it refuses, what it runs, and where its tensors lie; the core is a memory."""

import re

import numpy as np
import pytest

from backspike.compile.compiler import Plan, compile_graph
from backspike.drive.core_backend import CoreBackend
from backspike.gen.core.control.counters import COUNTERS, WORDS
from backspike.gen.core.map import IDENT, SIZES, VERSION
from backspike.gen.machine import DEPTH
from backspike.ir.connection import Dense, Identity
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from tests.support.graph_plans import ROOMY

STEPS = 3


class Memory:
    """A port to a core that keeps what is written, and whose runs are over at once."""

    def __init__(self):
        self.registers = ROOMY.map()
        self.words = np.zeros(1 << self.registers.addr_width - 2, np.uint32)
        self.writes = 0
        sizes = {name: getattr(ROOMY, name).bit_length() - 1 for name in SIZES}
        machine = {name: getattr(ROOMY, name) for name in
                   ("lanes", "fp_reuse", "bp_reuse", "wg_reuse", "layers")}  # fmt: skip
        self.write("ident", IDENT)
        self.write("version", VERSION)
        self.write("machine", self.registers.register("machine").pack(**machine, depth=DEPTH))
        self.write("sizes", self.registers.register("sizes").pack(**sizes))
        for name, size in (("weight_rows", ROOMY.weight_rows), ("units", ROOMY.units),
                           ("gradient_units", ROOMY.gradients)):  # fmt: skip
            self.write(name, size)

    def _at(self, address: int | str) -> int:
        if isinstance(address, str):
            entry = self.registers[address]
            address = getattr(entry, "base", None) or getattr(entry, "offset", 0)
        return address // 4

    def write(self, address, *words):
        self.write_block(address, words)

    def read(self, address):
        return int(self.words[self._at(address)])

    def write_block(self, address, words):
        at, words = self._at(address), np.asarray(words).ravel()
        self.words[at : at + len(words)] = words
        self.writes += 1

    def read_block(self, address, words):
        return self.words[self._at(address) :][:words].copy()

    def wait(self, address, mask, value, **options):
        return value

    def close(self):
        pass


def network(delay: int = 0) -> Graph:
    """Two inputs; h, which spikes of z may come back to; y, and z, which spikes."""
    back = Connection(name="back", source="z", target="h", kind=Dense(), delay=1)
    return Graph(
        (
            Population("a", (3,), role="input"),
            Population("b", (2,), role="input"),
            Population("h", (5,), LIF()),
            Population("y", (2,), role="readout"),
            Population("z", (5,), LIF(), role="readout"),
        ),
        (
            Connection(name="ah", source="a", target="h", kind=Dense(bias=True)),
            Connection(name="bh", source="b", target="h", kind=Dense(), frozen=True),
            Connection(name="hy", source="h", target="y", kind=Dense()),
            Connection(name="hz", source="h", target="z", kind=Identity(-2.0)),
            *((back,) if delay else ()),
        ),
    )


def compiled(*, delay: int = 0, loss: str = "ce", **options) -> Plan:
    learning = Learning(batch=3, loss=loss)  # pyright: ignore[reportArgumentType]
    return compile_graph(network(delay), STEPS, learning, ROOMY, **options)


def started(**options) -> CoreBackend:
    """On a memory, with weights."""
    core = CoreBackend(compiled(**options), Memory())
    shapes = core.plan.graph.shapes
    core.load_weights({n: np.full(shape, 0x3C00, np.uint16) for n, shape in shapes.items()})
    return core


def inputs(samples: int = 3, steps: int = STEPS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(samples)
    return {n: rng.integers(0, 2, (samples, steps, size)).astype(np.uint8)
            for n, size in (("a", 3), ("b", 2))}  # fmt: skip


def errors(samples: int = 3, every: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(samples)
    y = (samples, STEPS, 2) if every else (samples, 2)
    return {n: (rng.integers(0, 2, shape) * 0x3C00).astype(np.uint16)
            for n, shape in (("y", y), ("z", (samples, STEPS, 5)))}  # fmt: skip


LABELS = np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "inputs are of [], must be of ['a', 'b']"),
        (inputs() | {"h": inputs()["a"]}, "inputs are of ['a', 'b', 'h'], must be of ['a', 'b']"),
        (inputs() | {"b": np.zeros((3, STEPS, 2))}, "input b is of float64, must be an array of"),
        (inputs() | {"b": np.full((3, STEPS, 2), 3, np.uint8)}, "input b has numbers up to 3, mus"),
        (inputs(4), "input a has the shape (4, 3, 3), must have (1 to 3, T, 3), T > 0"),
        (
            inputs() | {"b": inputs(2)["b"]},
            "input b has (2, 3) samples and steps, must have (3, 3)",
        ),
        (inputs(3, 4), "inputs have 4 steps, must have 3, as compiled"),
        (inputs(3, 2), "inputs have 2 steps, must have 3, as compiled"),
    ],
)
def test_wrong_inputs_are_refused(given, message):
    """By name, before anything is written."""
    core = started(every=True)
    core.forward(inputs())
    before = core.driver.port.writes
    for run in (core.forward, lambda x: core.update_forward(errors(), 0, x)):
        with pytest.raises(UserError, match=re.escape(message)):
            run(given)
    assert core.driver.port.writes == before
    core.update(errors(), 0)  # the batch before is still there


@pytest.mark.parametrize(
    ("every", "given", "message"),
    [
        (True, {}, "errors are of [], must be of ['y', 'z']"),
        (True, None, "errors are of [], must be of ['y', 'z']"),
        (True, {"y": errors()["y"]}, "errors are of ['y'], must be of ['y', 'z']"),
        (True, errors(3, False), "errors of y has the shape (3, 2), must have (3, 3, 2)"),
        (False, errors(3, True), "errors of y has the shape (3, 3, 2), must have (3, 2)"),
        (False, None, "errors are of [], must be of ['y', 'z']"),
        (True, errors(2), "errors of y has the shape (2, 3, 2), must have (3, 3, 2)"),
        (True, errors() | {"z": errors()["z"] * 1.0}, "errors of z is of float64, must be"),
        (
            True,
            errors() | {"z": np.full((3, STEPS, 5), 0x7C00, np.uint16)},
            "errors of z at (0, 0, 0) is 0x7c00, must be finite FP16, zero as 0x0000",
        ),
    ],
)
def test_wrong_errors_are_refused(every, given, message):
    """By name, before anything is written. Of a read-out that does not spike they are of every
    step, or of the last one, as the plan says; of one that spikes always of every step."""
    core = started(every=every)
    core.forward(inputs())
    before = core.driver.port.writes
    for run in (core.update, lambda *x: core.update_forward(*x, inputs())):
        with pytest.raises(UserError, match=re.escape(message)):
            run(given, 0)
    with pytest.raises(UserError, match="step is -1, must be from 0"):
        core.update(errors(3, every), -1)
    assert core.driver.port.writes == before
    core.update(errors(3, every), 0)


def test_errors_that_the_core_works_out_are_not_given():
    """With loss mse and errors of the last step: those of y, of labels, which must be there."""
    core = started(loss="mse")
    with pytest.raises(UserError, match="labels are none, must be given: the core works errors"):
        core.forward(inputs())
    core.forward(inputs(), LABELS)
    with pytest.raises(UserError, match=re.escape("errors are of ['y', 'z'], must be of ['z']")):
        core.update(errors(3, False), 0)
    with pytest.raises(UserError, match=re.escape("errors are of [], must be of ['z']")):
        core.update(None, 0)
    core.update({"z": errors()["z"]}, 0)
    stepped = started(loss="mse", every=True)
    stepped.forward(inputs())
    stepped.update(errors(), 0)


def test_wrong_weights_are_refused():
    """Of other names or shapes, or no halves: before anything is written."""
    core = started()
    weights, before = core.weights(), core.driver.port.writes
    for wrong, message in (
        ({"ah": weights["ah"]}, "weights are of ['ah'], must be of ['ah', 'bh', 'hy']"),
        (weights | {"hy": weights["bh"]}, "weights of hy has the shape (2, 5), must have (5, 2)"),
        (weights | {"bh": weights["bh"] | 0x7C00}, "weights of bh at (0, 0) is 0x7c00, must be"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            core.load_weights(wrong)
    assert core.driver.port.writes == before


def test_an_update_needs_a_forward_since_the_last_one():
    """Else RuntimeError: before the first, after an update, and after weights are loaded."""
    core = started(every=True)

    def refused():
        with pytest.raises(RuntimeError, match="update without a forward since the last one"):
            core.update(errors(), 0)
        with pytest.raises(RuntimeError, match="update without a forward since the last one"):
            core.update_forward(errors(), 0, inputs())

    refused()
    core.forward(inputs())
    core.update(errors(), 0)
    refused()
    core.forward(inputs())
    core.update_forward(errors(), 1, inputs(2))
    core.update(errors(2), 2)  # of the batch that came with the update
    refused()
    core.forward(inputs())
    core.load_weights(core.weights())
    refused()


def test_only_a_stateful_network_goes_on_and_with_the_same_samples():
    """The messages say so."""
    core = started(every=True)
    core.forward(inputs())
    with pytest.raises(UserError, match="the network is compiled to begin every batch afresh"):
        core.forward(inputs(), go_on=True)
    core = started(every=True, stateful=True)
    core.forward(inputs(2), go_on=True)  # the first one begins
    before = core.driver.port.writes
    message = "the batch has 3 samples, must have 2, as the one that it continues has"
    with pytest.raises(UserError, match=message):
        core.forward(inputs(3), go_on=True)
    with pytest.raises(UserError, match=message):
        core.update_forward(errors(2), 0, inputs(3), go_on=True)
    assert core.driver.port.writes == before
    core.update_forward(errors(2), 0, inputs(2), go_on=True)


def ran(core: CoreBackend, monkeypatch) -> list[tuple]:
    """The runs from here on: program, buffers forward and backward, carry."""
    runs: list[tuple] = []
    monkeypatch.setattr(
        core.driver,
        "run",
        lambda program, *, forward, backward, carry: runs.append(
            (program, forward, backward, carry)
        ),
    )
    return runs


@pytest.mark.parametrize("delay", [0, 1])
def test_what_runs(monkeypatch, delay):
    """Batches take turns in two buffers. An update and the next batch run at the same time, but
    where spikes are delayed and one of the two batches goes on."""
    core = started(every=True, stateful=True, delay=delay)
    runs = ran(core, monkeypatch)
    core.forward(inputs(), go_on=True)  # nothing to go on with
    core.update_forward(errors(), 0, inputs())
    core.update_forward(errors(), 1, inputs(), go_on=True)
    core.update_forward(errors(), 2, inputs(), go_on=True)
    core.update_forward(errors(), 3, inputs())
    core.update(errors(), 4)
    core.load_weights(core.weights())
    core.forward(inputs(2), go_on=True)  # nothing again
    apart = [
        ("forward", 0, 1, False),
        ("both", 1, 0, False),
        ("update", 1, 1, False), ("forward", 0, 1, True),
        ("update", 0, 0, True), ("forward", 1, 0, True),
        ("update", 1, 1, True), ("forward", 0, 1, False),
        ("update", 0, 0, False),
        ("forward", 1, 0, False),
    ]  # fmt: skip
    together = [
        ("forward", 0, 1, False),
        ("both", 1, 0, False),
        ("both", 0, 1, True),
        ("both", 1, 0, True),
        ("both", 0, 1, False),
        ("update", 0, 0, False),
        ("forward", 1, 0, False),
    ]
    assert runs == (apart if delay else together)


def test_shapes_of_what_comes_back():
    """Logits of every step or of the last; of a read-out that spikes, sums of its spikes."""
    for every in (False, True):
        core = started(every=every)
        for samples in (3, 2):
            logits = core.forward(inputs(samples))
            assert logits["y"].shape == ((samples, STEPS, 2) if every else (samples, 2))
            assert logits["z"].shape == (samples, STEPS, 5)
            tensors = core.forward_tensors()
            assert set(tensors) == {
                "logits.y", "logits.z",
                *(f"{kind}.{n}" for kind in ("spikes", "codes") for n in "hz"),
            }  # fmt: skip
            core.update(errors(samples, every), 0)
            found = core.update_tensors()
            assert found["gradients.h"].shape == (samples, STEPS, 5)
            assert set(found) == {*(f"gradients.{n}" for n in "hyz"),
                                  *(f"weights.{n}" for n in ("ah", "bh", "hy"))}  # fmt: skip


def test_a_readout_that_spikes_counts_them():
    """Halves of the number of spikes up to each step, as codes say."""
    core = started(every=True)
    core.forward(inputs())
    at, lanes = core.plan.populations["z"], ROOMY.lanes
    window = core.driver.map.window("codes").base
    unit = at.base * DEPTH  # tile 0: neurons 0 and 1, entries t * samples + s
    samples = core.plan.cut.samples
    for step in (0, 2):
        row = unit + step * samples + 1
        assert lanes * 8 == 16
        core.driver.port.write(window + row * 4, 1 << 4 | 1 << 12 if step else 1 << 4)
    assert (core.plan.cut.spans, samples) == (1, 3)
    counted = core.forward_tensors()["logits.z"].view(np.float16)
    assert counted[1, :, :2].tolist() == [[1, 0], [1, 0], [2, 1]]
    assert not counted[[0, 2]].any()


def test_errors_are_where_the_descriptors_say():
    """As gradients, and a mask of those that are not zero; of the last step, in place of logits."""
    core = started(every=True)
    core.forward(inputs())
    given = errors()
    core.update(given, 0)
    plan = core.plan
    for name, size in (("y", 2), ("z", 5)):
        record = plan.descriptors["bp"].layers[name]["record"]
        record += plan.descriptors["bp"].layers[name]["connections"] - 1
        base = plan.descriptors["bp"].records[record]["next_base"]
        for (b, t, n), error in np.ndenumerate(given[name]):
            tile, lane = divmod(n, ROOMY.lanes)
            assert n < size
            unit, entry = base + tile * plan.cut.blocks, t * plan.cut.samples + b
            gradients = core.driver.map.window("gradients").base
            masks = core.driver.map.window("masks").base
            word = core.driver.port.read(gradients + (unit * DEPTH + entry) * 4)
            assert word >> 16 * lane & 0xFFFF == error
            word = core.driver.port.read(masks + unit * 4)
            assert bool(word >> 16 * lane + entry & 1) == bool(error)
    last = started()
    last.forward(inputs())
    last.update(errors(3, False), 0)
    logits = last.driver.map.window("logits").base
    first = last.plan.descriptors["bp"].layers["y"]["logits"]
    for b, row in enumerate(errors(3, False)["y"]):
        word = last.driver.port.read(logits + (first * DEPTH + b) * 4)
        assert word == int(row[0]) | int(row[1]) << 16


def test_identities_are_blocks_of_weights():
    """Written with the plan: the connection's scale, and 1 for errors that come step by step."""
    core = started(every=True)
    window = core.driver.map.window("weights").base
    places = core.plan.places
    assert places.identity is not None
    for block, scale in ((places.connections["hz"].weights, 0xC000), (places.identity, 0x3C00)):
        words = core.driver.port.read_block(window + block * 2 * 4, 2)
        # Row r, lane n in bank (r + n) mod 2: the diagonal is in bank 0 twice.
        assert words.tolist() == [scale, scale]


def test_counters_are_summed_over_runs():
    """None before the first run; then every run's, in the shape that reports have."""
    core = started(every=True)
    nothing = {name: {"busy": 0, "bound": 0, "events": 0,
                      "stalled": dict.fromkeys(("token", "vector", "drain", "port"), 0)}
               for name in ENGINES}  # fmt: skip
    assert core.counters() == {"total": 0, "overlap": 0, **nothing}
    words = np.zeros(max(WORDS.values()) + 1, np.uint32)
    for n, name in enumerate(WORDS):
        words[WORDS[name]] = n + 1
    core.driver.port.write_block("counters", words)
    core.forward(inputs())
    core.update_forward(errors(), 0, inputs())
    core.update(errors(), 1)
    got, number = core.counters(), {name: n + 1 for n, name in enumerate(WORDS)}
    assert (got["total"], got["overlap"]) == (3 * number["cycles"], 3 * number["overlap"])
    for name in ENGINES:
        flat = {k: v for k, v in got[name].items() if k != "stalled"} | got[name]["stalled"]
        assert flat == {counter: 3 * number[f"{name}_{counter}"] for counter in COUNTERS}
