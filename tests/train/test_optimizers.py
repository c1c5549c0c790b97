"""Optimizers: what a core is told, PyTorch's on the host step for step, state, what is refused."""

import functools
import json

import numpy as np
import pytest
import torch

from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.train.optimizers import (
    SGD,
    HostOptimizer,
    Momentum,
    check_optimizer,
    learning_of,
    optimizer_from_json,
    optimizer_to_json,
    rate_at,
)

WEIGHTS = {"a": np.array([[0.5, -1.0], [0.25, 2.0]]), "a.bias": np.array([0.0, 1.0])}
MAKERS = [
    torch.optim.Adam,
    functools.partial(torch.optim.AdamW, lr=1e-2, betas=(0.8, 0.9), amsgrad=True),
    functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    functools.partial(torch.optim.SGD, lr=0.1),
    torch.optim.RMSprop,
]


def gradients(n: int) -> dict[str, np.ndarray]:
    """Of a batch."""
    g = np.random.default_rng(n)
    return {name: g.standard_normal(w.shape) for name, w in WEIGHTS.items()}


class Mine(torch.optim.Adam):
    """An optimizer of a user's own."""


def test_what_a_core_is_told():
    """Rate, rounding, momentum; or that the host updates."""
    assert learning_of(SGD(0.5, "stochastic"), 8, 3) == Learning(
        batch=8, rate=0.5, rounding="stochastic", seed=3
    )
    assert learning_of(Momentum(0.5, 0.25), 8, 3) == Learning(
        batch=8, rate=0.5, momentum=0.25, seed=3
    )
    for make in MAKERS:
        assert learning_of(make, 8, 3) == Learning(batch=8, updates="host", seed=3)


@pytest.mark.parametrize("make", MAKERS)
def test_steps_are_pytorchs(make):
    """float32 weights, and gradients that are means over the batch."""
    host = HostOptimizer(make, WEIGHTS)
    mine = {name: torch.nn.Parameter(torch.tensor(w).float()) for name, w in WEIGHTS.items()}
    theirs = make(mine.values())
    for n in range(4):
        got = host.step(gradients(n), samples=5)
        for name, d in gradients(n).items():
            mine[name].grad = torch.tensor(d / 5).float()
        theirs.step()
        for name, w in mine.items():
            assert got[name].dtype == np.float64
            assert np.array_equal(got[name], w.detach().double().numpy())
    assert not np.array_equal(got["a"], WEIGHTS["a"])


@pytest.mark.parametrize("make", MAKERS)
def test_state_goes_on(make):
    """Through JSON and arrays, bit for bit; hyperparameters that were changed are kept."""
    host = HostOptimizer(make, WEIGHTS)
    for n in range(3):
        host.step(gradients(n), 5)
    tensors, about = host.state()
    about = json.loads(json.dumps(about))
    about["groups"][0]["lr"] *= 0.5
    tensors = {name: x.copy() for name, x in tensors.items()}
    again = HostOptimizer(make, {name: w * 0 for name, w in WEIGHTS.items()})
    again.restore(tensors, about)
    host.restore(*map(dict, (tensors, about)))
    for n in range(3, 6):
        want, got = host.step(gradients(n), 5), again.step(gradients(n), 5)
        assert all(np.array_equal(got[name], want[name]) for name in WEIGHTS)
    assert again.state()[1] == host.state()[1]


def test_weights_are_set():
    """The master weight is then what was set; names that are not updated are passed over."""
    host = HostOptimizer(functools.partial(torch.optim.SGD, lr=0.0), WEIGHTS)
    host.set("a.bias", np.array([3.0, 4.0]))
    host.set("frozen", np.zeros(7))
    assert host.step(gradients(0), 1)["a.bias"].tolist() == [3.0, 4.0]
    with pytest.raises(UserError, match=r"master a has the shape \(7,\), must have \(2, 2\)"):
        host.set("a", np.zeros(7))


