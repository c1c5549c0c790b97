"""Runs whose results must never change: what each computes, as digests and numbers by name.

Results are `dict[str, Value]`. A string is a SHA-256 of dtype, shape and bits, or a float64 in
hexadecimal: equal to the last bit. An int is exact. A float comes from a library's function
(logarithm, FFT), whose last bits depend on the CPU: see `TOLERANCE`.
Random numbers are PCG64's raw words, which no version of NumPy changes.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from backspike.golden import hyra
from backspike.golden.fsds import fsds
from backspike.golden.hash import draw
from backspike.golden.loss import cross_entropy_error
from backspike.golden.spectral import samples, similarity, sums
from backspike.ir.learning import Learning
from backspike.ir.surrogate import Surrogate, arctan, fast_sigmoid, rectangle, triangle
from backspike.spectral.photographs import crop, grey, photograph
from backspike.spectral.superresolution.networks import Bicubic, Sinc
from backspike.spectral.superresolution.resize import from_bytes, smaller
from backspike.train.batches import epoch_order
from backspike.train.coding import rate_code
from backspike.train.data import digits
from backspike.train.losses import CrossEntropy, MeanSquared
from backspike.train.optimizers import SGD
from backspike.train.result import cycles_of
from backspike.train.trainer import Trainer
from tests.support.layered import GoldenChain, Layer, Network, chain_weights

Value = str | int | float
TOLERANCE = 1e-9
"""Relative, for floats."""

TABLE = Surrogate("table", (-1.25, -0.5, 0.1, 0.7), (0.0, -0.5, 1.5, 0.0, 0.25))
OPTIONS: dict[str, tuple] = {
    "layers": (1, 2, 3, 4),
    "steps": (*range(1, 9), 11, 16),
    "batch": (1, 2, 5, 7, 16),
    "reset": ("hard", "soft"),
    "bias": (False, True),
    "rule": ("bptt", "mpd-ed"),
    "temporal": (True, False),
    "leak": (0.0, 2.0**-24, 0.3, 0.5, 0.75, 0.9, 1.0),
    "threshold": (1.0, 1.0, 0.5, 0.1, 0.0, -0.25, 300.0),
    "surrogate": (
        rectangle(), rectangle(2.0), triangle(), triangle(0.3), arctan(), arctan(0.7),
        fast_sigmoid(), fast_sigmoid(1.0), TABLE,
    ),
    "loss": ("ce", "mse", "mse"),
    "alpha": (0.25, 0.3, 1.0, 0.0, -1.0, 100.0, 65504.0),
    "rate": (2.0**-6, 2.0**-10, 0.01, 1.0, 1000.0, 2.0**-24),
    "rounding": ("nearest", "stochastic"),
    "seed": (0, 1, 2**31 + 5, 2**32 - 1),
    "weights": ("initial", "initial", "initial", "any", "huge", "tiny"),
    "density": (0.0, 0.05, 0.3, 0.3, 0.8, 1.0),
}  # fmt: skip
"""What a drawn run picks from. A new entry would change all runs: it needs a list of its own."""
LIVELY: dict[str, tuple] = OPTIONS | {
    "layers": (2, 3, 4),
    "leak": (0.0, 0.3, 0.5, 0.75, 0.9, 1.0),
    "threshold": (1.0, 0.5, 0.1),
    "alpha": (0.25, 0.3, 0.7),
    "rate": (2.0**-6, 2.0**-8, 0.01),
    "weights": ("initial",),
    "density": (0.3, 0.5, 0.8),
}
"""With ordinary numbers alone, so that spikes and errors reach all layers."""
DRAWN = 48
"""Runs of each of the two."""


class Raw:
    """Random numbers of a seed."""

    def __init__(self, seed: int, options: dict[str, tuple] = OPTIONS) -> None:
        self._bits = np.random.PCG64(seed)
        self.options = options

    def words(self, shape: tuple[int, ...], below: int) -> np.ndarray:
        """int64 in [0, below), below up to 2^32."""
        raw = self._bits.random_raw(int(np.prod(shape))) >> np.uint64(32)
        return (raw * np.uint64(below) >> np.uint64(32)).astype(np.int64).reshape(shape)

    def pick(self, name: str) -> Any:
        choice = self.options[name]
        return choice[int(self.words((1,), len(choice))[0])]

    def spikes(self, shape: tuple[int, ...], density: float) -> np.ndarray:
        return (self.words(shape, 2**20) < density * 2**20).astype(np.uint8)

    def halves(self, shape: tuple[int, ...], kind: str) -> np.ndarray:
        """uint16 patterns: `any` finite ones, `huge` or `tiny` ones; zero is 0x0000."""
        low, high = {"any": (0, 0x7C00), "huge": (0x7000, 0x7C00), "tiny": (0, 0x400)}[kind]
        bits = low + self.words(shape, high - low) + 0x8000 * self.words(shape, 2)
        return np.where(bits == 0x8000, 0, bits).astype(np.uint16)


class Digests:
    """One digest for each name, of all the tensors that were added under it."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}

    def add(self, tensors: dict[str, np.ndarray]) -> None:
        for name, bits in tensors.items():
            hashed = self._hashes.setdefault(name, hashlib.sha256())
            little = np.ascontiguousarray(bits, bits.dtype.newbyteorder("<"))
            hashed.update(f"{little.dtype.str}{little.shape}".encode() + little.tobytes())

    def found(self) -> dict[str, Value]:
        return {name: hashed.hexdigest() for name, hashed in self._hashes.items()}


