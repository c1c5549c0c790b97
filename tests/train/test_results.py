"""What a trained network's result says of cycles, by population."""

import numpy as np
import pytest

from backspike.compile.compiler import compile_graph
from backspike.compile.loads import Shares
from backspike.compile.predict import predict
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Dense, Input, Sequential
from backspike.ir.connection import Conv2d
from backspike.ir.constants import ENGINES
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.data import Dataset, Split
from backspike.train.fuzz_graphs import roomy
from backspike.train.results import population_cycles, result_of
from backspike.train.trainer import Trainer

TINY = roomy(MACHINES["tiny"])


def network() -> Graph:
    conv = Conv2d(3, 3, stride=2, padding=1, bias=True)
    return Sequential(Input((2, 6, 6)), conv, LIF(threshold=0.5), Dense(4, bias=True))


def test_cycles_of_planes_are_those_of_all_their_layers():
    """Nothing that is predicted is left out; weights and biases count for what they enter."""
    plan = compile_graph(network(), 4, Learning(batch=4), TINY)
    spikes = {"input": 0.3, "hidden1": 0.2}
    found = population_cycles(plan, Shares(spikes=spikes, gradients={"hidden1": 0.4}))
    # Gradients that were not measured are all there.
    gradients = {"hidden1": 0.4, "readout": 1.0}
    busy = predict(plan, Shares(spikes=spikes, gradients=gradients))
    assert set(found) == {"hidden1", "readout"}
    for name, each in found.items():
        cycles = each["cycles"]
        assert cycles["fp"] == busy["fp"][name]
        assert cycles["bp"] == busy["bp"][name]
        assert cycles["wg"] == busy["wg"][name] + busy["wg"][f"{name}:bias"]


@pytest.mark.verilator
def test_a_network_with_planes_is_trained():
    """A batch, checked bit by bit: every engine takes what is predicted of what was measured."""
    rng = np.random.default_rng(0)
    split = Split(rng.random((4, 72)), rng.integers(0, 4, 4))
    data = Dataset(source="random", train=split, test=split, scaling="none")
    with Trainer(network(), TINY, "rtl", steps=4, batch=4) as trainer:
        trainer.fit(split.coded(trainer.graph, 4), 1)
        result = result_of(trainer, data, {})
    assert result.check["values"] > 500
    assert result.check["mismatches"] == 0
    assert result.cycles is not None
    for engine in ENGINES:
        predicted, bound = (
            sum(result.populations[name][kind][engine] for name in ("hidden1", "readout"))
            for kind in ("cycles", "bound")
        )
        assert bound == pytest.approx(result.cycles[engine]["bound"]), engine
        assert predicted == pytest.approx(result.cycles[engine]["busy"], rel=0.03), engine
    assert result.populations["input"]["cycles"] is None
    assert result.populations["input"]["bound"] is None
    assert '"hidden1"' in result.to_json()
