"""Optimizers: the core's own, and PyTorch's on the host."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from backspike.ir.checks import nearest_half, whole
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.validation import check_arrays


@dataclass(frozen=True)
class SGD:
    """On chip: w = round(w - η d), d the sum over the batch (so η is PyTorch's lr / batch).

    rounding `stochastic` draws from the trainer's seed and the number of the update. falling: the
    host lets the rate fall to 0 in a straight line over so many updates; None: it stays.
    """

    rate: float = 2.0**-6
    rounding: Literal["nearest", "stochastic"] = "nearest"
    falling: int | None = None

    def __post_init__(self) -> None:
        _check_falling(self.falling)

    def learning(self, batch: int, seed: int) -> Learning:
        """How a core learns so."""
        return Learning(batch=batch, rate=self.rate, rounding=self.rounding, seed=seed)


@dataclass(frozen=True)
class Momentum:
    """On chip: m = round(μ m + d), w = round(w - η m), d the sum over the batch.

    On hardware the machine must have a memory of moments: `momentum=1`, as `tiny,momentum=1`.
    rounding, falling: as of SGD.
    """

    rate: float = 2.0**-6
    mu: float = 0.875
    rounding: Literal["nearest", "stochastic"] = "nearest"
    falling: int | None = None

    def __post_init__(self) -> None:
        _check_falling(self.falling)

    def learning(self, batch: int, seed: int) -> Learning:
        """How a core learns so."""
        return Learning(
            batch=batch, rate=self.rate, rounding=self.rounding, momentum=self.mu, seed=seed
        )


OnChip = SGD | Momentum
MakesOptimizer = Callable[..., torch.optim.Optimizer]


def _check_falling(falling: int | None) -> None:
    if falling is not None:
        whole("falling", falling)


def rate_at(optimizer: OnChip, update: int) -> float:
    """η of an update, counted from 0: FP16. UserError if it has fallen to 0 before."""
    if optimizer.falling is None:
        return nearest_half("rate", optimizer.rate)
    if update >= optimizer.falling:
        raise UserError(
            f"{update} updates are done, must be fewer than {optimizer.falling} to go on: the rate "
            "falls to 0 over these"
        )
    return nearest_half("rate", optimizer.rate * (1 - update / optimizer.falling))


def check_optimizer(optimizer: object) -> None:
    """UserError unless this is an SGD, a Momentum, a class of torch.optim or a partial of one."""
    if isinstance(optimizer, OnChip):
        return
    partial = isinstance(optimizer, functools.partial)
    made = optimizer.func if partial else optimizer
    if not (isinstance(made, type) and issubclass(made, torch.optim.Optimizer)):
        raise UserError(
            f"optimizer is {optimizer!r}, must be an SGD, a Momentum, a class of torch.optim or a "
            "functools.partial of one"
        )
    if partial and optimizer.args:
        raise UserError(f"optimizer {_name(made)} has arguments without names, must have names")
    closure = inspect.signature(made.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UserError(f"optimizer is {_name(made)}, must be one that needs no closure")


class HostOptimizer:
    """An optimizer of torch.optim on the host, with float32 master weights.

    Parameters are in PyTorch's layout: (outputs, inputs), and a bias (outputs,) by itself. A
    gradient is d / B, the mean over the B samples of a batch, as PyTorch's with mean losses.
    Raises UserError for what PyTorch refuses.
    """

    def __init__(self, make: MakesOptimizer, weights: Mapping[str, np.ndarray]) -> None:
        self._masters = {
            name: torch.nn.Parameter(torch.from_numpy(w.astype(np.float32)))
            for name, w in weights.items()
        }
        try:
            self._optimizer = make(self._masters.values())
        except (TypeError, ValueError) as error:
            raise UserError(f"optimizer {_shown(make)} is refused by PyTorch: {error}") from None

    def set(self, name: str, weights: np.ndarray) -> None:
        """Weights of the user's, if they are of a connection that is updated."""
        if name in self._masters:
            shape = tuple(self._masters[name].shape)
            if weights.shape != shape:
                raise UserError(f"master {name} has the shape {weights.shape}, must have {shape}")
            with torch.no_grad():
                self._masters[name].copy_(torch.from_numpy(weights.astype(np.float32)))

    def step(self, gradients: Mapping[str, np.ndarray], samples: int) -> dict[str, np.ndarray]:
        """New weights, float64, from d (sums over so many samples), by the names given first."""
        for name, master in self._masters.items():
            grad = torch.from_numpy(gradients[name] / samples)
            master.grad = grad.to(torch.float32)
        self._optimizer.step()
        return {name: x.detach().numpy().astype(np.float64) for name, x in self._masters.items()}

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """What a run needs to go on: tensors by name, and JSON. UserError for other state."""
        tensors = {f"master.{name}": x.detach().numpy() for name, x in self._masters.items()}
        about = self._optimizer.state_dict()
        values: dict[str, dict] = {}
        names = list(self._masters)
        for n, state in about["state"].items():
            values[names[n]] = {}
            for key, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"state.{names[n]}.{key}"] = value.detach().numpy()
                else:
                    values[names[n]][key] = _plain(key, value)
        groups = [
            {key: _plain(key, value) for key, value in group.items()}
            for group in about["param_groups"]
        ]
        return tensors, {"groups": groups, "values": values}

    def restore(self, tensors: Mapping[str, np.ndarray], about: dict) -> None:
        """As `state` gave it. UserError if it is of other parameters."""
        masters = {
            n.removeprefix("master."): x for n, x in tensors.items() if n.startswith("master.")
        }
        check_arrays("masters", masters, self._masters)
        for name, x in masters.items():
            self.set(name, x)
        try:
            self._restore(tensors, about)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError("the optimizer's state is not as it was saved") from None

    def _restore(self, tensors: Mapping[str, np.ndarray], about: dict) -> None:
        names = list(self._masters)
        state: dict[int, dict] = {names.index(name): dict(v) for name, v in about["values"].items()}
        for full, tensor in tensors.items():
            if full.startswith("state."):
                name, _, key = full.removeprefix("state.").rpartition(".")
                state.setdefault(names.index(name), {})[key] = torch.from_numpy(tensor.copy())
        now = self._optimizer.state_dict()["param_groups"]
        groups = [
            {k: tuple(v) if isinstance(old.get(k), tuple) else v for k, v in new.items()}
            for old, new in zip(now, about["groups"], strict=True)
        ]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})


