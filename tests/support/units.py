"""What tests of the drain units share: golden's steps from given sums, and ports as columns."""

import numpy as np
import torch

from backspike.gen.core.engines import KINDS
from backspike.gen.core.layout import TABLE
from backspike.golden import exact, half, neurons
from backspike.golden.arithmetic import Arithmetic, Halves
from backspike.golden.exact import Terms
from backspike.ir.constants import LARGEST
from backspike.ir.network import Layer
from backspike.sim.bench.array_bench import to_limbs
from tests.support.streams import Packed, packed


class Recording(Halves):
    """Halves that keep every rounding's result and flags, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.rounded: list[torch.Tensor] = []
        self.flags: list[torch.Tensor] = []

    def round(self, *terms: torch.Tensor, random: torch.Tensor | None = None) -> torch.Tensor:
        # As Halves does, with a flag for each element.
        x = exact.odd_sum(*terms)
        rounded = half.nearest(x) if random is None else half.stochastic(x, random)
        beyond = rounded.abs() > LARGEST
        self.saturated |= bool(beyond.any())
        result = rounded.clamp(-LARGEST, LARGEST)
        self.rounded.append(result)
        self.flags.append(beyond)
        return result


def fire(a: Arithmetic, layer: Layer, sums: Terms) -> tuple[torch.Tensor, torch.Tensor]:
    """Golden's spikes and codes (B, T, N) of a hidden layer, from its exact sums of all steps."""
    state: neurons.State = (torch.zeros_like(sums[0][:, 0]),)
    spikes, codes = [], []
    for t in range(sums[0].shape[1]):
        u, s, state = neurons.step(a, layer.neuron, tuple(x[:, t] for x in sums), state)
        spikes.append(s)
        codes.append(neurons.codes_of(layer.surrogate, u - layer.threshold))
    return torch.stack(spikes, 1), torch.stack(codes, 1)


def integrate(a: Arithmetic, sums: Terms) -> None:
    """A read-out's steps, for what `a` records."""
    state: neurons.State = (torch.zeros_like(sums[0][:, 0]),)
    for t in range(sums[0].shape[1]):
        state = neurons.integrate(a, tuple(x[:, t] for x in sums), state)


def gradients_of(
    a: Recording, layer: Layer, spikes: torch.Tensor, codes: torch.Tensor, sums: Terms
) -> tuple[torch.Tensor, torch.Tensor]:
    """Golden's g (B, T, N) of a hidden layer, from the exact sums of its errors, and whether e or
    g saturated."""
    state: neurons.State = (torch.zeros_like(sums[0][:, 0]),)
    found = []
    for t in reversed(range(sums[0].shape[1])):
        error = tuple(x[:, t] for x in sums)
        g, state = neurons.step_back(a, layer.neuron, error, spikes[:, t], codes[:, t], state)
        found.append(g)
    flags = [e | g for e, g in zip(a.flags[::2], a.flags[1::2], strict=True)]
    return torch.stack(found[::-1], 1), torch.stack(flags[::-1], 1)


def columns(shape: Packed, count: int, **fields) -> np.ndarray:
    """Packed fields, arrays (count,) or numbers: uint64 (count,)."""
    packed = np.zeros(count, np.uint64)
    for name, values in fields.items():
        offset = shape.pack({name: 1}).bit_length() - 1
        packed |= np.broadcast_to(np.asarray(values).astype(np.uint64) << np.uint64(offset), count)
    return packed


def constant(bits: int, width: int, count: int) -> np.ndarray:
    """A wide constant in every cycle: uint64 (count, limbs)."""
    return np.repeat(to_limbs([bits], width), count, axis=0)


def settings(engine: str, descriptor: dict[str, int]) -> tuple[int, list[int]]:
    """A descriptor as an engine's parts have it: the ports `config`, and `table` row by row."""
    names = KINDS[engine].table
    rest = {name: value for name, value in descriptor.items() if name not in names}
    rows = [packed(TABLE).pack(write=1, index=n, half=descriptor[name])
            for n, name in enumerate(names)]  # fmt: skip
    return packed(KINDS[engine].config).pack(rest), rows


def by_sample(values: np.ndarray) -> torch.Tensor:
    """(T, samples, lanes) as golden's (B, T, N)."""
    return torch.from_numpy(np.ascontiguousarray(values)).transpose(0, 1)


def check(name: str, got: np.ndarray, want: np.ndarray) -> None:
    """The same bits; the first difference is named."""
    assert got.shape == want.shape
    wrong = np.argwhere(got != want)
    if len(wrong):
        at = tuple(map(int, wrong[0]))
        raise AssertionError(
            f"{name}: {len(wrong)} of {want.size} differ, the first at {at}: "
            f"got {int(got[at]):#06x}, want {int(want[at]):#06x}"
        )
