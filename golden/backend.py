"""A network of any graph, trained in PyTorch: bit for bit what hardware must do."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from backspike.golden import graph as passes
from backspike.golden import rules
from backspike.golden.arithmetic import Halves
from backspike.golden.half import from_bits, to_bits
from backspike.golden.hash import draw
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.validation import (
    check_arrays,
    check_halves,
    check_inputs,
    check_labels,
    check_step,
)

Arrays = Mapping[str, Bits]


class GoldenBackend:
    """Weights, batches and updates by the names of connections and populations.

    Shapes: B samples (any number up to `learning.batch`), T steps (any number), N neurons. FP16 is
    uint16 patterns. Weights start at zero; connections without weights have none.
    Input is checked: a UserError says which array, what it is and must be. `update` without a
    `forward` since the last one raises RuntimeError.

    every: logits and errors of read-outs are of every step, (B, T, N). Else those of read-outs that
    do not spike are of the last step, (B, N), and for loss mse their errors are worked out here, of
    labels.
    """

    name = "golden"
    gone: frozenset[str] = frozenset()
    """Tensors of an update that are not kept: none."""

    def __init__(self, graph: Graph, learning: Learning, *, every: bool = True) -> None:
        self.graph, self.learning, self.every = graph, learning, every
        self.arithmetic = Halves()
        readouts = [p for p in graph.populations if p.role == "readout"]
        self._last_only = {p.name for p in readouts if not (every or p.spikes)}
        own = self._last_only if learning.loss == "mse" else set[str]()
        self._own = [p for p in readouts if p.name in own]
        self._labels: torch.Tensor | None = None  # that their errors are made of
        self._weights = self._zero()
        self._moments = self._zero()
        self._number = {name: n for n, name in enumerate(graph.shapes)}
        self._activity: passes.Activity | None = None  # to update
        self._last: passes.Activity | None = None  # to go on from
        self._parts: list[tuple[passes.Activity, passes.Tensors]] = []  # of the batch, so far
        self._forward: dict[str, Bits] = {}
        self._update: dict[str, Bits] = {}

    @property
    def room(self) -> int:
        """Samples of a `forward` at the most."""
        return self.learning.batch

    def load_weights(self, weights: Arrays) -> None:
        """(K, N) of each connection that has some, a bias the last row. Forgets any batch."""
        self.set_weights(weights)
        self._moments = self._zero()
        self._activity = self._last = None
        self._parts = []
        self.arithmetic.saturated = False

    def set_weights(self, weights: Arrays) -> None:
        """As `load_weights`, but nothing is forgotten: what a host that updates brings."""
        check_arrays("weights", weights, self.graph.shapes)
        for name, shape in self.graph.shapes.items():
            check_halves(f"weights of {name}", weights[name], shape)
        self._weights = {name: from_bits(weights[name]) for name in self.graph.shapes}

    def weights(self) -> dict[str, Bits]:
        """As `load_weights` takes them."""
        return {name: to_bits(w) for name, w in self._weights.items()}

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Of some populations, from the next `forward` on; a batch that has run is updated as it
        was run."""
        self.graph = self.graph.with_thresholds(thresholds)

    def set_rate(self, rate: float) -> None:
        """η, from the next update on."""
        self.learning = replace(self.learning, rate=rate)

    def moments(self) -> dict[str, Bits]:
        """uint16 (K, N) of each connection that is updated; all 0 without momentum."""
        return {c.name: to_bits(self._moments[c.name]) for c in self.graph.trained}

    def set_moments(self, moments: Arrays) -> None:
        """As `moments` gives them: what a run that goes on brings."""
        shapes = {c.name: self.graph.shapes[c.name] for c in self.graph.trained}
        check_arrays("moments", moments, shapes)
        for name, shape in shapes.items():
            check_halves(f"moments of {name}", moments[name], shape)
        self._moments |= {name: from_bits(moments[name]) for name in shapes}

    @one_thread()
    def forward(
        self, inputs: Arrays, labels: Bits | None = None, *, go_on: bool = False
    ) -> dict[str, Bits]:
        """Logits of each read-out.

        inputs: uint8 (B, T, N) of each input, 0 and 1, or numbers of a graded one's bits. labels:
        int64 (B,), where errors are worked out of them. go_on: the samples are those of the last
        batch, at the steps that follow: potentials, currents and delayed spikes go on.
        """
        check_inputs(self.graph, self.learning.batch, inputs)
        self._set_labels(labels, len(next(iter(inputs.values()))))
        first = next(iter(inputs))
        last = self._last if go_on else None
        if last is not None and last.spikes[first].shape[0] != inputs[first].shape[0]:
            raise UserError(
                f"the batch has {inputs[first].shape[0]} samples, must have "
                f"{last.spikes[first].shape[0]}, as the one that it continues has"
            )
        spikes = {
            name: torch.from_numpy(x.astype(np.float64)) * self.graph.by_name[name].unit
            for name, x in inputs.items()
        }
        found = passes.forward(self.arithmetic, self.graph, self._weights, spikes, last)
        self._activity = self._last = found
        self._forward = {
            f"logits.{name}": to_bits(x[:, -1] if name in self._last_only else x)
            for name, x in found.logits.items()
        }
        for name, codes in found.codes.items():
            self._forward[f"spikes.{name}"] = _uint8(found.spikes[name])
            self._forward[f"codes.{name}"] = _uint8(codes)
        return {name: self._forward[f"logits.{name}"].copy() for name in found.logits}

    @one_thread()
    def update(
        self, errors: Arrays | None, step: int, *, first: bool = True, last: bool = True
    ) -> None:
        """Errors back, and every weight that is not frozen updated.

        errors: FP16 of each read-out whose errors are not worked out here: of its logits, shaped as
        they, or, if it spikes, of its spikes. step: number of the update, which stochastic rounding
        draws from. first, last: of the batch's parts; nothing is updated before the last.
        """
        if self._activity is None:
            raise RuntimeError("update without a forward since the last one")
        if not first and not self._parts:
            raise RuntimeError("update of a further part without a first one")
        a, activity = self.arithmetic, self._activity
        given = self._checked_errors(errors or {}, activity)
        check_step(step)
        gradients = passes.backward(a, self.graph, self._weights, activity, given)
        self._activity = None
        names = [p.name for p in self.graph.populations if p.name in gradients]
        self._update = {f"gradients.{name}": to_bits(gradients[name]) for name in names}
        self._parts = [*([] if first else self._parts), (activity, gradients)]
        if last:
            parts, self._parts = self._parts, []
            self._update |= self._updated(step, parts)

    def _updated(
        self, step: int, parts: list[tuple[passes.Activity, passes.Tensors]]
    ) -> dict[str, Bits]:
        """Updates weights for a batch, and returns the tensors of this."""
        a = self.arithmetic
        found = passes.weight_gradients(a, self.graph, *parts)
        tensors: dict[str, Bits] = {}
        for name, d in found.items():
            if self.learning.updates == "host":
                tensors[f"d.{name}"] = to_bits(d)
                continue
            if self.learning.momentum:
                d = rules.moment(a, self.learning, self._moments[name], d)
                self._moments[name] = d
                tensors[f"moments.{name}"] = to_bits(d)
            w, random = self._weights[name], self._random(step, name)
            self._weights[name] = rules.update(a, self.learning, w, d, random)
        if self.learning.updates == "chip":
            tensors |= {f"weights.{name}": w for name, w in self.weights().items()}
        return tensors

    def update_forward(
        self,
        errors: Arrays | None,
        step: int,
        inputs: Arrays,
        labels: Bits | None = None,
        *,
        go_on: bool = False,
        first: bool = True,
        last: bool = True,
    ) -> dict[str, Bits]:
        """`update`, then `forward` of the next batch."""
        self.update(errors, step, first=first, last=last)
        return self.forward(inputs, labels, go_on=go_on)

    def forward_tensors(self) -> dict[str, Bits]:
        """Of the last forward: `logits.P` of read-outs, `spikes.P` and `codes.P` of neurons."""
        return dict(self._forward)

    def update_tensors(self) -> dict[str, Bits]:
        """Of the last update: `gradients.P` of populations that learn; `weights.C`, and, with
        momentum, `moments.C` of connections that are updated; of those `d.C` instead, if the host
        updates them. Of a batch with further parts, gradients alone."""
        return dict(self._update)

    def weight_gradients(self) -> dict[str, Bits]:
        """Of the last update, if the host updates: d, uint16 (K, N), of connections to update."""
        return {n.removeprefix("d."): x for n, x in self._update.items() if n.startswith("d.")}

    def saturated(self) -> bool:
        """Whether a sum was cut off since the weights were loaded."""
        return self.arithmetic.saturated

    def close(self) -> None:
        """Nothing is held."""

    def _set_labels(self, labels: Bits | None, samples: int) -> None:
        self._labels = None
        if not self._own:
            return
        if labels is None:
            raise UserError("labels are none, must be given: errors are worked out of them")
        check_labels(labels, samples, min(population.size for population in self._own))
        self._labels = torch.from_numpy(labels.astype(np.int64))

    def _checked_errors(self, errors: Arrays, activity: passes.Activity) -> dict[str, torch.Tensor]:
        """float64 (B, T, N) of each read-out, those of its own among them."""
        own = {population.name for population in self._own}
        check_arrays("errors", errors, {n: x for n, x in activity.logits.items() if n not in own})
        found = {}
        for name, logits in activity.logits.items():
            found[name] = torch.zeros_like(logits)
            at = found[name][:, -1] if name in self._last_only else found[name]
            if name not in own:
                check_halves(f"errors of {name}", errors[name], tuple(at.shape))
                at.copy_(from_bits(errors[name]))
            else:
                assert self._labels is not None
                alpha, last = self.learning.alpha, logits[:, -1]
                at.copy_(rules.squared_error(self.arithmetic, last, self._labels, alpha))
        return found

    def _zero(self) -> dict[str, torch.Tensor]:
        return {name: torch.zeros(shape).double() for name, shape in self.graph.shapes.items()}

    def _random(self, step: int, name: str) -> torch.Tensor | None:
        if self.learning.rounding == "nearest":
            return None
        return draw(self.learning.seed, step, self._number[name], *self.graph.shapes[name])


def _uint8(x: torch.Tensor) -> np.ndarray:
    return x.to(torch.uint8).numpy()