def digest(x: np.ndarray) -> Value:
    digests = Digests()
    digests.add({"x": x})
    return digests.found()["x"]


# --------------------------------------------------------------------------------- training: drawn


def drawn(seed: int, options: dict[str, tuple] = OPTIONS) -> tuple[Network, Learning, Raw]:
    """The network and learning of a drawn run, and its generator, which then draws tensors."""
    raw = Raw(seed, options)
    of_layer = ("leak", "threshold", "reset", "bias", "surrogate", "rule", "temporal")
    layers = tuple(
        Layer(size=2 + int(raw.words((1,), 68)[0]), **{name: raw.pick(name) for name in of_layer})
        for _ in range(raw.pick("layers"))
    )
    network = Network(
        inputs=1 + int(raw.words((1,), 70)[0]), layers=layers, steps=raw.pick("steps")
    )
    of_learning = ("batch", "loss", "alpha", "rate", "rounding", "seed")
    return network, Learning(**{name: raw.pick(name) for name in of_learning}), raw


def train_golden(network: Network, learning: Learning, raw: Raw) -> dict[str, Value]:
    """Three batches, the last one partial: every tensor, and whether each batch saturated."""
    backend, digests = GoldenChain(network, learning), Digests()
    kind = raw.pick("weights")
    weights = (
        chain_weights(network, learning.seed)
        if kind == "initial"
        else [raw.halves(shape, kind) for shape in network.shapes]
    )
    backend.load_weights(weights)
    digests.add({f"first weights.{n}": w for n, w in enumerate(weights)})
    found: dict[str, Value] = {}
    for step, count in enumerate((learning.batch, learning.batch, max(1, learning.batch - 3))):
        spikes = raw.spikes((count, network.steps, network.inputs), raw.pick("density"))
        labels = raw.words((count,), network.sizes[-1])
        logits = backend.forward(spikes, labels)
        digests.add(backend.forward_tensors())
        error = cross_entropy_error(logits, labels) if learning.loss == "ce" else None
        if error is not None:
            digests.add({"error": error})
        backend.update(error, step)
        digests.add(backend.update_tensors())
        found[f"saturated in batch {step}"] = int(backend.saturated())
    return digests.found() | found


def long_sums() -> dict[str, Value]:
    """More sources than one float64 matrix product sums exactly."""
    layers = (Layer(size=6, bias=True), Layer(size=3))
    network = Network(inputs=4200, layers=layers, steps=2)
    return train_golden(network, Learning(batch=5, loss="mse", alpha=0.3), Raw(1000))


