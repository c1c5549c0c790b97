"""A chain's step by golden's functions and by Fractions: layers go by their names in the graph."""

from fractions import Fraction
from typing import Any

import torch

from backspike.golden import graph, rules
from backspike.golden.arithmetic import Arithmetic
from backspike.ir.learning import Learning
from tests.support import rational
from tests.support.layered import Network
from tests.support.rational_graph import Batch


def named(network: Network, weights: list) -> dict[str, Any]:
    """By the names that the layers have in the graph."""
    return dict(zip(network.graph.shapes, weights, strict=True))


def run(
    a: Arithmetic, network: Network, learning: Learning, weights: dict, spikes, labels, error=None
) -> tuple[graph.Activity, dict[str, torch.Tensor]]:
    """Forward and back; the error (B, N) is of the last step, for mse that of its logits."""
    activity = graph.forward(a, network.graph, weights, {"input": spikes})
    (readout,) = activity.logits
    logits = activity.logits[readout]
    errors = torch.zeros_like(logits)
    if learning.loss == "mse":
        error = rules.squared_error(a, logits[:, -1], labels, learning.alpha)
    elif error is None:
        error = torch.softmax(logits[:, -1], 1) - torch.eye(logits.shape[2])[labels]
    errors[:, -1] = error
    return activity, graph.backward(a, network.graph, weights, activity, {readout: errors})


def rational_step(network: Network, learning, weights, spikes, labels, error, draws) -> dict:
    """`both`'s second half; error: [b][j] patterns; draws: {layer: [k][j]} or None."""
    names = list(network.graph.shapes)
    batch = Batch(
        network.graph,
        named(network, [w.tolist() for w in weights]),
        {"input": spikes.tolist()},
    )
    logits = [sample[-1] for sample in batch.logits[names[-1]]]
    if learning.loss == "mse":
        alpha = Fraction(learning.alpha)
        error = [
            [
                batch.round.pattern(alpha * rational.value(o) - (j == labels[b]))
                for j, o in enumerate(row)
            ]
            for b, row in enumerate(logits)
        ]
    silent = [[0] * network.sizes[-1]] * (network.steps - 1)
    batch.backward({names[-1]: [[*silent, row] for row in error]})
    new = batch.update(learning.rate, draws.__getitem__ if draws else None)
    return {
        "logits": logits,
        "spikes": [batch.spikes[n] for n in names[:-1]],
        "codes": [batch.codes[n] for n in names[:-1]],
        "gradients": [batch.gradients[n] for n in names],
        "weights": [new[n] for n in names],
        "saturated": batch.round.saturated,
    }
