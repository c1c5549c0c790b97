"""A spectral unit in software, in the place of the simulated one."""

from dataclasses import replace

import torch

from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.golden.fsds import fsds as definition
from backspike.golden.spectral import Sums, samples, sums

SMALL = SPECTRAL_MACHINES["spectral-32"]


class Software:
    """Computes as golden does, on pixels of its machine's bits.

    wrong: what some sums are instead, after so many runs.
    """

    def __init__(self, machine=SMALL, wrong: dict[str, int] | None = None, after: int = 0):
        self.machine, self.wrong, self.after = machine, wrong or {}, after
        self.cycles, self.closed = 0, False

    def sums(self, image, reference) -> Sums:
        self.cycles = image.numel() * 2 + 7
        self.after -= 1
        found = sums(samples(image, reference, self.machine.pixel_bits))
        return replace(found, **self.wrong) if self.after < 0 else found

    def close(self) -> None:
        self.closed = True


def float64(reference, image) -> float:
    return float(definition(*(torch.from_numpy(x.astype(float)) for x in (image, reference))))
