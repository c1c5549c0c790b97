"""Generator of accelerators that train spiking neural networks, equal to PyTorch bit for bit.

`Sequential` and `Network`, `Machine` and `Trainer` are the surface; names are imported when first
used, because PyTorch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backspike.gen.machine import MACHINES, Machine
    from backspike.ir.builder import Input, Network, Sequential
    from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity
    from backspike.ir.errors import Mismatch, UserError
    from backspike.ir.graph import Graph
    from backspike.ir.neuron import IF, LIF, CubaLIF
    from backspike.ir.surrogate import SURROGATES, Surrogate
    from backspike.train import encode
    from backspike.train.data import Dataset, load
    from backspike.train.losses import CrossEntropy, MeanSquared
    from backspike.train.network_file import read_network
    from backspike.train.optimizers import SGD, Momentum
    from backspike.train.result import Result
    from backspike.train.thresholds import AdaptiveThreshold
    from backspike.train.trainer import Trainer

__version__ = "0.1.0"
__all__ = [
    "IF",
    "LIF",
    "MACHINES",
    "SGD",
    "SURROGATES",
    "AdaptiveThreshold",
    "Conv2d",
    "CrossEntropy",
    "CubaLIF",
    "Dataset",
    "Dense",
    "GlobalAverage",
    "Graph",
    "Identity",
    "Input",
    "Machine",
    "MeanSquared",
    "Mismatch",
    "Momentum",
    "Network",
    "Result",
    "Sequential",
    "Surrogate",
    "Trainer",
    "UserError",
    "encode",
    "load",
    "read_network",
]

_HOMES = {
    "backspike.gen.machine": ("MACHINES", "Machine"),
    "backspike.ir.builder": ("Input", "Network", "Sequential"),
    "backspike.ir.connection": ("Conv2d", "Dense", "GlobalAverage", "Identity"),
    "backspike.ir.errors": ("Mismatch", "UserError"),
    "backspike.ir.graph": ("Graph",),
    "backspike.ir.neuron": ("IF", "LIF", "CubaLIF"),
    "backspike.ir.surrogate": ("SURROGATES", "Surrogate"),
    "backspike.train.data": ("Dataset", "load"),
    "backspike.train.losses": ("CrossEntropy", "MeanSquared"),
    "backspike.train.network_file": ("read_network",),
    "backspike.train.optimizers": ("SGD", "Momentum"),
    "backspike.train.result": ("Result",),
    "backspike.train.thresholds": ("AdaptiveThreshold",),
    "backspike.train.trainer": ("Trainer",),
}


def __getattr__(name: str) -> object:
    if name == "encode":
        return import_module("backspike.train.encode")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'backspike' has no attribute {name!r}")
