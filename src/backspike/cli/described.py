"""What the options of networks and of learning describe, and whether a checkpoint agrees."""

import argparse
import functools
from typing import TYPE_CHECKING, Any

from backspike.ir.checks import nearest_half, one_of
from backspike.ir.connection import Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import LIF
from backspike.train.defaults import (
    ADAM_RATE,
    EVERY,
    LOSSES,
    MOMENTUM,
    MOMENTUM_SHARE,
    OPTIMIZERS,
    RATES,
    RECTANGLES,
    STEPS,
)
from backspike.train.graph_json import NEURONS, type_name
from backspike.train.layers import LAYERS, Layer, chain, hidden, layers_of, parse_layers
from backspike.train.network_file import read_network, surrogate_of

if TYPE_CHECKING:
    from backspike.ir.learning import Learning
    from backspike.train.checkpoint import Checkpoint
    from backspike.train.data import Dataset
    from backspike.train.losses import Loss
    from backspike.train.optimizers import MakesOptimizer, OnChip
    from backspike.train.thresholds import AdaptiveThreshold

OF_NEURONS = ("rule", "temporal", "leak", "synapse", "threshold", "reset", "surrogate")
"""Options that say what the neurons of hidden layers do."""
OF_NETWORKS = ("layers", "neuron", *OF_NEURONS, "bias")
"""Options that a network file stands for."""


def network_of(args: argparse.Namespace, data: "Dataset | None" = None) -> Graph:
    """The network of `--network`, or of the other options of `options.add_network`.

    data: its numbers and classes are the first and the last size, if these are left open.
    """
    if args.network is not None:
        for name in OF_NETWORKS:
            if getattr(args, name) is not None:
                raise UserError(
                    f"{name} is given beside network {args.network}, must be said in that file"
                )
        return read_network(args.network)
    layers = parse_layers(LAYERS if args.layers is None else args.layers)
    if data is not None and args.layers is None:
        layers = [Layer(data.inputs), *layers[1:-1], Layer(data.classes)]
    return chain(layers, neuron_of(args), bool(args.bias))


def neuron_of(args: argparse.Namespace) -> LIF:
    """The model of hidden neurons."""
    name = "LIF" if args.neuron is None else args.neuron
    one_of("neuron", name, tuple(NEURONS))
    given = {n: getattr(args, n) for n in OF_NEURONS if getattr(args, n) is not None}
    if "synapse" in given and name != "CubaLIF":
        raise UserError(f"synapse is {given['synapse']} beside neuron {name}, must be of CubaLIF")
    # The neuron names a wrong rule; until then any width will do.
    width = RECTANGLES.get(given.get("rule", "bptt"), 1.0)
    surrogate = surrogate_of(given.get("surrogate", f"rectangle:{width}"))
    return NEURONS[name](**{**given, "surrogate": surrogate})


def steps_of(args: argparse.Namespace, data: "Dataset | None" = None) -> int:
    """T: of spikes the data's."""
    usual = STEPS if data is None or data.steps is None else data.steps
    return usual if args.steps is None else args.steps


def losses_of(args: argparse.Namespace, graph: Graph) -> "dict[str, Loss]":
    """The loss of `options.add_learning`, of each read-out."""
    loss = loss_of(args)
    return {p.name: loss for p in graph.populations if p.role == "readout"}


def loss_of(args: argparse.Namespace) -> "Loss":
    """The loss of `options.add_learning`."""
    from backspike.train.losses import CrossEntropy, MeanSquared

    name = args.loss or LOSSES[0]
    one_of("loss", name, LOSSES)
    if args.alpha is not None and name != "mse":
        raise UserError(f"alpha is {args.alpha} beside loss {name}, must be of mse")
    if name != "mse":
        return CrossEntropy(every_step=name == EVERY)
    return MeanSquared() if args.alpha is None else MeanSquared(args.alpha)


def optimizer_of(args: argparse.Namespace) -> "OnChip | MakesOptimizer":
    """The optimizer of `options.add_learning`."""
    from backspike.train.optimizers import SGD, Momentum

    name = args.optimizer or OPTIMIZERS[0]
    one_of("optimizer", name, OPTIMIZERS)
    if args.momentum is not None and name != "momentum":
        raise UserError(f"momentum is {args.momentum} beside optimizer {name}, must be of momentum")
    if args.rounding is not None and name == "adam":
        raise UserError(
            f"rounding is {args.rounding} beside optimizer adam, must be of one on the core"
        )
    rate = RATES[args.loss or LOSSES[0]] if args.rate is None else args.rate
    rounding: Any = args.rounding or "nearest"
    if name == "sgd":
        return SGD(rate, rounding)
    if name == "momentum":
        rate = rate * MOMENTUM_SHARE if args.rate is None else rate
        return Momentum(rate, MOMENTUM if args.momentum is None else args.momentum, rounding)
    import torch

    return functools.partial(torch.optim.Adam, lr=ADAM_RATE if args.rate is None else args.rate)


