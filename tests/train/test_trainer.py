"""Training on the golden backend; what the backends compute is tested elsewhere."""

import itertools
import os
import signal
import threading

import numpy as np
import pytest

from backspike.drive.lockstep import Lockstep
from backspike.drive.registry import make_backend
from backspike.gen.machine import MACHINES
from backspike.golden.backend import GoldenBackend
from backspike.golden.initial import initial_weights
from backspike.golden.loss import cross_entropy, cross_entropy_error
from backspike.ir.errors import Mismatch, UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Layer, Network
from backspike.system.interrupt import Interrupted, Interruptible
from backspike.train.checkpoint import load_checkpoint
from backspike.train.coding import rate_code
from backspike.train.data import load
from backspike.train.trainer import Trainer, epoch_order

NETWORK = Network(inputs=64, layers=(Layer(size=12), Layer(size=10)), steps=3)
LEARNING = Learning(batch=8, rounding="stochastic", seed=5)
SAMPLES = 26
BATCHES = 4  # three of 8 and one of 2
DATA = load("digits").limited(SAMPLES)


def trained(epochs, learning=LEARNING, **options):
    with Trainer(NETWORK, learning=learning) as trainer:
        result = trainer.train(DATA, epochs, **options)
        return result, trainer.backend.weights()


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


