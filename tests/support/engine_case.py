"""A small training step with golden's tensors, and what the core's memories hold of it.

Made outside the simulation (golden needs PyTorch) and read inside.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.cut import Cut
from backspike.compile.memory_image import Shape, label_words, sample_rows, spike_words
from backspike.compile.weight_image import weight_rows
from backspike.gen.machine import DEPTH, MACHINES, Machine
from backspike.ir.learning import Learning
from backspike.ir.surrogate import rectangle, triangle
from tests.support.layered import Layer, Network, compile_network

MACHINE = replace(MACHINES["tiny"], name="few", units=32, readout_units=16)
"""There is room for four blocks of NETWORK."""
NETWORK = Network(
    inputs=5,
    layers=(
        Layer(size=7, bias=True, reset="soft", surrogate=triangle(2.0)),
        Layer(size=4, threshold=0.5, rule="mpd-ed", surrogate=rectangle(6.0)),
        Layer(size=3, bias=True),
    ),
    steps=5,
)
BATCH = 9
"""Cut into a full set of five samples and one of four, in spans of three steps and of two."""
STEP = 3
ROUNDINGS = {"plain": "nearest", "extreme": "stochastic"}
LOSSES = {"plain": "ce", "extreme": "mse"}


def learning(kind: str) -> Learning:
    """How a case is trained."""
    return Learning(
        batch=BATCH, loss=LOSSES[kind], rate=0.25, rounding=ROUNDINGS[kind], seed=9  # pyright: ignore
    )  # fmt: skip


def make(kind: str, seed: int, path: Path) -> None:
    """Golden's tensors of one step into `path` (npz). Kinds: plain; extreme: any weights at all.

    `saturated` has a flag for each engine.
    """
    import torch

    from backspike.golden import graph, rules
    from backspike.golden.arithmetic import Halves
    from backspike.golden.half import from_bits, random_halves, to_bits
    from backspike.golden.hash import draw, layer_key
    from tests.support.layered import chain_weights

    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    learn = learning(kind)
    weights = [from_bits(w) for w in chain_weights(NETWORK, seed)]
    if kind == "extreme":
        weights = [random_halves(shape, generator) for shape in NETWORK.shapes]
    spikes = (rng.random((BATCH, NETWORK.steps, NETWORK.inputs)) < 0.6).astype(np.uint8)
    labels = rng.integers(0, 3, BATCH)

    fp, bp, wg = Halves(), Halves(), Halves()
    net = NETWORK.graph
    values = dict(zip(net.shapes, weights, strict=True))
    activity = graph.forward(fp, net, values, {"input": torch.from_numpy(spikes).double()})
    *_, readout = net.shapes
    logits = activity.logits[readout]
    if learn.loss == "ce":
        error = random_halves((BATCH, 3), generator)
    else:
        error = rules.squared_error(bp, logits[:, -1], torch.from_numpy(labels), learn.alpha)
    errors = torch.zeros_like(logits)
    errors[:, -1] = error
    gradients = graph.backward(bp, net, values, activity, {readout: errors})
    tensors = {"logits": to_bits(logits[:, -1]), "error": to_bits(error)}
    for n, (name, d) in enumerate(graph.weight_gradients(wg, net, (activity, gradients)).items()):
        w = values[name]
        random = draw(9, STEP, n, *w.shape) if learn.rounding == "stochastic" else None
        after = rules.update(wg, learn, w, d, random)
        tensors |= {f"before.{n}": to_bits(w), f"weights.{n}": to_bits(after)}
        tensors[f"gradients.{n}"] = to_bits(gradients[name])
    for name, codes in activity.codes.items():
        tensors[f"spikes.{name}"] = activity.spikes[name].to(torch.uint8).numpy()
        tensors[f"codes.{name}"] = codes.to(torch.uint8).numpy()
    keys = np.array([layer_key(9, STEP, n) for n in range(3)], np.uint32)
    saturated = np.array([a.saturated for a in (fp, bp, wg)])
    assert saturated.all() == (kind == "extreme"), "the case is not what it is called"
    tensors |= {"inputs": spikes, "labels": labels, "keys": keys, "saturated": saturated}
    np.savez(path, allow_pickle=False, **tensors)


@dataclass
class Case:
    """The tensors of `make` as rows of the core's memories, {address: bits}."""

    plan: Plan
    tensors: dict[str, np.ndarray]

    def __init__(self, kind: str, path: str, machine: Machine = MACHINE):
        self.plan = compile_network(NETWORK, learning(kind), machine)
        with np.load(path) as arrays:
            self.tensors = dict(arrays)
        plan = self.plan
        self.shape = Shape(machine.lanes, plan.cut)
        assert plan.cut == Cut(samples=5, sets=2, steps=3, spans=2, last_steps=2)
        self.lanes = machine.lanes

    @property
    def batch(self) -> dict[str, int]:
        """Fields of BATCH."""
        cut = self.plan.cut
        return {**asdict(cut), "blocks": cut.blocks}

    @property
    def extent(self) -> dict[str, int]:
        """Fields of EXTENT."""
        full, partial = self.plan.cut.extent(BATCH)
        return {"full": full, "partial": partial}

    def sources(self, layer: int) -> np.ndarray:
        """Spikes (B, T, K) that layer gets, without bias."""
        return self.tensors["inputs"] if layer == 0 else self.tensors[f"spikes.{layer - 1}"]

    def spike_tiles(self, spikes: np.ndarray, first: int) -> dict[int, int]:
        """Tiles of P x DEPTH bits, from unit `first` on."""
        words = spike_words(spikes, self.shape).view(np.uint16).reshape(-1, self.lanes)
        return {first + n: self._bits(row, 16) for n, row in enumerate(words)}

    def rows(self, tensor: np.ndarray, first: int, bits: int) -> dict[int, int]:
        """A tensor (B, T, N) as rows of P elements by entry, from unit `first` on.

        Rows of absent samples are left out.
        """
        shape, cut = self.shape, self.plan.cut
        batch, steps, neurons = tensor.shape
        found = {}
        padded = np.zeros((batch, steps, shape.tiles(neurons) * self.lanes), tensor.dtype)
        padded[..., :neurons] = tensor
        for tile in range(shape.tiles(neurons)):
            for b, t in np.ndindex(batch, steps):
                (number, sample), (span, step) = divmod(b, cut.samples), divmod(t, cut.steps)
                unit = first + tile * cut.blocks + number * cut.spans + span
                row = padded[b, t, tile * self.lanes : (tile + 1) * self.lanes]
                found[unit * DEPTH + step * cut.samples + sample] = self._bits(row, bits)
        return found

    def readout_rows(self, values: np.ndarray) -> dict[int, int]:
        """(B, N) halves as rows by set and sample."""
        rows = sample_rows(values, self.shape).reshape(-1, self.lanes)
        return {n: self._bits(row, 16) for n, row in enumerate(rows)}

    def labels(self) -> dict[int, int]:
        """Labels by set and sample."""
        return dict(enumerate(map(int, label_words(self.tensors["labels"], self.shape))))

    def weights(self, name: str) -> dict[int, list[int]]:
        """Row tiles in lane order, of the tensors `name`.0, `name`.1 …"""
        found = {}
        for n, at in enumerate(self.plan.layers):
            skewed = weight_rows(self.tensors[f"{name}.{n}"], self.lanes)
            for r, row in enumerate(skewed):
                lanes = [int(row[(lane + r) % self.lanes]) for lane in range(self.lanes)]
                found[at.weights * self.lanes + r] = lanes
        return found

    def needed(self) -> dict[int, int]:
        """Of each hidden unit: entries where some neuron lets an error through."""
        found = {}
        for n, layer in enumerate(NETWORK.layers[:-1]):
            h = np.array(layer.surrogate.values)[self.tensors[f"codes.{n}"]]
            if layer.rule == "mpd-ed":
                h = h * self.tensors[f"spikes.{n}"]
            tiles = self.spike_tiles((h != 0).astype(np.uint8), self.plan.layers[n].output_base)
            for unit, tile in tiles.items():
                lines = [tile >> 16 * lane & 0xFFFF for lane in range(self.lanes)]
                found[unit] = int(np.bitwise_or.reduce(lines))
        return found

    @staticmethod
    def _bits(row, width: int) -> int:
        return sum(int(element) << n * width for n, element in enumerate(row))
