"""Deep networks: recipes, what a command of each says, and thresholds that adapt in float32."""

from dataclasses import replace

import numpy as np
import pytest

from backspike.bench import deep, learning
from backspike.cli import described
from backspike.cli.main import parser
from backspike.golden.initial import initial_weights
from backspike.golden.reference import Reference
from backspike.train.optimizers import SGD
from backspike.train.thresholds import AdaptiveThreshold
from backspike.train.trainer import Trainer


@pytest.mark.parametrize("recipe", deep.DIGITS, ids=lambda recipe: recipe.name)
def test_a_recipe_is_what_its_command_trains(few, recipe):
    """Network, rate and thresholds."""
    command, *words = recipe.command("digits").split()
    assert command == "backspike"
    args = parser().parse_args(words)
    case = deep.case(few, recipe)
    assert described.network_of(args) == case.graph
    assert described.thresholds_of(args) == case.thresholds
    assert args.falling
    made = described.optimizer_of(args)
    assert made == SGD(case.optimizer.rate)
    assert args.epochs == recipe.epochs


def test_direct_coding_is_of_numbers(few):
    """Of so many bits, the same in each step; its network's input is graded."""
    recipe = replace(deep.IMAGES[1], layers="1x8x8,4c3s2,10")
    case = deep.case(few, recipe)
    (x, _), (_, steps, *planes) = case.train, case.train[0].shape
    assert (steps, planes) == (4, [1, 8, 8])
    assert x.max() == 15
    assert (x == x[:, :1]).all()
    graded = case.graph.populations[0]
    assert (graded.bits, graded.unit) == (4, 2.0**-4)
    assert "4 bits of input" in recipe.command("mnist5k")


def test_thresholds_of_float32_are_those_of_halves(few):
    """As long as both see the same spikes: after the first batch."""
    rule = AdaptiveThreshold(rate=0.2, speed=0.5, form="sum")
    recipe = replace(deep.DIGITS[0], layers="1x8x8,4c3s2,4c3,10", adaptive=True)
    case = replace(deep.case(few, recipe), thresholds=rule)
    spikes, labels = (x[:16] for x in case.train)
    with Trainer(case.graph, optimizer=case.optimizer, thresholds=rule) as trainer:
        trainer.fit((spikes, labels), 1)
    reference = Reference(case.graph, initial_weights(case.graph, 0), learning.in_torch(SGD(1.0)))
    reference.logits({"input": spikes.reshape(16, 4, -1)})
    reference.set_thresholds(rule.thresholds(reference.graph, reference.rates))
    assert reference.graph == trainer.graph
    assert reference.graph != case.graph


def test_both_adapt(few):
    """Float32's thresholds, as well as those of halves, end elsewhere, and both learn."""
    rule = AdaptiveThreshold(rate=0.2, speed=0.5, form="sum")
    recipe = replace(deep.DIGITS[0], layers="1x8x8,8c3s2,10", adaptive=True, epochs=2)
    adaptive = replace(deep.case(few, recipe), thresholds=rule)
    still = replace(adaptive, thresholds=None)
    for accuracy_of in (learning.halves, learning.float32):
        assert 20 < accuracy_of(adaptive, 0) != accuracy_of(still, 0)


def test_figures_are_of_all_recipes(monkeypatch, few):
    """Two of each, with the command."""
    monkeypatch.setattr(learning, "halves", lambda case, seed: 96.0 + seed)
    monkeypatch.setattr(learning, "float32", lambda case, seed: 96.5 + seed)
    found = deep.figures(few, deep.DIGITS[:2])
    assert [(f.figure, f.value, f.met) for f in found] == [
        ("test accuracy, 3 convolutions, %", 97.0, True),
        ("distance to float32, 3 convolutions, points", 0.5, True),
        ("test accuracy, 6 convolutions bptt, %", 97.0, True),
        ("distance to float32, 6 convolutions bptt, points", 0.5, True),
    ]
    assert "backspike train --backend golden --data digits --layers 1x8x8,16c3" in found[0].how
    assert np.isclose(deep.DIGITS[0].eta, 2.0**-7)
