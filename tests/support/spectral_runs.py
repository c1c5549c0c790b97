"""A small spectral unit beside golden, for tests of the unit as a whole."""

import torch
from torch import Tensor

from backspike.drive.spectral_backend import SpectralRTL
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.golden.spectral import Samples, Sums, samples, sums, transform

SMALL = SPECTRAL_MACHINES["spectral-32"]
SIZES = [(h, w) for h in (8, 16, 32) for w in (8, 16, 32)]


def random_pair(seed: int, height: int, width: int, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Two images of noise."""
    random = torch.Generator().manual_seed(seed)
    one, other = torch.randint(1 << bits, (2, height, width), generator=random)
    return one, other


def random_samples(seed: int, height: int, width: int) -> Samples:
    """Complex numbers of all magnitudes, the largest and the smallest number among them."""
    random = torch.Generator().manual_seed(seed)
    magnitudes = torch.exp2(18 * torch.rand((2, height, width), generator=random))
    signed = magnitudes * torch.randn((2, height, width), generator=random).sign()
    re, im = signed.round().clamp(-(1 << 17), (1 << 17) - 1).long()
    re[0, 0], im[0, 0], re[-1, -1] = -(1 << 17), (1 << 17) - 1, 0
    return Samples(re, im, torch.zeros_like(re))


def check_sums(unit: SpectralRTL, image: Tensor, reference: Tensor) -> None:
    """The unit's sums are golden's."""
    got = unit.sums(image, reference)
    same_sums(got, sums(samples(image, reference, unit.machine.pixel_bits)))


def same_sums(got: Sums, want: Sums) -> None:
    for name in Sums.__dataclass_fields__:
        one, other = getattr(got, name), getattr(want, name)
        assert one == other, f"{name}: got {one:#x}, want {other:#x}"


def same_samples(got: Samples, want: Samples) -> None:
    """Bits are equal, or the first difference is named."""
    for name, one, other in zip(Samples._fields, got, want, strict=True):
        assert one.shape == other.shape, f"{name}: {one.shape}, not {other.shape}"
        wrong = (one != other).nonzero()
        if len(wrong):
            at = tuple(wrong[0].tolist())
            raise AssertionError(
                f"{name}{list(at)}: got {int(one[at]):#x}, want {int(other[at]):#x} "
                f"({len(wrong)} of {one.numel()} differ)"
            )


def check_transforms(unit: SpectralRTL, numbers: Samples) -> None:
    """Forth and back, back and forth, and both ways twice: golden's bits."""
    for back in (False, True):
        want = transform(numbers, back=back)
        same_samples(unit.transform(numbers, back=back), want)
        same_samples(unit.onward(back=not back), transform(want, back=not back))
    same_samples(unit.transform(numbers), transform(numbers))
    same_samples(unit.onward(), transform(transform(numbers)))
