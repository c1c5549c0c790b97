"""How near golden without rounding is to torch.autograd."""

import torch


def close(got: torch.Tensor, want: torch.Tensor) -> bool:
    """To 1e-9 of the largest, 10^6 times the error of some hundred terms in another order."""
    return bool((got - want).abs().max() <= 1e-9 * want.abs().max())
