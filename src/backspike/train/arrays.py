"""Arrays of users': whatever NumPy or PyTorch takes for one."""

from typing import Any

import numpy as np
import torch

from backspike.ir.errors import UserError


def as_array(what: str, given: Any) -> np.ndarray:
    """An array, a tensor or a list as an array. UserError begins with `what`, as "x is"."""
    try:
        if isinstance(given, torch.Tensor):
            return given.detach().cpu().numpy()
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError):
        kind = type(given).__name__
        raise UserError(f"{what} a {kind}, must be an array of numbers") from None