def test_order_is_a_permutation_that_seed_and_epoch_fix():
    """An epoch's order is a permutation fixed by seed and epoch."""
    orders = [tuple(epoch_order(s, e, 20)) for s in (0, 1) for e in (0, 1)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(set(orders)) == 4
    assert tuple(epoch_order(1, 0, 20)) == orders[2]


def test_every_sample_once_an_epoch_in_order(monkeypatch):
    """Each epoch trains every sample once in its order, then sees the test set."""
    seen, steps = [], []
    original_forward, original_update = GoldenBackend.forward, GoldenBackend.update

    def forward(self, spikes, labels):
        seen.append(labels)
        return original_forward(self, spikes, labels)

    def update(self, error, step):
        steps.append(step)
        original_update(self, error, step)

    monkeypatch.setattr(GoldenBackend, "forward", forward)
    monkeypatch.setattr(GoldenBackend, "update", update)
    trained(2)
    assert steps == list(range(2 * BATCHES))
    epochs = seen[:4], seen[8:12]  # after each epoch, four batches of the test set
    for epoch, batches in enumerate(epochs):
        assert (np.concatenate(batches) == DATA.train.y[epoch_order(5, epoch, SAMPLES)]).all()
    assert (np.concatenate(seen[12:16]) == DATA.test.y).all()
    assert (np.concatenate(seen[16:]) == DATA.train.y).all()


def test_equals_a_plain_loop():
    """No overlap, no bookkeeping: forward, error, update."""
    golden = GoldenBackend(NETWORK, LEARNING)
    golden.load_weights(initial_weights(NETWORK, 5))
    step = itertools.count()
    losses, correct = [0.0, 0.0], [0, 0]
    for epoch in range(2):
        order = epoch_order(5, epoch, SAMPLES)
        for rows in np.split(order, range(8, SAMPLES, 8)):
            labels = DATA.train.y[rows]
            logits = golden.forward(rate_code(DATA.train.x[rows], 3), labels)
            golden.update(cross_entropy_error(logits, labels), next(step))
            losses[epoch] += cross_entropy(logits, labels) * len(rows)
            correct[epoch] += int((logits.view(np.float16).argmax(1) == labels).sum())
    result, weights = trained(2)
    assert same(weights, golden.weights())
    assert [entry["loss"] for entry in result.history] == [loss / SAMPLES for loss in losses]
    assert [entry["train"] for entry in result.history] == [count / SAMPLES for count in correct]


@pytest.mark.parametrize("learning", [Learning(rate=2.0**-6), Learning(loss="mse", rate=2.0**-9)])
def test_learns(learning):
    """The loss falls every epoch, and accuracy passes 50 %."""
    network = Network(inputs=64, layers=(Layer(size=32), Layer(size=10)), steps=4)
    with Trainer(network, learning=learning) as trainer:
        result = trainer.train(load("digits").limited(500), 3)
    losses = [epoch["loss"] for epoch in result.history]
    assert losses == sorted(losses, reverse=True)
    assert result.accuracy["test"] > 0.5
    assert result.accuracy["train"] > 0.5
    assert result.accuracy["test"] == result.history[-1]["test"]


def test_result_has_the_promised_names():
    """The result has the documented keys in order, and the settings' values."""
    result, _ = trained(1)
    names = "backend machine layers steps batch epochs rule loss seed accuracy check cycles"
    more = "density simulation saturated saturated_batch diverged diverged_batch warnings"
    assert list(result.to_dict()) == [*names.split(), *more.split()]
    assert list(result.accuracy) == ["train", "test"]
    assert result.check == {"tensors": 0, "values": 0, "mismatches": 0}
    assert list(result.density) == ["input", "spikes", "gradients"]
    assert result.cycles is None
    assert result.simulation is None
    assert (result.backend, result.machine, result.layers) == ("golden", "default", [64, 12, 10])
    assert (result.rule, result.loss, result.seed, result.epochs) == ("bptt", "ce", 5, 1)


def test_density_is_of_every_sixteenth_batch():
    """Densities are those of the first of 16 batches, worked out with golden."""
    result, _ = trained(1)  # of 4 batches only the first
    golden = GoldenBackend(NETWORK, LEARNING)
    golden.load_weights(initial_weights(NETWORK, 5))
    rows = epoch_order(5, 0, SAMPLES)[:8]
    spikes = rate_code(DATA.train.x[rows], 3)
    logits = golden.forward(spikes, DATA.train.y[rows])
    golden.update(cross_entropy_error(logits, DATA.train.y[rows]), 0)
    assert result.density == {
        "input": spikes.mean(),
        "spikes": golden.forward_tensors()["spikes.0"].mean(),
        "gradients": (golden.update_tensors()["gradients.0"] != 0).mean(),
    }


def test_two_epochs_are_one_and_one_resumed(tmp_path):
    """Two epochs in one go and one epoch resumed give the same weights and history."""
    path = tmp_path / "run.safetensors"
    whole, weights = trained(2)
    trained(1, save=path)
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        trainer.resume(load_checkpoint(path))
        resumed = trainer.train(DATA, 2, save=path)
        assert same(trainer.backend.weights(), weights)
    assert resumed.history == whole.history
    assert resumed.accuracy == whole.accuracy
    assert same(load_checkpoint(path).weights, weights)


def test_a_pipe_gets_one_checkpoint(tmp_path):
    """Of several epochs the last: a second one would wait for ever for another reader."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = tmp_path / "got.safetensors"
    reader = threading.Thread(target=lambda: got.write_bytes(pipe.read_bytes()), daemon=True)
    reader.start()
    _, weights = trained(2, save=pipe)
    reader.join(10)
    assert same(load_checkpoint(got).weights, weights)


@pytest.mark.parametrize("stop_at", range(1, 20, 2))
def test_resumed_after_ctrl_c_anywhere(tmp_path, monkeypatch, stop_at):
    """Ctrl-C in a call of forward, in mid-epoch or while evaluating; then resumed."""
    path = tmp_path / "run.safetensors"
    whole, weights = trained(2)
    calls = itertools.count()
    original = GoldenBackend.forward

    def forward(self, spikes, labels):
        if next(calls) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, spikes, labels)

    monkeypatch.setattr(GoldenBackend, "forward", forward)
    before = signal.getsignal(signal.SIGINT)
    if stop_at < 19:  # of 20 calls, none asks after the last one
        with pytest.raises(Interrupted, match=r"batch(es)?; .* goes on from here"):
            trained(2, save=path)
    else:
        trained(2, save=path)
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    # Of an epoch's 8 calls 4 train; the forward in hand has not been updated from.
    updates = min(stop_at // 8 * 4 + min(stop_at % 8, 4), 8)
    assert load_checkpoint(path).progress.updates == updates
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        trainer.resume(load_checkpoint(path))
        resumed = trainer.train(DATA, 2)
        assert same(trainer.backend.weights(), weights)
    assert resumed.history == whole.history
    assert resumed.accuracy == whole.accuracy


def test_second_ctrl_c_interrupts_at_once():
    """The first Ctrl-C is a request, the second a KeyboardInterrupt."""
    with Interruptible() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_trains_outside_the_main_thread():
    """Training in another thread gives the same weights."""
    results = []
    thread = threading.Thread(target=lambda: results.append(trained(1)))
    thread.start()
    thread.join()
    assert same(results[0][1], trained(1)[1])


def test_a_resumed_run_is_of_the_same_network_and_learning(tmp_path):
    """A checkpoint of another network or learning is a UserError."""
    path = tmp_path / "run.safetensors"
    trained(1, save=path)
    for network, learning, name in (
        (NETWORK, Learning(batch=8), "learning"),
        (Network(inputs=64, layers=NETWORK.layers, steps=2), LEARNING, "network"),
    ):
        with Trainer(network, learning=learning) as trainer:
            with pytest.raises(UserError, match=f"{name} is .*, must be the checkpoint's"):
                trainer.resume(load_checkpoint(path))
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        trainer.resume(load_checkpoint(path))
        with pytest.raises(UserError, match="epochs is 0"):
            trainer.train(DATA, 0)


def test_epochs_that_are_over(tmp_path):
    """Fewer epochs than the checkpoint has trained are a UserError."""
    path = tmp_path / "run.safetensors"
    trained(2, save=path)
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        trainer.resume(load_checkpoint(path))
        with pytest.raises(UserError, match="epochs is 1, must be more than 2"):
            trainer.train(DATA, 1)


def test_mismatch_ends_the_run():
    """A wrong weight in batch 3 ends the run with a Mismatch that names it."""

    class Wrong(GoldenBackend):
        updates = 0

        def update(self, error, step):
            super().update(error, step)
            self.updates += 1

        def update_tensors(self):
            tensors = super().update_tensors()
            if self.updates == 4:
                tensors["weights.1"] = tensors["weights.1"].copy()
                tensors["weights.1"][4, 2] ^= 1
            return tensors

    with Trainer(NETWORK, learning=LEARNING, check=True) as trainer:
        assert isinstance(trainer.backend, Lockstep)
        trainer.backend.primary = Wrong(NETWORK, LEARNING)
        trainer.backend.primary.load_weights(trainer.backend.reference.weights())
        with pytest.raises(Mismatch, match="layer 1, tensor weights, batch 3, source 4, index 2"):
            trainer.train(DATA, 1)
        assert trainer.backend.counts.mismatches == 1


def test_checked_counts():
    """Every forward pass and update of a checked run is counted in tensors."""
    with Trainer(NETWORK, learning=LEARNING, check=True) as trainer:
        check = trainer.train(DATA, 1).check
    forwards, updates = 3 * BATCHES, BATCHES
    assert check["tensors"] == 2 + forwards * 4 + updates * 4
    assert check["mismatches"] == 0


class Counting(GoldenBackend):
    """Counts like hardware: a forward takes 10 cycles, an update 100."""

    name = "counting"
    cycles = 0

    def forward(self, spikes, labels):
        self.cycles += 10
        return super().forward(spikes, labels)

    def update(self, error, step):
        self.cycles += 100
        super().update(error, step)

    def counters(self):
        engine = {"busy": self.cycles, "bound": self.cycles // 2, "stalls": {"token": 1}}
        return {"total": self.cycles, "fp": engine, "bp": engine, "wg": engine}

    def simulation(self):
        return {"cycles": self.cycles, "seconds": 1.0, "cycles_per_second": self.cycles}


@pytest.mark.parametrize("check", [False, True])
def test_cycles_are_of_training_only(check):
    """Cycles leave out the evaluation after each epoch; the simulation's do not."""
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        counting = Counting(NETWORK, LEARNING)
        golden = GoldenBackend(NETWORK, LEARNING)
        weights = trainer.backend.weights()
        trainer.backend = Lockstep(counting, golden) if check else counting
        trainer.backend.load_weights(weights)
        result = trainer.train(DATA, 2)
    assert result.cycles is not None
    assert result.counters is not None
    assert result.cycles["total"] == 2 * BATCHES * 110
    assert result.cycles["bp"] == {"busy": 2 * BATCHES * 110, "bound": BATCHES * 110}
    assert result.counters["wg"]["stalls"] == {"token": 0}
    assert result.simulation is not None
    assert result.simulation["cycles"] == 2 * BATCHES * 110 + 3 * BATCHES * 10


def test_watch():
    """`watch` gives one sample's spikes of the input and of every hidden layer."""
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        shown = trainer.watch(DATA.test.x[0])
    assert {n: b.shape for n, b in shown.items()} == {"input": (3, 64), "spikes.0": (3, 12)}


def test_unknown_names():
    """Unknown machines and backends, and options that do not fit, are UserErrors."""
    with pytest.raises(
        UserError, match="machine is 'big', must be one of tiny, four, default, mnist, wide"
    ):
        Trainer(NETWORK, "big")
    with pytest.raises(UserError, match=r"backend is 'gpu', must be golden or rtl or serial:PORT"):
        Trainer(NETWORK, backend="gpu")
    with pytest.raises(UserError, match=r"trace is a\.vcd on backend golden"):
        make_backend("golden", NETWORK, LEARNING, MACHINES["tiny"], trace="a.vcd")  # pyright: ignore
    with Trainer(Network(inputs=63, layers=NETWORK.layers, steps=1)) as trainer:
        with pytest.raises(UserError, match="layers start with 63"):
            trainer.train(DATA, 1)


def test_a_closed_trainer_is_refused():
    """On every backend, whether it would mind or not; closing twice does no harm."""
    with Trainer(NETWORK, learning=LEARNING) as trainer:
        pass
    trainer.close()
    for use in (
        lambda: trainer.train(DATA, 1),
        lambda: trainer.evaluate(DATA.test),
        lambda: trainer.watch(DATA.test.x[0]),
    ):
        with pytest.raises(UserError, match="the trainer is closed, must be open"):
            use()


def test_a_checkpoint_that_contradicts_itself(tmp_path):
    """Its place in the run must be one that its history leads to."""
    path = tmp_path / "run.safetensors"
    trained(1, save=path)
    for field, value, message in (
        ("updates", 9, "updates is 9, must be from 4 to 8 after 1 epoch$"),
        ("updates", 5, "correct and samples are 0 and 0, must be up to 8 and 8 after 5 updates"),
        ("samples", 3, "correct and samples are 0 and 3, must be up to 0 and 0"),
    ):
        checkpoint = load_checkpoint(path)
        setattr(checkpoint.progress, field, value)
        with Trainer(NETWORK, learning=LEARNING) as trainer:
            trainer.resume(checkpoint)
            with pytest.raises(UserError, match=message):
                trainer.train(DATA, 3)