def overlapped() -> dict[str, Value]:
    """`update_forward` instead of `update` and `forward`."""
    network, learning, raw = drawn(3, LIVELY)
    backend, digests = GoldenChain(network, learning), Digests()
    backend.load_weights(chain_weights(network, 7))
    for step in range(4):
        spikes = raw.spikes((learning.batch, network.steps, network.inputs), 0.4)
        labels = raw.words((learning.batch,), network.sizes[-1])
        if step:
            error = raw.halves((learning.batch, network.sizes[-1]), "any")
            error = None if learning.loss == "mse" else error
            backend.update_forward(error, step, spikes, labels)
            digests.add(backend.update_tensors())
        else:
            backend.forward(spikes, labels)
        digests.add(backend.forward_tensors())
    return digests.found()


def parts() -> dict[str, Value]:
    """What training is made of: surrogate tables, the hash, codes, errors, orders."""
    found: dict[str, Value] = {}
    for surrogate in OPTIONS["surrogate"]:
        table = np.array([*surrogate.edges, *surrogate.values])
        found[f"surrogate {surrogate.name} {surrogate.edges[-1]:g} {max(surrogate.values):g}"] = (
            digest(table)
        )
    for seed, step, layer in ((0, 0, 0), (1, 2, 3), (2**32 - 1, 2**32 - 1, 7)):
        found[f"draw {seed} {step} {layer}"] = digest(draw(seed, step, layer, 65, 129).numpy())
    pixels = np.arange(257)[None] / 256
    for steps in range(1, 17):
        found[f"rate code of {steps} steps"] = digest(rate_code(pixels, steps))
    for kind in ("any", "huge", "tiny"):
        logits = Raw(5).halves((64, 10), kind)
        found[f"cross-entropy's error, {kind}"] = digest(
            cross_entropy_error(logits, np.arange(64) % 10)
        )
    found["order of an epoch"] = digest(epoch_order(3, 1, 1437))
    data = digits()
    for name in ("train", "test"):
        split = getattr(data, name)
        found |= {f"digits {name} x": digest(split.x), f"digits {name} y": digest(split.y)}
    return found


# -------------------------------------------------------------------------------- training: digits


DIGITS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "bptt, ce": ((32,), {}, {}),
    "bptt, mse": ((32,), {}, {"loss": "mse", "rate": 2.0**-9, "alpha": 0.3}),
    "mpd-ed, stochastic": (
        (24, 24), {"rule": "mpd-ed", "surrogate": rectangle(2.0)},
        {"rounding": "stochastic", "seed": 3},
    ),
    "mpd-ed, soft, bias": (
        (24,), {"rule": "mpd-ed", "reset": "soft", "bias": True, "surrogate": arctan()}, {"seed": 1}
    ),
    "not temporal": ((24,), {"temporal": False, "leak": 0.9}, {"batch": 7}),
}  # fmt: skip
"""Hidden layers, what is particular of each, of learning."""


def digits_trainer(
    hidden: tuple[int, ...], of_layer: dict, of_learning: dict, backend: str, machine: str
) -> Trainer:
    """Of a chain with those hidden layers."""
    layers = (*(Layer(size=n, **of_layer) for n in hidden), Layer(size=10))
    learning = Learning(**of_learning)
    mse = learning.loss == "mse"
    return Trainer(
        Network(inputs=64, layers=layers, steps=4).graph, machine, backend,
        steps=4, batch=learning.batch, seed=learning.seed,
        loss=MeanSquared(learning.alpha) if mse else CrossEntropy(),
        optimizer=SGD(learning.rate, learning.rounding),
    )  # fmt: skip


def fitted(trainer: Trainer, samples: int, epochs: int) -> dict[str, Value]:
    """So many epochs of so many digits: weights by layer, and accuracies with the last ones."""
    data = digits().limited(samples)
    train, test = (split.coded(trainer.graph, 4) for split in (data.train, data.test))
    trainer.fit(train, epochs, test=test)
    shares = {"train": trainer.score(train), "test": trainer.history[-1]["test"]}
    bits = {f"weights.{n}": digest(w) for n, w in enumerate(trainer.bits().values())}
    return bits | {f"{part} accuracy": share.hex() for part, share in shares.items()}


def train_digits(name: str, backend: str = "golden", machine: str = "default") -> dict[str, Value]:
    """Two epochs of 100 digits by the Trainer: weights, accuracies, history."""
    with digits_trainer(*DIGITS[name], backend, machine) as trainer:
        found = fitted(trainer, 100, 2)
        found["saturated"] = int(trainer.saturated)
    for entry in trainer.history:
        epoch = f"epoch {entry['epoch']}"
        found[f"{epoch} loss"] = entry["loss"]
        found[f"{epoch} train"] = entry["accuracy"].hex()
        found[f"{epoch} test"] = entry["test"].hex()
    return found