def thresholds_of(args: argparse.Namespace) -> "AdaptiveThreshold | None":
    """How thresholds adapt; None if they stay."""
    from backspike.train.thresholds import AdaptiveThreshold

    return None if args.threshold_rate is None else AdaptiveThreshold(rate=args.threshold_rate)


def learning_of(args: argparse.Namespace, graph: Graph) -> "tuple[Learning, bool]":
    """How a core learns so; and whether it needs errors of every step."""
    from backspike.train.losses import Criterion
    from backspike.train.optimizers import learning_of as learning

    criterion = Criterion(graph, losses_of(args, graph))
    given = {"batch": 16 if args.batch is None else args.batch, "seed": args.seed or 0}
    alpha = criterion.alpha if criterion.on_chip else None
    return learning(optimizer_of(args), **given, alpha=alpha), criterion.every


def check_kept(args: argparse.Namespace, checkpoint: "Checkpoint") -> None:
    """UserError unless the options given beside --resume say what the checkpoint says."""
    for name, kept in _kept(args, checkpoint).items():
        given = getattr(args, name)
        if given is not None and given != kept and _rounded(name, given) != kept:
            kept_so = "left out" if kept is None else kept
            option = name.replace("_", "-")
            raise UserError(
                f"{option} is {given}, must be {kept_so}, as in the checkpoint {args.resume}"
            )
    if args.network is not None and not _same(read_network(args.network), checkpoint):
        raise UserError(
            f"network {args.network} is not that of the checkpoint {args.resume}, must be left out "
            "or be the same"
        )
    if args.surrogate is not None:
        given = surrogate_of(args.surrogate)
        for population in hidden(checkpoint.graph):
            kept = population.neuron.surrogate if population.neuron else given
            if kept != given:
                raise UserError(
                    f"surrogate is {args.surrogate}, must be the {kept.name} with edges "
                    f"{kept.edges} and values {kept.values}, as in the checkpoint {args.resume}"
                )


def _same(graph: Graph, checkpoint: "Checkpoint") -> bool:
    """Whether this is the checkpoint's network, but for thresholds if they adapt."""
    kept = checkpoint.graph
    if checkpoint.thresholds is not None:
        found = {p.name: p.neuron.threshold for p in hidden(kept) if p.neuron is not None}
        if not found.keys() <= {p.name for p in hidden(graph)}:
            return False
        graph = graph.with_thresholds(found)
    return graph == kept


def _kept(args: argparse.Namespace, checkpoint: "Checkpoint") -> dict[str, Any]:
    """What options must be; those of neurons only if they are given."""
    from backspike.train.losses import MeanSquared
    from backspike.train.report import loss_name

    loss = next(iter(checkpoint.losses.values()))
    optimizer = checkpoint.optimizer
    values, adaptive = optimizer["values"], checkpoint.thresholds
    about: dict[str, Any] = {
        "layers": layers_of(checkpoint.graph),
        "steps": checkpoint.steps,
        "limit": checkpoint.notes.get("limit"),
        "batch": checkpoint.batch,
        "seed": checkpoint.seed,
        "loss": loss_name(checkpoint.losses),
        "alpha": loss.alpha if isinstance(loss, MeanSquared) else None,
        "optimizer": optimizer["type"].removeprefix("torch.optim.").lower(),
        "rate": values.get("rate", values.get("lr")),
        "momentum": values.get("mu"),
        "threshold_rate": None if adaptive is None else adaptive.rate,
        "rounding": values.get("rounding"),
    }
    connections = checkpoint.graph.connections
    dense = [c.kind for c in connections if not isinstance(c.kind, Identity) and not c.delay]
    about["bias"] = _common({kind.bias for kind in dense})
    models = [p.neuron for p in hidden(checkpoint.graph)]
    for name in OF_NEURONS:
        if name != "surrogate":
            about[name] = _common({getattr(model, name, None) for model in models})
    if adaptive is not None:
        about["threshold"] = None  # as many as hidden layers
    about["neuron"] = _common({type_name(NEURONS, model) for model in models if model is not None})
    return about


def _common(values: set[Any]) -> Any:
    """The only one; None if there is none, or several."""
    return values.pop() if len(values) == 1 else None


def _rounded(name: str, given: object) -> object:
    """What an option's value becomes in a network or learning."""
    if isinstance(given, float):
        return nearest_half(name, given)
    if name == "layers" and isinstance(given, str):
        return layers_of(chain(parse_layers(given), LIF()))
    return given
