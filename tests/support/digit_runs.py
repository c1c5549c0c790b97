"""A small network and few digits, for tests of how runs of the trainer go and stop."""

from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.train.data import load
from backspike.train.optimizers import SGD
from backspike.train.trainer import Trainer

STEPS = 3
NETWORK = Sequential(Input(64), Dense(12), LIF(), Dense(10))
HOW = {"steps": STEPS, "batch": 8, "optimizer": SGD(rounding="stochastic"), "seed": 5}
LEARNING = Learning(batch=8, rounding="stochastic", seed=5)
SAMPLES = 26
BATCHES = 4  # three of 8 and one of 2
DATA = load("digits").limited(SAMPLES)
TRAIN, TEST = DATA.train.coded(NETWORK, STEPS), DATA.test.coded(NETWORK, STEPS)


def trained(epochs, **options):
    """A new run: its trainer, closed; weights can be read."""
    with Trainer(NETWORK, **HOW) as trainer:
        trainer.fit(TRAIN, epochs, test=TEST, **options)
    return trainer


def resumed(path, epochs):
    """What is left of a saved run of so many epochs."""
    with Trainer.load(path) as trainer:
        trainer.fit(TRAIN, epochs - len(trainer.history), test=TEST)
    return trainer


def same(a: Trainer, b: Trainer) -> bool:
    """Whether all weights are equal."""
    return all((a.bits()[name] == w).all() for name, w in b.bits().items())