def host_optimizer(
    optimizer: OnChip | MakesOptimizer, graph: Graph, weights: Mapping[str, np.ndarray]
) -> HostOptimizer | None:
    """None if it is on chip, or no weights are updated. weights: all, in PyTorch's layout."""
    if isinstance(optimizer, OnChip) or not graph.trained:
        return None
    trained = {c.name for c in graph.trained}
    return HostOptimizer(
        optimizer, {n: w for n, w in weights.items() if n.removesuffix(".bias") in trained}
    )


def learning_of(
    optimizer: OnChip | MakesOptimizer, batch: int, seed: int, alpha: float | None = None
) -> Learning:
    """How the core learns: as it says, or by the host. alpha: of the squared error, if the core
    works it out. UserError for wrong values."""
    check_optimizer(optimizer)
    if isinstance(optimizer, OnChip):
        learning = optimizer.learning(batch, seed)
    else:
        learning = Learning(batch=batch, updates="host", seed=seed)
    return learning if alpha is None else replace(learning, loss="mse", alpha=alpha)


def optimizer_to_json(optimizer: OnChip | MakesOptimizer) -> dict[str, Any]:
    """Its `type`, and its values; `again` says whether they are enough to make it again."""
    if isinstance(optimizer, OnChip):
        values = {key: x for key, x in asdict(optimizer).items() if x is not None}
        return {"type": type(optimizer).__name__, "again": True, "values": values}
    partial = isinstance(optimizer, functools.partial)
    made, values = (optimizer.func, optimizer.keywords) if partial else (optimizer, {})
    again = getattr(torch.optim, _name(made), None) is made
    try:
        plain = {key: _plain(key, value) for key, value in values.items()}
    except UserError:
        plain, again = {}, False
    return {"type": f"torch.optim.{_name(made)}", "again": again, "values": plain}


def optimizer_from_json(
    about: Mapping[str, Any], given: OnChip | MakesOptimizer | None
) -> OnChip | MakesOptimizer:
    """given: by the user, of the same type; needed where the values are not enough."""
    name = about["type"]
    if given is not None:
        check_optimizer(given)
        theirs = optimizer_to_json(given)
        if theirs["type"] != name or (isinstance(given, OnChip) and theirs != about):
            raise UserError(f"optimizer is {given!r}, must be the checkpoint's {name}")
        return given
    if not about["again"]:
        raise UserError(f"the optimizer {name} cannot be made from a file, must be given")
    if not name.startswith("torch.optim."):
        return {"SGD": SGD, "Momentum": Momentum}[name](**about["values"])
    made = getattr(torch.optim, name.removeprefix("torch.optim."))
    return functools.partial(made, **about["values"])


def _name(made: Any) -> str:
    return getattr(made, "__name__", repr(made))


def _shown(make: Any) -> str:
    return _name(make.func if isinstance(make, functools.partial) else make)


def _plain(key: str, value: Any) -> Any:
    """A value that JSON keeps as it is; a tuple as a list."""
    if isinstance(value, list | tuple):
        return [_plain(key, each) for each in value]
    finite = not isinstance(value, float) or math.isfinite(value)
    if value is None or (isinstance(value, bool | int | float | str) and finite):
        return value
    raise UserError(f"{key} of the optimizer is {value!r}, must be a plain number to be saved")
