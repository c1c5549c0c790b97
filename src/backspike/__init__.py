"""Generator of accelerators that train spiking neural networks, equal to PyTorch bit for bit.

`Network`, `Machine` and `Trainer` are the surface; names are imported when first used, because
PyTorch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backspike.gen.machine import MACHINES, Machine
    from backspike.ir.errors import Mismatch, UserError
    from backspike.ir.learning import Learning
    from backspike.ir.network import Layer, Network
    from backspike.ir.surrogate import SURROGATES, Surrogate
    from backspike.train.data import Dataset, load
    from backspike.train.result import Result
    from backspike.train.trainer import Trainer

__version__ = "0.1.0"
__all__ = [
    "MACHINES",
    "SURROGATES",
    "Dataset",
    "Layer",
    "Learning",
    "Machine",
    "Mismatch",
    "Network",
    "Result",
    "Surrogate",
    "Trainer",
    "UserError",
    "load",
]

_HOMES = {
    "backspike.train.data": ("Dataset", "load"),
    "backspike.ir.errors": ("Mismatch", "UserError"),
    "backspike.gen.machine": ("MACHINES", "Machine"),
    "backspike.ir.learning": ("Learning",),
    "backspike.ir.network": ("Layer", "Network"),
    "backspike.ir.surrogate": ("SURROGATES", "Surrogate"),
    "backspike.train.result": ("Result",),
    "backspike.train.trainer": ("Trainer",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'backspike' has no attribute {name!r}")