# ---------------------------------------------------------------------------------------- spectral


PAIRS = (
    ("camera", 64, 8),
    ("chelsea", 128, 8),
    ("moon", 256, 8),
    ("coffee", 32, 8),
    ("brick", 16, 16),
)
"""A bundled photograph (PNG: decoding is exact), side of its middle, bits of a pixel."""


def spectral_pair(name: str, size: int, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(image, reference), int64 (1, H, W): the photograph is the reference, its mixture with
    itself a little to the right and darker the image."""
    reference = crop(grey(photograph(name)), size).astype(np.int64) * (257 if bits == 16 else 1)
    image = (2 * reference + np.roll(reference, 1, -1)) // 4
    return torch.from_numpy(image), torch.from_numpy(reference)


def spectral_sums(name: str, size: int, bits: int) -> dict[str, Value]:
    """All exact sums of a pair, FSDS from them, and FSDS by its definition."""
    image, reference = spectral_pair(name, size, bits)
    taken = sums(samples(image[0], reference[0], bits))
    return {
        "pixels": digest(torch.cat([image, reference]).numpy()),
        **vars(taken),
        "fsds": similarity([taken], size, size).hex(),
        "fsds by its definition": float(fsds(image, reference)),
    }


def repeated(picture: torch.Tensor) -> torch.Tensor:
    """A network of integer arithmetic, so exact: each pixel twice in both directions, squared where
    it is bright."""
    large = picture.repeat_interleave(2, -1).repeat_interleave(2, -2)
    return torch.where(large > 0.5, large * large, large)


def hyra_parts() -> dict[str, Value]:
    """HyRA of three networks that have no weights."""
    picture = from_bytes(crop(grey(photograph("camera")), 96))
    found: dict[str, Value] = {
        "response of repeating": digest(hyra.impulse_response(repeated, 4).numpy()),
    }
    for name, scale, network in (
        ("bicubic", 2, Bicubic(2)), ("sinc", 3, Sinc(3)), ("repeating", 2, repeated),
    ):  # fmt: skip
        taken = hyra.split(network, smaller(picture, scale).double(), 8)
        whole = taken.output
        found |= {
            f"{name}: energy of the linear part": hyra.energy_share(taken.linear, whole),
            f"{name}: like a sinc": float(
                hyra.sinc_correlation(taken.response, scale).flatten()[0]
            ),
            f"{name}: energy above": hyra.high_share(whole, scale),
        }
        if name == "repeating":
            found[f"{name}: energy of the rest"] = hyra.energy_share(taken.nonlinear, whole)
    return found


# ------------------------------------------------------------------------------------------ cycles


def cycles(machine: str) -> tuple[dict[str, Value], dict[str, int]]:
    """An epoch of 48 digits on the RTL: bits, and cycles by name, which may only fall."""
    of_learning = {"rounding": "stochastic", "seed": 2}
    with digits_trainer((24,), {"bias": True}, of_learning, "rtl", machine) as trainer:
        bits = fitted(trainer, 48, 1)
        counted = cycles_of(trainer.counters or {})
    engines = {e: counts for e, counts in counted.items() if e != "total"}
    return bits, {
        "total": counted["total"],
        **{f"{e} {what}": counts[what] for e, counts in engines.items() for what in counts},
    }


RUNS: dict[str, Callable[[], dict[str, Value]]] = {
    **{f"drawn {n}": (lambda n=n: train_golden(*drawn(n))) for n in range(DRAWN)},
    **{f"lively {n}": (lambda n=n: train_golden(*drawn(n, LIVELY))) for n in range(DRAWN)},
    "long sums": long_sums,
    "overlapped": overlapped,
    "parts": parts,
    **{f"digits, {name}": (lambda name=name: train_digits(name)) for name in DIGITS},
    **{
        f"spectral, {pair[0]} {pair[1]} x {pair[1]}": (lambda pair=pair: spectral_sums(*pair))
        for pair in PAIRS
    },
    "hyra": hyra_parts,
}
