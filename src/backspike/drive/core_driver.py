"""What software does with a core: load a plan, move tensors, run programs, read counters."""

from collections.abc import Iterable, Mapping

import numpy as np

from backspike.compile.compiler import Plan
from backspike.compile.memory_image import (
    Shape,
    label_words,
    sample_rows,
    sample_tensor,
    spike_words,
    unit_rows,
    unit_tensor,
)
from backspike.compile.placement import PopulationPlace, connection_of
from backspike.compile.planes import from_tiles, to_units
from backspike.compile.schedule import Task
from backspike.compile.weight_image import connection_rows, connection_tensor, diagonal_rows
from backspike.drive.port import Port
from backspike.gen.core.control.counters import COUNTERS, WORDS
from backspike.gen.core.engines import FORWARD, KINDS, UPDATE
from backspike.gen.core.faults import FAULT_TEXT, Fault
from backspike.gen.core.layout import DESCRIPTOR_WORDS, RECORD_WORDS, TASK
from backspike.gen.core.map import ANY_SIZES, IDENT, VERSION, option, options_of
from backspike.gen.machine import DEPTH
from backspike.gen.memory.window import words_of
from backspike.ir.connection import Identity
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.ir.half_bits import half_bits

BYTES = 4
Arrays = Mapping[str, np.ndarray]


