"""When each engine works: its tasks' blocks on their way from walk to drain, in cycles.

What is modelled is what may wait: for tokens, for the walk, for tiles one before the other, for
vectors, for room in the queue of headers and in the buffer of sums, and for the drain. Numbers are
the components' own.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from backspike.compile.compiler import Plan
from backspike.compile.drain import UNITS, pipeline_cycles, waits
from backspike.compile.loads import Loads, Sum
from backspike.compile.schedule import Task
from backspike.gen.core.engine import HEADERS
from backspike.gen.core.engines import BACKWARD, FORWARD, KINDS, UPDATE
from backspike.gen.core.shared.events import AHEAD, MARGIN
from backspike.gen.core.shared.lane import PART
from backspike.gen.core.shared.sum_buffer import BLOCKS
from backspike.gen.core.shared.window import READ_CYCLES
from backspike.gen.core.update.row_sequencer import phases
from backspike.gen.memory.rows import READ_LATENCY
from backspike.gen.numerics.half_product import HalfProduct
from backspike.gen.numerics.half_to_fixed import HalfToFixed
from backspike.ir.constants import ENGINES, ceil_div

FETCH = READ_LATENCY + 1
"""Cycles from a task's address to the check of its tokens."""
TO_SCAN = 4
"""Cycles from a step of the walk to its tile in the scanner: a queue, a read, a register."""
IN_PIPE = 4
"""Steps between the walk and the scanner: two in the queue, two in the read's registers."""
TO_EVENT = {FORWARD.name: 10, BACKWARD.name: 10, UPDATE.name: 9}
"""Cycles from a tile in the scanner to its first event with its vector."""
TO_EMPTY = {FORWARD.name: 5, BACKWARD.name: 8, UPDATE.name: 5}
"""Likewise to an event without one, that ends a sum whose last tile is empty."""


@dataclass
class Step:
    """A task to do, in a loop once for each span."""

    task: Task
    span: int | None
    counts: bool  # it is complete when it is done


def steps_of(plan: Plan, engine: str, program: str) -> list[Step]:
    """A program's tasks in the order in which the queue issues them."""
    begin, end = plan.programs[program][engine]
    tasks = plan.queues[engine].tasks[begin:end]
    found: list[Step] = []
    n = 0
    while n < len(tasks):
        if not tasks[n].loop:
            found.append(Step(tasks[n], 0 if tasks[n].step else None, True))
            n += 1
            continue
        over = next(k for k in range(n, len(tasks)) if tasks[k].again) + 1
        spans = plan.cut.spans
        found += [
            Step(task, span, span == spans - 1) for span in range(spans) for task in tasks[n:over]
        ]
        n = over
    return found


