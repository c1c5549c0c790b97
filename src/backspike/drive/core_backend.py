"""A graph on a core, wherever it is: batches, updates and tensors by name."""

from collections.abc import Mapping

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.placement import stepped
from backspike.drive.backend import Arrays
from backspike.drive.core_driver import CoreDriver
from backspike.drive.port import Port
from backspike.golden.hash import layer_key
from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.validation import (
    check_arrays,
    check_halves,
    check_inputs,
    check_labels,
    check_step,
    check_terms,
)


class CoreBackend:
    """What golden's GoldenBackend does in PyTorch, on the core behind a port.

    With a plan for errors of every step, logits and errors are (B, T, N). Else logits and errors of
    read-outs that do not spike are those of the last step, (B, N), and for loss mse the core works
    errors out by itself, of labels.
    """

    name = "core"

    def __init__(self, plan: Plan, port: Port):
        self.plan = plan
        self.driver = CoreDriver(port, plan)
        self._numbers = {name: n for n, name in enumerate(plan.graph.shapes)}
        self._readouts = [p for p in plan.graph.populations if p.role == "readout"]
        own = plan.learning.loss == "mse" and not plan.every
        # Read-outs whose errors come from labels, and the others.
        self._own = [p for p in self._readouts if own and not p.spikes]
        self._given = [p for p in self._readouts if p not in self._own]
        self._buffer = 1
        self._handed = False  # gradients are in the weights' place
        self._carry = False  # the last forward went on with the batch before
        self.pending = 0  # samples of the batch that can be updated; 0 if there is none
        self._forwarded = 0  # samples of the last forward
        self._updated = 0  # samples of the last updated batch
        self._keep = False  # the last update keeps its sums for the batch's further parts
        self._kept = 0  # samples of which sums are kept
        self._counted: dict | None = None

    @property
    def room(self) -> int:
        """Samples of a `forward` at the most."""
        return self.plan.learning.batch

    @property
    def graph(self) -> Graph:
        """The network."""
        return self.plan.graph

    def load_weights(self, weights: Arrays) -> None:
        """(K, N) of each connection that has some, a bias the last row. Forgets any batch."""
        self.set_weights(weights)
        self.driver.clear_moments()
        self.pending = self._forwarded = self._kept = 0
        self.driver.clear()

    def set_weights(self, weights: Arrays) -> None:
        """As `load_weights`, but nothing is forgotten: what a host that updates brings."""
        shapes = self.plan.graph.shapes
        check_arrays("weights", weights, shapes)
        for name, shape in shapes.items():
            check_halves(f"weights of {name}", weights[name], shape)
        self.driver.write_weights(weights)
        self._handed = False

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """See GoldenBackend. Only feed-forward descriptors have them."""
        self.plan = self.plan.with_thresholds(thresholds)
        self.driver.set_plan(self.plan, list(thresholds))

    def set_rate(self, rate: float) -> None:
        """See GoldenBackend."""
        self.plan = self.plan.with_rate(rate)
        self.driver.set_rate(self.plan)

    def weights(self) -> dict[str, Bits]:
        """As `load_weights` takes them. RuntimeError if they have given way to their gradients."""
        self._check_weights()
        return self.driver.read_weights()

    def weight_gradients(self) -> dict[str, Bits]:
        """Of the last update, if the host updates: d, uint16 (K, N), of connections to update."""
        if self._kept:
            return {}
        found = self.driver.read_weights()
        return {c.name: found[c.name] for c in self.plan.graph.trained}

    def moments(self) -> dict[str, Bits]:
        """See GoldenBackend; the machine must have a memory of moments."""
        return self.driver.read_moments()

    def set_moments(self, moments: Arrays) -> None:
        """See GoldenBackend; the machine must have a memory of moments."""
        shapes = {c.name: self.plan.graph.shapes[c.name] for c in self.plan.graph.trained}
        check_arrays("moments", moments, shapes)
        for name, shape in shapes.items():
            check_halves(f"moments of {name}", moments[name], shape)
        self.driver.write_moments(moments)

    def forward(
        self, inputs: Arrays, labels: Bits | None = None, *, go_on: bool = False
    ) -> dict[str, Bits]:
        """Logits of each read-out. go_on: see GoldenBackend; the plan must be stateful."""
        self._check_inputs(inputs, labels, go_on)
        return self._forward("forward", inputs, labels, go_on)

    def update(
        self, errors: Arrays | None, step: int, *, first: bool = True, last: bool = True
    ) -> None:
        """Errors back, and every weight that is not frozen updated. errors: see GoldenBackend; of
        read-outs whose errors the core works out, none. first, last: see GoldenBackend; if a batch
        has several parts, the machine must have a memory of partial sums."""
        self._prepare(errors, step, first, last)
        self._run("update", forward=self._buffer, backward=self._buffer, carry=self._carry)
        self._count_parts()
        self.pending = 0
        self._handed = self.plan.learning.updates == "host" and last

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
        """`update`, and `forward` of the next batch, at the same time. RuntimeError if the host
        updates."""
        if self.plan.learning.updates == "host":
            raise RuntimeError("the host updates, so the next forward must wait for its weights")
        self._check_inputs(inputs, labels, go_on)
        # An update may still need the spikes of the batch before, in whose place the next one is;
        # and both batches would have to go on, or to begin afresh.
        if (self._carry or go_on) and any(c.delay for c in self.plan.graph.connections):
            self.update(errors, step, first=first, last=last)
            return self._forward("forward", inputs, labels, go_on)
        self._prepare(errors, step, first, last)
        return self._forward("both", inputs, labels, go_on)

    def forward_tensors(self) -> dict[str, Bits]:
        """Of the last forward: `logits.P` of read-outs, `spikes.P` and `codes.P` of neurons."""
        tensors = {f"logits.{name}": x for name, x in self._logits().items()}
        for population in self.plan.graph.populations:
            if population.neuron is not None:
                name = population.name
                spikes, codes = self.driver.read_codes(name, self._forwarded)
                tensors |= {f"spikes.{name}": spikes, f"codes.{name}": codes}
        return tensors

    def update_tensors(self) -> dict[str, Bits]:
        """Of the last update, as GoldenBackend has them, but for those that are `gone`."""
        graph = self.plan.graph
        names = [p.name for p in graph.populations if p.name in graph.learning]
        names = [name for name in names if f"gradients.{name}" not in self.gone]
        gradients = {
            f"gradients.{name}": self.driver.read_gradients(name, self._updated) for name in names
        }
        if self._kept:
            return gradients
        if self.plan.learning.updates == "host":
            found = self.weight_gradients()
            return gradients | {f"d.{name}": d for name, d in found.items()}
        if self.plan.learning.momentum:
            moments = self.driver.read_moments()
            gradients |= {f"moments.{name}": x for name, x in moments.items()}
        return gradients | {f"weights.{name}": w for name, w in self.weights().items()}

    @property
    def gone(self) -> frozenset[str]:
        """Tensors of an update in whose place others are when it has ended."""
        places = self.plan.populations.values()
        return frozenset(f"gradients.{other}" for at in places for other in at.after)

    def saturated(self) -> bool:
        """Whether a rounding has saturated since the weights were loaded."""
        return self.driver.saturated

    def counters(self) -> dict:
        """Sums over all runs: total, overlap; of each engine busy, bound, events and stalled."""
        counted: dict = self._counted or {"total": 0, "overlap": 0}
        shaped: dict = {"total": counted["total"], "overlap": counted["overlap"]}
        for name in ENGINES:
            engine = counted.get(name, {})
            shaped[name] = {key: engine.get(key, 0) for key in ("busy", "bound", "events")}
            shaped[name]["stalled"] = {
                key: engine.get(key, 0) for key in ("token", "vector", "drain", "port")
            }
        return shaped

    def close(self) -> None:
        """Release the port."""
        self.driver.port.close()

    def _check_weights(self) -> None:
        if self._handed:
            raise RuntimeError("weights have given way to their gradients, must be set")

    def _check_inputs(self, inputs: Arrays, labels: Bits | None, go_on: bool) -> None:
        plan = self.plan
        self._check_weights()
        check_inputs(plan.graph, plan.learning.batch, inputs)
        batch, steps = next(iter(inputs.values())).shape[:2]
        if steps != plan.steps:
            raise UserError(f"inputs have {steps} steps, must have {plan.steps}, as compiled")
        if self._own and labels is None:
            raise UserError("labels are none, must be given: the core works errors out of them")
        if self._own:
            check_labels(labels, batch, min(population.size for population in self._own))
        if go_on and not plan.stateful:
            raise UserError("the network is compiled to begin every batch afresh")
        if go_on and self._forwarded not in (0, batch):
            raise UserError(
                f"the batch has {batch} samples, must have {self._forwarded}, as the one that it "
                "continues has"
            )

    def _prepare(self, errors: Arrays | None, step: int, first: bool, last: bool) -> None:
        if not self.pending:
            raise RuntimeError("update without a forward since the last one")
        plan = self.plan
        check_step(step)
        if not first and not self._kept:
            raise RuntimeError("update of a further part without a first one")
        if not last and not plan.machine.parts:
            raise UserError(
                f"machine {plan.machine.name!r} has no memory of partial sums, must have one for a "
                f"batch in parts, as {plan.machine.name},parts=1"
            )
        kept = 0 if first else self._kept
        if kept or not last:
            check_terms(plan.graph, kept + self.pending, plan.steps)
        self._kept, self._keep = kept, not last
        errors = errors or {}
        check_arrays("errors", errors, {p.name: p for p in self._given})
        for population in self._given:
            steps = (plan.steps,) if stepped(population, plan.every) else ()
            shape = (self.pending, *steps, population.size)
            check_halves(f"errors of {population.name}", errors[population.name], shape)
        for name, error in errors.items():
            if name in plan.graph.learning:  # else it has no place, and no effect
                self.driver.write_error(name, error)
        learning = plan.learning
        if learning.rounding == "stochastic":
            keys = {name: layer_key(learning.seed, step, n) for name, n in self._numbers.items()}
            self.driver.write_keys(keys)

    def _forward(
        self, program: str, inputs: Arrays, labels: Bits | None, go_on: bool
    ) -> dict[str, Bits]:
        before, self._buffer = self._buffer, 1 - self._buffer
        self.driver.write_inputs(inputs, labels if self._own else None, self._buffer)
        self._carry = go_on and self._forwarded > 0
        self._run(program, forward=self._buffer, backward=before, carry=self._carry)
        if program == "both":
            self._count_parts()
        self.pending = self._forwarded = len(next(iter(inputs.values())))
        return self._logits()

    def _count_parts(self) -> None:
        """After an update of what was pending."""
        self._updated = self.pending
        self._kept = self._kept + self.pending if self._keep else 0

    def _logits(self) -> dict[str, Bits]:
        found = {}
        for population in self._readouts:
            name = population.name
            if population.spikes:
                spikes, _ = self.driver.read_codes(name, self._forwarded)
                # FP16 holds every number of spikes up to 2048, and rounds others to nearest even.
                found[name] = spikes.cumsum(1).astype(np.float16).view(np.uint16)
            else:
                found[name] = self.driver.read_logits(name, self._forwarded)
        return found

    def _run(self, program: str, *, forward: int, backward: int, carry: bool) -> None:
        how = {"forward": forward, "backward": backward, "carry": carry}
        if self.plan.machine.parts:
            how |= {"take": self._kept > 0, "keep": self._keep}
        self.driver.run(program, **how)
        counted = self.driver.counters()
        if self._counted is None:
            self._counted = counted
            return
        for key, value in counted.items():
            if isinstance(value, dict):
                for name, count in value.items():
                    self._counted[key][name] += count
            else:
                self._counted[key] += value
