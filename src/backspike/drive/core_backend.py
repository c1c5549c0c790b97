"""A backend that trains on a core, wherever it is."""

from backspike.compile.compiler import Plan
from backspike.drive.core_driver import CoreDriver
from backspike.drive.port import Port
from backspike.golden.hash import layer_key
from backspike.ir.bits import Bits
from backspike.ir.constants import ENGINES
from backspike.ir.validation import check_batch, check_error, check_step, check_weights


class CoreBackend:
    """See `backspike.drive.backend.Backend`.

    port: to a core, which is driven as `plan` says.
    """

    name = "core"

    def __init__(self, plan: Plan, port: Port):
        self.plan = plan
        self.driver = CoreDriver(port, plan)
        self._buffer = 1
        self._batch = 0  # samples of the batch that can be updated; 0 if there is none
        self._forwarded = 0  # samples of the last forward
        self._updated = 0  # samples of the last updated batch
        self._counted: dict | None = None

    def load_weights(self, weights: list[Bits]) -> None:
        check_weights(self.plan.network, weights)
        self.driver.write_weights(weights)
        self._batch = 0
        self.driver.clear()

    def weights(self) -> list[Bits]:
        return self.driver.read_weights()

    def forward(self, spikes: Bits, labels: Bits) -> Bits:
        check_batch(self.plan.network, self.plan.learning, spikes, labels)
        return self._forward("forward", spikes, labels)

    def update(self, error: Bits | None, step: int) -> None:
        self._prepare(error, step)
        self._run("update", forward=self._buffer, backward=self._buffer)
        self._updated, self._batch = self._batch, 0

    def update_forward(self, error: Bits | None, step: int, spikes: Bits, labels: Bits) -> Bits:
        check_batch(self.plan.network, self.plan.learning, spikes, labels)
        self._prepare(error, step)
        self._updated = self._batch
        return self._forward("both", spikes, labels)

    def forward_tensors(self) -> dict[str, Bits]:
        tensors = {}
        for n in range(len(self.plan.layers) - 1):
            spikes, codes = self.driver.read_codes(n, self._forwarded)
            tensors |= {f"spikes.{n}": spikes, f"codes.{n}": codes}
        return tensors | {"logits": self.driver.read_logits(self._forwarded)}

    def update_tensors(self) -> dict[str, Bits]:
        layers = range(len(self.plan.layers))
        gradients = {f"gradients.{n}": self.driver.read_gradients(n, self._updated) for n in layers}
        return gradients | {f"weights.{n}": w for n, w in enumerate(self.weights())}

    def saturated(self) -> bool:
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

    def _prepare(self, error: Bits | None, step: int) -> None:
        if not self._batch:
            raise RuntimeError("update without a forward since the last one")
        check_error(self.plan.network, self.plan.learning, error, self._batch)
        check_step(step)
        if error is not None:
            self.driver.write_error(error)
        learning = self.plan.learning
        if learning.rounding == "stochastic":
            layers = range(len(self.plan.layers))
            self.driver.write_keys([layer_key(learning.seed, step, n) for n in layers])

    def _forward(self, program: str, spikes: Bits, labels: Bits) -> Bits:
        before, self._buffer = self._buffer, 1 - self._buffer
        self.driver.write_inputs(spikes, labels, self._buffer)
        self._run(program, forward=self._buffer, backward=before)
        self._batch = self._forwarded = len(spikes)
        return self.driver.read_logits(self._forwarded)

    def _run(self, program: str, *, forward: int, backward: int) -> None:
        self.driver.run(program, forward=forward, backward=backward)
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
