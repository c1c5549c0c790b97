"""What tests of the drain units share: golden's steps from given sums, and ports as columns."""

import numpy as np
import torch

from backspike.compile.compiler import compile_graph
from backspike.gen.core.engines import KINDS
from backspike.gen.core.layout import TABLE
from backspike.gen.machine import MACHINES
from backspike.golden import exact, half, neurons
from backspike.golden.arithmetic import Arithmetic, Halves
from backspike.golden.exact import Terms
from backspike.ir.builder import Network
from backspike.ir.constants import LARGEST
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
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


def descriptor(
    engine: str, neuron: LIF | None, *, learning: Learning | None = None, every: bool = False
) -> dict[str, int]:
    """Of a population of one neuron, or of a read-out that integrates, as the compiler makes it.
    every: errors come for every step."""
    net = Network()
    last = net.input("x", 1)
    if neuron is not None:
        hidden = net.population("h", 1, neuron)
        net.connect(last, hidden)
        last = hidden
    net.connect(last, net.readout("y", 1))
    learning = learning or Learning(batch=1)
    plan = compile_graph(net.graph, 8, learning, MACHINES["tiny"], every=every)
    return plan.descriptors[engine].layers["y" if neuron is None else "h"]


def started(neuron: LIF | None, sums: Terms) -> neurons.State:
    """What neurons begin with: a state of zeros."""
    return (torch.zeros_like(sums[0][:, 0]),) * neurons.variables(neuron)


def fire(a: Arithmetic, neuron: LIF, sums: Terms) -> tuple[torch.Tensor, torch.Tensor]:
    """Golden's spikes and codes (B, T, N) of hidden neurons, from their exact sums of all steps."""
    state = started(neuron, sums)
    spikes, codes = [], []
    for t in range(sums[0].shape[1]):
        u, s, state = neurons.step(a, neuron, tuple(x[:, t] for x in sums), state)
        spikes.append(s)
        codes.append(neurons.codes_of(neuron.surrogate, u - neuron.threshold))
    return torch.stack(spikes, 1), torch.stack(codes, 1)


def integrate(a: Arithmetic, sums: Terms) -> None:
    """A read-out's steps, for what `a` records."""
    state = started(None, sums)
    for t in range(sums[0].shape[1]):
        state = neurons.integrate(a, tuple(x[:, t] for x in sums), state)


def integrate_back(a: Arithmetic, errors: Terms) -> torch.Tensor:
    """Golden's g (B, T, N) of a read-out that has an error in every step."""
    state = started(None, errors)
    found = []
    for t in reversed(range(errors[0].shape[1])):
        state = neurons.integrate_back(a, tuple(x[:, t] for x in errors), state)
        found.append(state[0])
    return torch.stack(found[::-1], 1)


def gradients_of(
    a: Recording, neuron: LIF, spikes: torch.Tensor, codes: torch.Tensor, sums: Terms
) -> tuple[torch.Tensor, torch.Tensor]:
    """Golden's g, or q, (B, T, N) of hidden neurons, from the exact sums of their errors, and
    whether a rounding of the step has saturated: (roundings, B, T, N)."""
    state = started(neuron, sums)
    found = []
    for t in reversed(range(sums[0].shape[1])):
        error = tuple(x[:, t] for x in sums)
        g, state = neurons.step_back(a, neuron, error, spikes[:, t], codes[:, t], state)
        found.append(g)
    each = len(a.flags) // len(found)  # e, g, and of a current q
    flags = [torch.stack(a.flags[n::each][::-1], 1) for n in range(each)]
    return torch.stack(found[::-1], 1), torch.stack(flags)


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
