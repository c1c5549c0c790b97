"""The command line on the simulated RTL: same bits as golden, counters, waves, a found fault."""

import dataclasses
import json

import numpy as np
import pytest

from backspike.cli.main import main
from backspike.compile import compiler
from backspike.compile.cut import cuts
from backspike.drive.lockstep import Lockstep
from backspike.drive.registry import make_backend
from backspike.drive.rtl_backend import RTLBackend
from backspike.gen.machine import MACHINES
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.checkpoint import load_checkpoint
from backspike.train.data import load
from backspike.train.trainer import Trainer
from tests.support.core_runs import LEARNING, NETWORK, check_run
from tests.support.layered import RTLChain

pytestmark = pytest.mark.verilator
SMALL = "--limit 20 --layers 64,9,10 --steps 3 --batch 8 --machine tiny --seed 2"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def train(options: str) -> int:
    return main(["train", *SMALL.split(), *options.split()])


def test_rtl_golden_and_a_change_of_backend_give_the_same_run(tmp_path, capsys):
    """RTL, golden and golden resumed on RTL end with the same weights and progress."""
    assert train("--epochs 2 --backend rtl --save rtl --json rtl.json --plots plots") == 0
    out = capsys.readouterr().out
    assert train("--epochs 2 --backend golden --save golden --json golden.json") == 0
    assert train("--epochs 1 --backend golden --save mixed") == 0
    resumed = "--resume mixed --save mixed --epochs 2 --machine tiny"
    assert main(["train", *resumed.split()]) == 0
    runs = [load_checkpoint(tmp_path / name) for name in ("rtl", "golden", "mixed")]
    for run in runs[1:]:
        assert all((run.weights[name] == w).all() for name, w in runs[0].weights.items())
        assert run.progress == runs[0].progress
    rtl, golden = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("rtl", "golden"))
    assert (rtl["accuracy"], rtl["density"]) == (golden["accuracy"], golden["density"])
    # Weights as loaded; six batches of training, three of each of two tests and the last look.
    assert rtl["check"]["tensors"] == 2 + 6 * (4 + 4) + 9 * 4
    assert rtl["check"]["mismatches"] == 0
    cycles = rtl["cycles"]
    assert list(cycles) == ["total", "fp", "bp", "wg"]
    for engine in ("fp", "bp", "wg"):
        assert 0 < cycles[engine]["bound"] <= cycles[engine]["busy"] <= cycles["total"]
    assert rtl["simulation"]["cycles"] > cycles["total"]
    assert golden["cycles"] is None
    assert f"  weight gradient{cycles['wg']['busy']:>14,}{cycles['wg']['bound']:>14,}" in out
    assert (tmp_path / "plots" / "engines.png").exists()


def test_a_network_that_does_not_fit(capsys, tmp_path):
    """A network larger than the machine is one sentence, exit code 2 and no file."""
    assert train("--layers 64,300,10 --save c") == 2
    err = capsys.readouterr().err
    needs = 64 * 150 + 300 * 5  # sources in whole blocks
    assert f"weight memory needs {needs} row tiles, and there are 2048" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("batch", "steps"), [(7, 5), (17, 3), (3, 37)])
def test_every_cut_of_a_batch_gives_the_same_bits(monkeypatch, batch, steps):
    """However a batch is cut into sets and spans, every bit is golden's, of a smaller one, too."""
    network = dataclasses.replace(NETWORK, steps=steps)
    learning = dataclasses.replace(LEARNING, batch=batch)
    machine = MACHINES["tiny"]
    seen = set()
    for cut in cuts(batch, steps, machine):
        monkeypatch.setattr(compiler, "cuts", lambda *_, cut=cut, **__: iter([cut]))
        try:
            backend = RTLChain(network, learning, machine)
        except UserError:  # it has no room for as many blocks
            continue
        assert backend.plan.cut == cut
        check_run(backend, cut.samples)
        backend.close()
        seen.add((cut.sets > 1, cut.spans > 1, cut.last_steps < cut.steps))
    assert len(seen) > 1


def test_trace_holds_waves(tmp_path):
    """`--trace` writes a VCD file with changes of one batch."""
    assert train("--epochs 1 --backend rtl --trace wave.vcd --trace-batch 1 --no-check") == 0
    text = (tmp_path / "wave.vcd").read_text()
    assert "$enddefinitions" in text
    assert text.count("\n#") > 100


def test_a_weight_bit_that_flips_in_the_core_is_found(monkeypatch):
    """A weight changed in the core alone is a Mismatch in the first batch."""
    graph = Sequential(Input(64), Dense(9), LIF(), Dense(10))
    data = load("digits").limited(20).train.coded(graph, 3)
    load_weights = RTLBackend.load_weights

    def wrong(self, weights):
        load_weights(self, weights)
        flipped = self.weights()
        flipped["readout"][4, 7] ^= np.uint16(1)
        self.set_weights(flipped)

    with Trainer(graph, "tiny", "rtl", batch=8) as trainer:
        trainer.predict(data)
        monkeypatch.setattr(RTLBackend, "load_weights", wrong)
        with pytest.raises(Mismatch, match="connection readout, tensor weights, as loaded"):
            with Trainer(graph, "tiny", "rtl", batch=8) as other:
                other.fit(data, 1)
        monkeypatch.undo()
        # Behind the back of the comparison.
        lockstep = Lockstep.set_weights
        monkeypatch.setattr(Lockstep, "set_weights", lambda self, w: self.primary.set_weights(w))
        changed = trainer.weights["readout"].copy()
        changed[7, 4] += 0.5
        trainer.weights["readout"] = changed
        monkeypatch.setattr(Lockstep, "set_weights", lockstep)
        with pytest.raises(Mismatch, match=r"batch 3.*got 0x.*want 0x"):
            trainer.fit(data, 1)


def test_counters_do_not_count_what_did_not_run():
    """Engines that did not run have no busy cycles, and the bound is counted by hand."""
    graph = Sequential(Input(4), Dense(3), LIF(), Dense(2))
    learning, machine = Learning(batch=1), MACHINES["tiny"]
    rtl = make_backend("rtl", graph, learning, machine, steps=2, every=False)
    rtl.load_weights({name: np.zeros(shape, np.uint16) for name, shape in graph.shapes.items()})
    rtl.forward({"input": np.ones((1, 2, 4), np.uint8)})
    counters = rtl.counters()  # pyright: ignore[reportAttributeAccessIssue]
    rtl.close()
    assert counters["fp"]["bound"] == 4 * 2 * 2  # sources, entries, tiles; nothing spikes above
    assert counters["bp"]["busy"] == 0
    assert counters["wg"]["busy"] == 0
