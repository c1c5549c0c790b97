"""A Trainer whose batches are larger than the machine: they come in parts, and nothing else is
other than with a machine that holds them."""

import functools

import numpy as np
import pytest
import torch

from backspike.drive.core_backend import CoreBackend
from backspike.drive.machines import find_machine
from backspike.ir.builder import Dense, Input, Sequential
from backspike.ir.errors import UserError
from backspike.ir.neuron import LIF
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.optimizers import SGD, Momentum
from backspike.train.trainer import Trainer

MACHINE = "tiny,momentum=1,parts=1"
BATCH, STEPS = 40, 6
NETWORK = Sequential(Input(20), Dense(32), LIF(threshold=0.5), Dense(5))
RNG = np.random.default_rng(0)
DATA = RNG.integers(0, 2, (97, STEPS, 20)), RNG.integers(0, 5, 97)
"""Two batches, and a smaller one."""
ADAM = functools.partial(torch.optim.Adam, lr=2.0**-6)


class Sizes:
    """Samples of each update of a core, and which part it is."""

    def __init__(self, monkeypatch):
        self.seen: list[tuple[int, bool, bool]] = []
        for name in ("update", "update_forward"):
            original = getattr(CoreBackend, name)
            monkeypatch.setattr(CoreBackend, name, self.noted(original))

    def noted(self, original):
        """The same, noted."""

        def noting(core, *args, first, last, **options):
            self.seen.append((core.pending, first, last))
            return original(core, *args, first=first, last=last, **options)

        return noting


def trained(backend: str, optimizer, loss, machine: str = MACHINE) -> Trainer:
    """A closed trainer, after two epochs."""
    how = {"batch": BATCH, "loss": loss, "optimizer": optimizer}
    with Trainer(NETWORK, machine, backend, **how) as trainer:
        trainer.fit(DATA, 2, test=DATA)
        assert bool(trainer.checked()["tensors"]) == (backend == "rtl")
    return trainer


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("optimizer", "loss", "parts"),
    [
        (SGD(2.0**-5), CrossEntropy(), [13, 13, 14]),
        (SGD(2.0**-5, "stochastic"), CrossEntropy(every_step=True), [10, 10, 10, 10]),
        (Momentum(2.0**-7, 0.75), MeanSquared(), [13, 13, 14]),
        (ADAM, CrossEntropy(), [13, 13, 14]),
    ],
)
def test_the_same_run(optimizer, loss, parts, monkeypatch):
    """Weights, losses and accuracies are those of PyTorch, which takes each batch in one."""
    sizes = Sizes(monkeypatch)
    rtl, golden = (trained(backend, optimizer, loss) for backend in ("rtl", "golden"))
    ends = range(len(parts))
    whole = [(parts[n], n == 0, n == ends[-1]) for n in ends]
    assert sizes.seen == [*whole, *whole, (8, True, False), (9, False, True)] * 2
    assert all(np.array_equal(rtl.weights[name], w) for name, w in golden.weights.items())
    assert rtl.history == golden.history
    assert rtl.updates == golden.updates == 6
    assert rtl.density.batches == golden.density.batches == 1
    assert rtl.density.by_population() == golden.density.by_population()
    assert rtl.health.found() == golden.health.found()


@pytest.mark.verilator
def test_looking_needs_no_whole_batch():
    """Logits, accuracy and records of any number of samples; and a run that goes on elsewhere."""
    found = []
    for backend in ("rtl", "golden"):
        with Trainer(NETWORK, MACHINE, backend, batch=BATCH) as trainer:
            found.append((trainer.predict(DATA[0]), trainer.score(DATA), trainer.record(DATA[0])))
            plan = trainer.plan
            assert plan is None or plan.learning.batch == 14
    (logits, accuracy, record), (wanted, share, whole) = found
    assert np.array_equal(logits, wanted)
    assert accuracy == share
    for name, kinds in whole.items():
        assert all(np.array_equal(record[name][kind], x) for kind, x in kinds.items())


@pytest.mark.verilator
def test_a_checkpoint_knows_nothing_of_parts(tmp_path):
    """A run that changes from golden to the RTL and back is as one that never did."""
    path, optimizer = tmp_path / "run.safetensors", Momentum(2.0**-7, 0.75)
    whole = trained("golden", optimizer, CrossEntropy())
    with Trainer(NETWORK, MACHINE, batch=BATCH, optimizer=optimizer) as trainer:
        trainer.fit(DATA, 1, test=DATA)
        trainer.save(path)
    with Trainer.load(path, backend="rtl") as trainer:
        trainer.fit(DATA, 1, test=DATA)
        trainer.save(path)
    again = Trainer.load(path, backend="golden")
    assert all(np.array_equal(again.weights[name], w) for name, w in whole.weights.items())
    assert again.history == whole.history


def test_without_the_memory_it_is_said():
    """What the machine would need."""
    with pytest.raises(UserError, match="; tiny,momentum=1,parts=1 has room for it, as such a"):
        Trainer(NETWORK, "tiny,momentum=1", "rtl", batch=BATCH, steps=STEPS)
    with pytest.raises(UserError, match="; and no batch comes in parts whose states go on"):
        Trainer(NETWORK, f"{MACHINE},states=32", "rtl", batch=BATCH, steps=STEPS, stateful=True)
    assert find_machine(MACHINE).parts == 1
