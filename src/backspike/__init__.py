"""Generator of accelerators that train spiking neural networks, equal to PyTorch bit for bit.

`Network`, `Machine` and `Trainer` are the surface; names are imported when first used, because
PyTorch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backspike.data import Dataset, load
    from backspike.errors import Mismatch, UserError
    from backspike.gen.machine import MACHINES, Machine
    from backspike.network import SURROGATES, Layer, Learning, Network, Surrogate
    from backspike.result import Result
    from backspike.trainer import Trainer

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
    "backspike.data": ("Dataset", "load"),
    "backspike.errors": ("Mismatch", "UserError"),
    "backspike.gen.machine": ("MACHINES", "Machine"),
    "backspike.network": ("SURROGATES", "Layer", "Learning", "Network", "Surrogate"),
    "backspike.result": ("Result",),
    "backspike.trainer": ("Trainer",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'backspike' has no attribute {name!r}")
