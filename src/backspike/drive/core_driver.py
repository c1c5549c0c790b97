"""What software does with a core: load a plan, move tensors, run programs, read counters."""

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.memory_image import (
    Shape,
    label_words,
    sample_rows,
    sample_tensor,
    spike_words,
    unit_tensor,
    weight_rows,
    weight_tensor,
)
from backspike.drive.port import Port
from backspike.gen.core.control.counters import COUNTERS, WORDS
from backspike.gen.core.engines import KINDS, UPDATE
from backspike.gen.core.faults import FAULT_TEXT, Fault
from backspike.gen.core.layout import DESCRIPTOR_WORDS, TASK
from backspike.gen.core.map import IDENT, VERSION
from backspike.gen.machine import DEPTH
from backspike.gen.memory.window import words_of
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError

BYTES = 4


class CoreFaultError(RuntimeError):
    """The core refused a run: `fault`, `engine` and `task` as its status says."""

    def __init__(self, fault: Fault, engine: str, task: int):
        super().__init__(
            f"the core refused to run: {FAULT_TEXT[fault]} "
            f"(fault {fault.value}, queue {engine}, task {task})"
        )
        self.fault, self.engine, self.task = fault, engine, task


class CoreDriver:
    """Drives the core behind a port.

    Raises UserError if it is no core, or not of the plan's machine;
    BusError if the core refuses an access, CoreFaultError if it refuses a run.
    """

    def __init__(self, port: Port, plan: Plan):
        self.port = port
        self.plan = plan
        self.saturated = False  # a rounding, as the last run's status said, since `clear`
        self.map = port.registers
        self.shape = Shape(plan.machine.lanes, plan.cut)
        self.row = plan.machine.lanes // 2  # words of a row of FP16 numbers
        self.block = plan.machine.lanes * self.row  # words of a block of weights
        ident, version, sizes = (int(word) for word in port.read_block("ident", 3))
        if (ident, version) != (IDENT, VERSION):
            raise UserError(
                f"the core's identification is {ident:#x} version {version}, "
                f"must be {IDENT:#x} version {VERSION}"
            )
        memories = self.map.register("sizes").unpack(port.read("sizes"))
        self._check_machine(
            self.map.register("machine").unpack(sizes)
            | {name: 1 << size for name, size in memories.items()}
        )
        self.load_plan()

    def load_plan(self) -> None:
        """Write descriptors, tasks and the batch's shape."""
        for name in ENGINES:
            fields = KINDS[name].fields
            for n, values in enumerate(self.plan.descriptors[name]):
                words = [values[field] for field in fields]
                self._write(f"layers_{name}", n * DESCRIPTOR_WORDS, words)
            others = [other for other in ENGINES if other != name]
            tasks = [
                TASK.const(
                    {
                        "layer": task.layer,
                        "tile": task.tile,
                        "wait_first": task.waits.get(others[0], 0),
                        "wait_second": task.waits.get(others[1], 0),
                    }
                ).as_bits()
                for task in self.plan.queues[name].tasks
            ]
            self._write(f"tasks_{name}", 0, tasks)
        cut = self.plan.cut
        self._register("batch", samples=cut.samples, sets=cut.sets)
        self._register("time", steps=cut.steps, last_steps=cut.last_steps, spans=cut.spans)

    def write_weights(self, weights: list[np.ndarray]) -> None:
        """Every layer's weights, uint16 (K, N)."""
        for at, values in zip(self.plan.layers, weights, strict=True):
            rows = weight_rows(values, self.shape.lanes)
            self._write("weights", at.weights * self.block, rows.view(np.uint32))

    def read_weights(self) -> list[np.ndarray]:
        """Every layer's weights, uint16 (K, N)."""
        tensors = []
        for at in self.plan.layers:
            words = self._read("weights", at.weights * self.block, at.weight_blocks * self.block)
            rows = words.view(np.uint16)
            tensors.append(weight_tensor(rows, self.shape.lanes, at.sources + at.bias, at.size))
        return tensors

    def write_inputs(self, spikes: np.ndarray, labels: np.ndarray, buffer: int) -> None:
        """A batch's input spikes uint8 (B, T, K) and labels, into the memories of `buffer`."""
        machine = self.plan.machine
        first = buffer * machine.spike_units + self.plan.input_base
        self._write("spikes", first * self.row, spike_words(spikes, self.shape))
        self._write(
            "labels",
            buffer * machine.readout_units * DEPTH,
            label_words(labels, self.shape),
        )
        full, partial = self.plan.cut.extent(len(spikes))
        self._register(f"extent{buffer}", full=full, partial=partial)

    def write_error(self, error: np.ndarray) -> None:
        """The read-out's error, FP16 as uint16 (B, N)."""
        rows = sample_rows(error, self.shape)
        self._write("logits", 0, rows.view(np.uint32))

    def write_keys(self, keys: list[int]) -> None:
        """Each layer's key of stochastic rounding, for the next update."""
        word = UPDATE.fields["key"].word
        for n, key in enumerate(keys):
            self._write("layers_wg", n * DESCRIPTOR_WORDS + word, [key])

    def read_logits(self, batch: int) -> np.ndarray:
        """uint16 (B, N)."""
        at = self.plan.layers[-1]
        words = self._read("logits", 0, at.tiles * self.plan.cut.sets * DEPTH * self.row)
        return sample_tensor(words.view(np.uint16), self.shape, batch, at.size)

    def read_codes(self, layer: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """(spikes, codes) of a hidden layer, uint8 (B, T, N)."""
        lanes = words_of(self.shape.lanes * 8)
        tensor = self._units("codes", layer, lanes, np.uint8, batch)
        return tensor >> 4, tensor & 15

    def read_gradients(self, layer: int, batch: int) -> np.ndarray:
        """uint16 (B, T, N)."""
        return self._units("gradients", layer, self.row, np.uint16, batch)

    def run(self, program: str, *, forward: int, backward: int, limit: int = 100_000_000) -> None:
        """Run one of the plan's programs to its end."""
        for name, tasks in self.plan.programs[program].items():
            self._register(f"queue_{name}", begin=tasks.begin, end=tasks.end)
        self._register("buffer", forward=forward, backward=backward)
        self.port.write("start", 1)
        running = self.map.register("status").field("running").mask
        self.port.wait("status", running, 0, interval=32, limit=limit)
        status = self.status()
        self.saturated = bool(status["saturated"])
        if status["fault"]:
            raise CoreFaultError(
                Fault(status["fault"]), ENGINES[status["fault_engine"]], status["fault_task"]
            )

    def status(self) -> dict[str, int]:
        """The status register's fields."""
        return self.map.register("status").unpack(self.port.read("status"))

    def clear(self) -> None:
        """Forget that a rounding has saturated."""
        self.port.write("clear", 1)
        self.saturated = False

    def counters(self) -> dict:
        """Of the last run: total, overlap, and each engine's counters."""
        words = self.port.read_block("counters", max(WORDS.values()) + 1)
        counts = {name: int(words[at]) for name, at in WORDS.items()}
        return {
            "total": counts["cycles"],
            "overlap": counts["overlap"],
            **{
                name: {counter: counts[f"{name}_{counter}"] for counter in COUNTERS}
                for name in ENGINES
            },
        }

    def _check_machine(self, sizes: dict[str, int]) -> None:
        """What the core says of its sizes against the plan's machine."""
        machine = self.plan.machine
        wanted = {name: DEPTH if name == "depth" else getattr(machine, name) for name in sizes}
        wrong = [name for name, size in sizes.items() if size != wanted[name]]
        if wrong:
            has, must = (
                ", ".join(f"{name} {side[name]}" for name in wrong) for side in (sizes, wanted)
            )
            raise UserError(f"the core has {has}, must have {must}, as the machine {machine.name}")

    def _units(self, window: str, layer: int, words: int, dtype: type, batch: int) -> np.ndarray:
        at = self.plan.layers[layer]
        rows = at.tiles * self.plan.cut.blocks * DEPTH
        data = self._read(window, at.output_base * DEPTH * words, rows * words)
        return unit_tensor(data.view(dtype).reshape(rows, -1), self.shape, batch, at.size)

    def _register(self, name: str, **fields: int) -> None:
        self.port.write(name, self.map.register(name).pack(**fields))

    def _write(self, window: str, word: int, words) -> None:
        self.port.write_block(self.map.window(window).base + word * BYTES, words)

    def _read(self, window: str, word: int, words: int) -> np.ndarray:
        return self.port.read_block(self.map.window(window).base + word * BYTES, words)
