"""Batches and updates of a graph on one backend, whoever updates: the chip or the host."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from backspike.drive.backend import Backend
from backspike.drive.comparison import Counts
from backspike.drive.lockstep import Lockstep
from backspike.drive.registry import make_backend
from backspike.gen.machine import Machine
from backspike.golden.initial import initial_weights
from backspike.golden.threads import one_thread
from backspike.ir.bits import Bits
from backspike.ir.constants import LARGEST
from backspike.ir.errors import LinkError, UserError
from backspike.ir.graph import Graph
from backspike.train.batches import Batch, Part, Reader, parts_of
from backspike.train.losses import Criterion
from backspike.train.optimizers import (
    MakesOptimizer,
    OnChip,
    host_optimizer,
    learning_of,
    rate_at,
)
from backspike.train.thresholds import AdaptiveThreshold, Rates
from backspike.train.weights import from_columns, rounded, to_columns

Errors = Mapping[str, Bits]


class Stepper:
    """Runs batches and updates weights. The backend is made when T is known: with `open`.

    graph: as it is now: its thresholds may adapt. reader: of the batches; it is told T. updates:
    weight updates done. UserError, before anything is built, if the graph does not fit the machine;
    Mismatch where a core differs from golden.
    """

    def __init__(
        self,
        graph: Graph,
        criterion: Criterion,
        optimizer: OnChip | MakesOptimizer,
        reader: Reader,
        *,
        machine: Machine,
        backend: str,
        batch: int,
        seed: int,
        gain: float | None,
        stateful: bool,
        check: bool,
        thresholds: AdaptiveThreshold | None,
        trace: Path | None,
        trace_batch: int,
    ) -> None:
        self.graph, self.criterion, self.stateful = graph, criterion, stateful
        alpha = criterion.alpha if criterion.on_chip else None
        self.learning = learning_of(optimizer, batch, seed, alpha)
        self.updates = 0
        self._falling: OnChip | None = None
        if isinstance(optimizer, OnChip) and optimizer.falling is not None:
            self._falling = optimizer
        self._adaptive, self._rates = thresholds, Rates()
        self._how = {"check": check, "trace": trace, "trace_batch": trace_batch}
        self._machine, self._name, self._reader = machine, backend, reader
        self._closed = self._lost = False
        self._backend: Backend | None = None
        self._saturated = False
        # Those of the backend, if there is one, unless the host updates.
        self._bits = initial_weights(graph, seed, gain)
        self._moments: dict[str, Bits] = {}  # until there is a backend
        self._host = host_optimizer(optimizer, graph, from_columns(graph, self._bits))

    def open(self, steps: int) -> Backend:
        """The backend, made for so many steps if there is none."""
        self.check_open()
        if self._backend is None:
            backend = make_backend(
                self._name, self.graph, self.learning, self._machine,
                steps=steps, every=self.criterion.every, stateful=self.stateful, **self._how,
            )  # fmt: skip
            try:
                backend.load_weights(self._bits)
                if self._moments:
                    backend.set_moments(self._moments)
            except BaseException:
                backend.close()
                raise
            self._backend, self._reader.steps = backend, steps
        return self._backend

    def close(self) -> None:
        """Release the backend. Weights can still be read, if a board was not lost with them."""
        if self._closed:
            return
        try:
            self._bits, self._moments = self.weights(), self.moments()
            self._saturated = self.saturated
        except LinkError:
            self._lost = True
        self._closed = True
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def check_open(self) -> None:
        """UserError after `close`."""
        if self._closed:
            raise UserError("the trainer is closed, must be open: use it in its `with` statement")

    def stand(
        self,
        updates: int,
        weights: dict[str, Bits],
        moments: dict[str, Bits],
        host: tuple[dict, dict] | None,
        saturated: bool,
    ) -> None:
        """Where a run stood, before there is a backend."""
        self.updates, self._bits, self._moments = updates, weights, moments
        self._saturated = saturated
        if self._host is not None and host is not None:
            self._host.restore(*host)

    @property
    def backend(self) -> Backend | None:
        """What computes, without golden beside it; None before the first batch."""
        return self._backend.primary if isinstance(self._backend, Lockstep) else self._backend

    @property
    def saturated(self) -> bool:
        """Whether a sum was cut off at ±65504 since the first weights."""
        return self._saturated or (self._backend is not None and self._backend.saturated())

    def parts(self, batches: Iterable[Batch]) -> Iterator[Part]:
        """What the backend runs at a time, of batches that may be larger."""
        for batch in batches:
            steps = next(iter(batch.inputs.values())).shape[1]
            yield from parts_of(batch, self.open(steps).room)

    def run(self, batch: Batch, go_on: bool) -> dict[str, Bits]:
        """Logits of a batch, or of a part of one."""
        steps = next(iter(batch.inputs.values())).shape[1]
        return self.open(steps).forward(batch.inputs, self._labels(batch), go_on=go_on)

    @one_thread()
    def update(self, errors: Errors, part: Part) -> None:
        """Update for the part that was run last: of weights if the batch ends with it."""
        backend = self._backend
        assert backend is not None
        self._before(part)
        backend.update(errors, self.updates, first=part.first, last=part.last)
        if not part.last:
            return
        if self._host is not None:
            found = from_columns(self.graph, backend.weight_gradients())
            new = self._host.step(found, part.whole.samples)
            for name, w in new.items():
                self._saturated |= bool((np.abs(w) > LARGEST).any())
                new[name] = rounded(name, w.clip(-LARGEST, LARGEST))
            self._bits = self._bits | to_columns(self.graph, new)
            backend.set_weights(self._bits)
        self.updates += 1

    def update_run(self, errors: Errors, part: Part, batch: Batch) -> dict[str, Bits]:
        """`update`, and `run` of what comes next in the epoch, which hardware overlaps."""
        if self._host is not None:
            self.update(errors, part)
            return self.run(batch, self.stateful)
        assert self._backend is not None
        self._before(part)
        logits = self._backend.update_forward(
            errors, self.updates, batch.inputs, self._labels(batch),
            go_on=self.stateful, first=part.first, last=part.last,
        )  # fmt: skip
        self.updates += part.last
        return logits

    def _before(self, part: Part) -> None:
        """Ahead of the update for the part that was run last: its rate, if that falls; and
        thresholds, if they adapt, are moved by the batch that ends with it. The update does not
        know them, so the next batch may run beside it."""
        assert self._backend is not None
        if self._falling is not None:
            self._backend.set_rate(rate_at(self._falling, self.updates))
        if self._adaptive is None:
            return
        self._rates.add(self._backend.forward_tensors())
        if part.last:
            found = self._adaptive.thresholds(self.graph, self._rates.take())
            self.graph = self.graph.with_thresholds(found)
            self._backend.set_thresholds(found)

    def weights(self) -> dict[str, Bits]:
        """uint16 (K, N) of each connection that has some. UserError if they were on a board that
        was lost."""
        if self._lost:
            raise UserError("weights are lost with the board, must be loaded from a checkpoint")
        if self._backend is None or self._host is not None:
            return self._bits
        return self._backend.weights()

    def set_weights(self, weights: dict[str, np.ndarray], names: list[str]) -> None:
        """All weights as PyTorch has them; names: of those that are new."""
        self.check_open()
        if self._host is not None:
            for name in names:
                self._host.set(name, weights[name])
        self._bits = to_columns(self.graph, weights)
        if self._backend is not None:
            self._backend.set_weights(self._bits)

    def moments(self) -> dict[str, Bits]:
        """Likewise of those that are updated with momentum."""
        if self._backend is None or not self.learning.momentum:
            return self._moments
        return self._backend.moments()

    def host_state(self) -> tuple[dict, dict] | None:
        """See `HostOptimizer.state`; None if the chip updates."""
        return None if self._host is None else self._host.state()

    def checked(self) -> dict[str, int]:
        """Tensors and values compared with golden so far, and mismatches; all 0 without check."""
        counts = self._backend.counts if isinstance(self._backend, Lockstep) else Counts()
        return vars(counts).copy()

    def compared(self) -> dict[str, int]:
        """Values by population; see `Lockstep`. Empty without check."""
        return self._backend.compared() if isinstance(self._backend, Lockstep) else {}

    def counters(self) -> dict | None:
        """Of all batches; None if there is no hardware. See `CoreBackend`."""
        return self._primary("counters")

    def simulation(self) -> dict | None:
        """Simulated cycles, seconds and their ratio; None if nothing is simulated."""
        return self._primary("simulation")

    def _primary(self, what: str) -> dict | None:
        found = getattr(self.backend, what, None)
        return None if found is None else found()

    def _labels(self, batch: Batch) -> Bits | None:
        """For a backend that works errors out of them; any will do if nothing is learnt."""
        if not self.criterion.on_chip:
            return None
        return next(iter(batch.labels.values()), np.zeros(batch.samples, np.int64))