def task_word(task: Task) -> int:
    """A task as its queue holds it."""
    fields = {
        **{f"wait_{name}": count for name, count in task.waits.items()},
        **{name: int(getattr(task, name))
           for name in ("layer", "tile", "place", "keep", "step", "loop", "again")},
    }  # fmt: skip
    return TASK.const(fields).as_bits()


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
            | {name: port.read(name) for name in ANY_SIZES}
            | options_of(port.read("options"))
        )
        self.load_plan()

    def load_plan(self) -> None:
        """Write descriptors, tasks, weights that are constant, and the batch's shape."""
        plan, lanes = self.plan, self.shape.lanes
        for name in ENGINES:
            found, kind = plan.descriptors[name], KINDS[name].on(plan.machine)
            for n, values in enumerate(found.layers.values()):
                words = [values[field] for field in kind.fields]
                self._write(f"layers_{name}", n * DESCRIPTOR_WORDS, words)
            behind = plan.machine.layers * DESCRIPTOR_WORDS
            for n, values in enumerate(found.records):
                words = [values[field] for field in kind.record_fields]
                self._write(f"layers_{name}", behind + n * RECORD_WORDS, words)
            tasks = [task_word(task) for task in plan.queues[name].tasks]
            words = [word >> 32 * k & 0xFFFF_FFFF for word in tasks for k in range(2)]
            self._write(f"tasks_{name}", 0, words)
        words = [row >> 32 * k & 0xFFFF_FFFF for row in plan.windows for k in range(2)]
        if words:
            self._write("windows", 0, words)
        scales = {
            plan.connections[c.name].weights: half_bits(c.kind.scale)
            for c in plan.graph.connections
            if isinstance(c.kind, Identity)
        }
        if plan.places.identity is not None:
            scales[plan.places.identity] = half_bits(1.0)
        for block, scale in scales.items():
            rows = diagonal_rows(scale, lanes)
            self._write("weights", block * self.block, rows.view(np.uint32))
        cut = plan.cut
        self._register("batch", samples=cut.samples, sets=cut.sets)
        self._register("time", steps=cut.steps, last_steps=cut.last_steps, spans=cut.spans)

    def set_plan(self, plan: Plan, populations: Iterable[str]) -> None:
        """A plan that differs from the one before in what neurons of some populations are told
        forward; descriptors of these alone are written."""
        self.plan = plan
        fields, found = FORWARD.on(plan.machine).fields, plan.descriptors[FORWARD.name]
        for name in populations:
            at = found.number(name) * DESCRIPTOR_WORDS
            self._write("layers_fp", at, [found.layers[name][field] for field in fields])

    def set_rate(self, plan: Plan) -> None:
        """A plan that differs from the one before in its rate alone."""
        self.plan = plan
        word = UPDATE.on(plan.machine).fields["rate"].word
        for n, values in enumerate(plan.descriptors[UPDATE.name].layers.values()):
            self._write("layers_wg", n * DESCRIPTOR_WORDS + word, [values["rate"]])

    def write_weights(self, weights: Arrays) -> None:
        """Of each connection that has some, uint16 (K, N)."""
        self._write_rows("weights", weights)

    def read_weights(self) -> dict[str, np.ndarray]:
        """Of each connection that has some, uint16 (K, N)."""
        return self._read_rows("weights", self.plan.graph.shapes)

    def clear_moments(self) -> None:
        """Moments of all weights, if the machine has any, become 0."""
        if self.plan.machine.momentum:
            words = self.plan.machine.weight_rows * self.row
            self._write("moments", 0, np.zeros(words, np.uint32))

    def read_moments(self) -> dict[str, np.ndarray]:
        """Of each connection that is updated, uint16 (K, N)."""
        return self._read_rows("moments", [c.name for c in self.plan.graph.trained])

    def write_moments(self, moments: Arrays) -> None:
        """Of connections that are updated, uint16 (K, N)."""
        self._write_rows("moments", moments)

    def _write_rows(self, window: str, tensors: Arrays) -> None:
        for name, values in tensors.items():
            at = self.plan.connections[name]
            rows = connection_rows(values, at, self.shape.lanes, skewed=window == "weights")
            self._write(window, at.weights * self.block, rows.view(np.uint32))

    def _read_rows(self, window: str, names: Iterable[str]) -> dict[str, np.ndarray]:
        tensors = {}
        for name in names:
            at = self.plan.connections[name]
            words = self._read(window, at.weights * self.block, at.weight_blocks * self.block)
            rows, skewed = words.view(np.uint16), window == "weights"
            tensors[name] = connection_tensor(rows, at, self.shape.lanes, skewed=skewed)
        return tensors

    def write_inputs(self, inputs: Arrays, labels: np.ndarray | None, buffer: int) -> None:
        """A batch's spikes uint8 (B, T, K) of each input, and labels if the core needs them, into
        the memories of `buffer`."""
        machine, batch = self.plan.machine, 0
        for name, spikes in inputs.items():
            at = self.plan.populations[name]
            first = buffer * machine.spike_units + at.base
            words = spike_words(self._to_tiles(at, spikes), self.shape)
            self._write("spikes", first * self.row, words)
            batch = len(spikes)
        if labels is not None:
            first = buffer * machine.readout_units * DEPTH
            self._write("labels", first, label_words(labels, self.shape))
        full, partial = self.plan.cut.extent(batch)
        self._register(f"extent{buffer}", full=full, partial=partial)

    def write_error(self, name: str, error: np.ndarray) -> None:
        """A read-out's error: FP16 as uint16 (B, N) of its last step, or (B, T, N) of every one."""
        at = self.plan.populations[name]
        if at.errors is None:
            assert at.logits is not None
            rows = sample_rows(error, self.shape)
            self._write("logits", at.logits * DEPTH * self.row, rows.view(np.uint32))
            return
        error = self._to_tiles(at, error)
        rows = unit_rows(error, self.shape)
        self._write("gradients", at.errors * DEPTH * self.row, rows.view(np.uint32))
        masks = spike_words((error != 0).astype(np.uint8), self.shape)
        self._write("masks", at.errors * self.row, masks)

    def write_keys(self, keys: Mapping[str, int]) -> None:
        """Keys of stochastic rounding of the connections that are updated, for the next update."""
        word = UPDATE.on(self.plan.machine).fields["key"].word
        for n, name in enumerate(self.plan.descriptors[UPDATE.name].layers):
            self._write("layers_wg", n * DESCRIPTOR_WORDS + word, [keys[connection_of(name)]])

    def read_logits(self, name: str, batch: int) -> np.ndarray:
        """Of a read-out that does not spike: uint16 (B, N), or of every step (B, T, N)."""
        at, cut = self.plan.populations[name], self.plan.cut
        assert at.logits is not None
        units = at.tiles * (cut.blocks if self.plan.every else cut.sets)
        first = at.logits * DEPTH * self.row
        rows = self._read("logits", first, units * DEPTH * self.row).view(np.uint16)
        if self.plan.every:
            return unit_tensor(rows.reshape(units * DEPTH, -1), self.shape, batch, at.size)
        return sample_tensor(rows, self.shape, batch, at.size)

    def read_codes(self, name: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """(spikes, codes) of a population with a neuron model, uint8 (B, T, N)."""
        lanes = words_of(self.shape.lanes * 8)
        tensor = self._units("codes", name, lanes, np.uint8, batch)
        return tensor >> 4, tensor & 15

    def read_gradients(self, name: str, batch: int) -> np.ndarray:
        """uint16 (B, T, N)."""
        return self._units("gradients", name, self.row, np.uint16, batch)

    def run(
        self,
        program: str,
        *,
        forward: int,
        backward: int,
        carry: bool = False,
        take: bool = False,
        keep: bool = False,
        limit: int = 100_000_000,
    ) -> None:
        """Run one of the plan's programs to its end. carry: see `CoreBackend.forward`'s go_on.
        take, keep: of partial sums, which the machine must have; see the map's `buffer`."""
        for name, tasks in self.plan.programs[program].items():
            self._register(f"queue_{name}", begin=tasks.begin, end=tasks.end)
        parts = {"take": int(take), "keep": int(keep)} if take or keep else {}
        self._register("buffer", forward=forward, backward=backward, carry=int(carry), **parts)
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
        special = {
            "depth": DEPTH,
            "gradient_units": machine.gradients,
            "windows": option(machine, "windows"),
        }
        wanted = {name: special.get(name, getattr(machine, name, None)) for name in sizes}
        wrong = [name for name, size in sizes.items() if size != wanted[name]]
        if wrong:
            has, must = (
                ", ".join(f"{name} {side[name]}" for name in wrong) for side in (sizes, wanted)
            )
            raise UserError(f"the core has {has}, must have {must}, as the machine {machine.name}")

    def _units(self, window: str, name: str, words: int, dtype: type, batch: int) -> np.ndarray:
        at = self.plan.populations[name]
        rows = at.tiles * at.pixels * self.plan.cut.blocks * DEPTH
        base = at.gradients if window == "gradients" else at.base
        data = self._read(window, base * DEPTH * words, rows * words)
        neurons = at.size if at.pixels == 1 else at.tiles * at.pixels * self.shape.lanes
        found = unit_tensor(data.view(dtype).reshape(rows, -1), self.shape, batch, neurons)
        return found if at.pixels == 1 else from_tiles(found, at.size, at.pixels, self.shape.lanes)

    def _to_tiles(self, at: PopulationPlace, values: np.ndarray) -> np.ndarray:
        """(..., N) of a population as its units have it: in planes another order, and padding, and
        numbers bit by bit."""
        return to_units(values, at.size, at.pixels, at.bits, self.shape.lanes)

    def _register(self, name: str, **fields: int) -> None:
        self.port.write(name, self.map.register(name).pack(**fields))

    def _write(self, window: str, word: int, words) -> None:
        self.port.write_block(self.map.window(window).base + word * BYTES, words)

    def _read(self, window: str, word: int, words: int) -> np.ndarray:
        return self.port.read_block(self.map.window(window).base + word * BYTES, words)