def test_optimizers_as_json():
    """Types and values there and back; a class of the user's own must be given."""
    for each in (SGD(0.1, "stochastic"), Momentum(0.1, 0.3)):
        about = json.loads(json.dumps(optimizer_to_json(each)))
        assert optimizer_from_json(about, None) == each
        assert optimizer_from_json(about, each) is each
    about = json.loads(json.dumps(optimizer_to_json(MAKERS[1])))
    made = optimizer_from_json(about, None)
    assert made.func is torch.optim.AdamW
    assert made.keywords == {"lr": 0.01, "betas": [0.8, 0.9], "amsgrad": True}
    for own in (Mine, functools.partial(torch.optim.Adam, lr=torch.tensor(0.1))):
        about = optimizer_to_json(own)
        assert not about["again"]
        with pytest.raises(UserError, match="cannot be made from a file, must be given"):
            optimizer_from_json(about, None)
        assert optimizer_from_json(about, own) is own
    with pytest.raises(UserError, match=r"Adam'>, must be the checkpoint's torch.optim.Mine"):
        optimizer_from_json(optimizer_to_json(Mine), torch.optim.Adam)
    with pytest.raises(UserError, match=r"optimizer is SGD\(.*, must be the checkpoint's SGD"):
        optimizer_from_json(optimizer_to_json(SGD(0.5)), SGD(0.25))


def test_state_that_no_file_keeps():
    """A rate that is a tensor."""
    host = HostOptimizer(functools.partial(torch.optim.Adam, lr=torch.tensor(0.1)), WEIGHTS)
    with pytest.raises(
        UserError, match=r"lr of the optimizer is tensor\(0.1000\), must be a plain"
    ):
        host.state()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            "adam",
            "optimizer is 'adam', must be an SGD, a Momentum, a class of torch.optim or a fun",
        ),
        (torch.nn.Linear, "optimizer is <class .*Linear'>, must be an SGD"),
        (functools.partial(print), "must be an SGD, a Momentum"),
        (functools.partial(torch.optim.Adam, []), "optimizer Adam has arguments without names"),
        (torch.optim.LBFGS, "optimizer is LBFGS, must be one that needs no closure"),
    ],
)
def test_no_optimizer(optimizer, message):
    """What is none is refused."""
    with pytest.raises(UserError, match=message):
        check_optimizer(optimizer)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (SGD(rate=0), "rate is 0, must be 2\\^-24"),
        (SGD(rounding="up"), "rounding is 'up', must be nearest or stochastic"),
        (Momentum(mu=1.0), "momentum is 1.0, must be from 0 to less than 1"),
    ],
)
def test_wrong_values(optimizer, message):
    """Refused as Learning does."""
    with pytest.raises(UserError, match=message):
        learning_of(optimizer, 4, 0)


@pytest.mark.parametrize("values", [{"lr": -1.0}, {"speed": 3}])
def test_what_pytorch_refuses(values):
    """Its own words, behind the optimizer's name."""
    with pytest.raises(UserError, match=r"optimizer Adam is refused by PyTorch: .*(-1.0|speed)"):
        HostOptimizer(functools.partial(torch.optim.Adam, **values), WEIGHTS)


def test_a_rate_falls_in_a_straight_line():
    """To halves, from η at update 0 on; one that does not fall stays, and is not in the JSON."""
    falling = Momentum(0.25, falling=8)
    assert [rate_at(falling, n) for n in range(8)] == [0.25 * n / 8 for n in range(8, 0, -1)]
    assert rate_at(SGD(0.1, falling=3), 1) == np.float16(0.1 * 2 / 3)
    assert rate_at(SGD(0.25), 10**6) == 0.25
    with pytest.raises(UserError, match="8 updates are done, must be fewer than 8"):
        rate_at(falling, 8)
    with pytest.raises(UserError, match="falling is 0, must be a whole number from 1 up"):
        SGD(falling=0)
    for optimizer in (falling, SGD()):
        about = optimizer_to_json(optimizer)
        assert optimizer_from_json(about, None) == optimizer
        assert ("falling" in about["values"]) == (optimizer is falling)