class EngineTime:
    """One engine in a run: when its tasks are issued and done, and how long it is busy.

    busy: cycles by layer's name. completed: cycles in which its tasks are complete, in order.
    """

    def __init__(self, plan: Plan, engine: str, loads: Loads):
        self.plan, self.engine, self.loads = plan, engine, loads
        self.busy: dict[str, float] = {}
        self.completed: list[float] = []
        machine = plan.machine
        kind = KINDS[engine].on(machine)
        self._names = list(plan.descriptors[engine].layers)
        self._configs = list(plan.descriptors[engine].layers.values())
        self._reuse = getattr(machine, f"{engine}_reuse")
        term = HalfProduct if kind.product else HalfToFixed
        self._to_start = term.latency + ceil_div(kind.sum_width(machine), PART)
        self._to_done = pipeline_cycles(machine, engine)
        self._fetched = 0.0
        self._layer = -1
        self._idle = 0.0  # the walk, from this cycle on
        self._done = -1.0  # of the last task
        self._scanned: deque[float] = deque([-1e9] * IN_PIPE, IN_PIPE)  # tiles that left the pipe
        self._picked = -1e9  # the last tile's last line
        self._event = -1e9  # the last one
        self._lines = 0.0
        self._queued: deque[tuple[float, float]] = deque()  # (lines, when their events are over)
        self._released = -1e9  # the last that left `_queued`
        self._starts: deque[float] = deque([-1e9] * HEADERS, HEADERS)  # of drains
        self._drained: deque[float] = deque([-1e9] * (BLOCKS - 1), BLOCKS - 1)
        self._pass = -1e9  # the last one's first slot

    def do(self, step: Step, tokens: float) -> None:
        """A task whose tokens are there in that cycle."""
        task = step.task
        at = self._fetched + FETCH
        if task.layer != self._layer or task.loop:
            at = max(at, self._done + 1)
        if task.layer != self._layer:  # it is loaded while the task waits for its tokens
            at += self._load_cycles(task.layer)
            self._layer = task.layer
        issue = max(max(at, tokens) + 1, self._idle)
        self._fetched = issue + 1
        name = self._names[task.layer]
        walk = self._walk_update if self.engine == UPDATE.name else self._walk_neurons
        done = walk(issue, name, task, step.span)
        self.busy[name] = self.busy.get(name, 0.0) + done - max(issue, self._done)
        self._done = done
        if step.counts:
            self.completed.append(done)

    def _load_cycles(self, layer: int) -> int:
        kind, config = KINDS[self.engine].on(self.plan.machine), self._configs[layer]
        words = len(kind.fields)
        if any(config[name] for name in kind.bare):
            words -= len(kind.table) - READ_LATENCY - 1
        return words + len(kind.record_fields) * config.get("connections", 0) + READ_LATENCY + 2

    def _walk_neurons(self, issue: float, name: str, task: Task, span: int | None) -> float:
        config = self._configs[self._layer]
        loss = bool(config.get("loss"))
        at = issue + self._preparing(1 if loss else config["connections"])
        end = at
        for each in self.loads.sums(self.engine, name, task.tile, span):
            header = max(at + each.finding, self._starts[0] + 1)
            at = header + 1
            if loss:
                start = max(header + 1, self._drained[-1])
            else:
                at, ended = self._scan(at, each)
                start = self._end_block(ended)
            end = self._drain(start, each, config)
        self._idle = at
        return end + self._to_done

    def _preparing(self, connections: int) -> int:
        """Cycles from a task to its first header, or pixel."""
        if self.plan.machine.windows:
            return 1 + (2 + READ_CYCLES + 1) * connections
        return 3 * connections

    def _walk_update(self, issue: float, name: str, task: Task, span: int | None) -> float:
        at = issue + 3 + (READ_CYCLES if self.plan.machine.windows else 0)
        end = at
        for each in self.loads.sums(self.engine, name, task.tile, span):
            header = max(at + each.finding, self._starts[0] + 1)
            at, ended = self._scan(header + 1, each)
            start = self._end_block(ended)
            self._starts.append(start)
            rows = phases(self._reuse) * each.touched
            # Phases never stop: a drain that has rested waits for the first.
            rested = start > self._drained[-1]
            end = start + (rows + 0.5 * (phases(self._reuse) - 1) * rested if rows else 1)
            self._drained.append(end)
        self._idle = at
        return end + self._to_done

    def _scan(self, at: float, each: Sum) -> tuple[float, float]:
        """From the first step's cycle: (the cycle after the last step, that of the last event)."""
        to_event, to_empty = TO_EVENT[self.engine], TO_EMPTY[self.engine]
        event = self._event
        for n, connection in enumerate(each.tiles):
            at += n > 0
            for tile in connection:
                step = max(at + tile.reads - 1, self._scanned[0])
                at = step + 1
                there = max(step + TO_SCAN, self._scanned[-1] + 1)
                if tile.lines <= 0:
                    self._scanned.append(there)
                    continue
                move = max(there, self._picked)
                self._scanned.append(move)
                self._lines += tile.lines
                picked = max(move + tile.lines, self._room())
                self._picked = picked
                ready = move + to_event - (to_event - to_empty) * tile.empty
                event = max(event, ready - 1) + max(tile.events, tile.lines)
                self._queued.append((self._lines, event))
        self._event = event
        return at, event

    def _room(self) -> float:
        """When there is room for the last line: those long before it have become events."""
        while self._queued and self._queued[0][0] <= self._lines - (AHEAD - MARGIN):
            self._released = self._queued.popleft()[1]
        return self._released

    def _end_block(self, ended: float) -> float:
        """Its last event waits for room in the buffer; when its drain may start."""
        self._event = max(ended, self._drained[0] + 1)
        return max(self._event + self._to_start, self._drained[-1])

    def _drain(self, start: float, each: Sum, config: Mapping[str, int]) -> float:
        """The cycle of the last slot."""
        self._starts.append(start)
        samples = self.plan.cut.samples
        if waits(self.engine, config):
            recurrence = UNITS[self.engine].recurrence
            each_pass = samples * self._reuse
            first = start + 1 if each.opens else max(start + 1, self._pass + recurrence)
            passes = each.steps * (1 + config["current"])
            self._pass = first + (passes - 1) * max(each_pass, recurrence)
            end = self._pass + each_pass
        else:
            entries = samples * each.steps
            touched = entries if config["loss"] else min(each.touched, entries)
            end = start + 1 + touched * self._reuse + (entries - touched)
        self._drained.append(end)
        return end


def run(plan: Plan, program: str, loads: Loads) -> dict[str, EngineTime]:
    """All engines of one program's run."""
    engines = {name: EngineTime(plan, name, loads) for name in ENGINES}
    left = {name: deque(steps_of(plan, name, program)) for name in ENGINES}
    while any(left.values()):
        moved = False
        for name, steps in left.items():
            while steps and (tokens := _tokens(steps[0].task, engines)) is not None:
                engines[name].do(steps.popleft(), tokens)
                moved = True
        if not moved:
            raise RuntimeError(f"program {program!r} waits for ever")
    return engines


def _tokens(task: Task, engines: Mapping[str, EngineTime]) -> float | None:
    """The cycle in which all that a task waits for is complete; None if that is not known yet."""
    at = 0.0
    for name, count in task.waits.items():
        if len(engines[name].completed) < count:
            return None
        if count:
            at = max(at, engines[name].completed[count - 1] + 1)
    return at
