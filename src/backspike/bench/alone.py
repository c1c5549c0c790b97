"""One engine running alone: programs of its own, and the counters of its run."""

from dataclasses import dataclass, replace

from backspike.compile.compiler import Plan
from backspike.compile.drain import drain_slots
from backspike.compile.schedule import Queue, Range
from backspike.drive.rtl_backend import RTLBackend
from backspike.ir.constants import ENGINES

STALLS = ("vector", "drain")
"""Counters of cycles in which the lanes wait with an event in hand."""


@dataclass(frozen=True)
class Run:
    """One engine's run on one layer: cycles from the doorbell to the end, and its counters.

    layer: a population, or for wg a connection. drain: see `drain_slots`.
    """

    engine: str
    layer: str
    cycles: int
    busy: int
    bound: int
    drain: int
    events: int
    stalls: dict[str, int]

    @property
    def ratio(self) -> float:
        """busy / bound; a run without anything to add has none (ZeroDivisionError)."""
        return self.busy / self.bound

    @property
    def ratio_with_drain(self) -> float:
        """busy / the larger of bound and drain slots."""
        return self.busy / max(self.bound, self.drain)

    def why(self) -> str:
        """What its busy cycles were: each adds an event, is a stall of known cause, or finds no
        event."""
        rest = self.busy - self.events - sum(self.stalls.values())
        parts = [f"{count:,} stalled by {name}" for name, count in self.stalls.items() if count]
        return ", ".join([f"{self.events:,} with events", *parts, f"{rest:,} without"])


def alone(engine: str, layer: str) -> str:
    """Name of the program in which only `engine` works, and only on `layer`."""
    return f"{engine} {layer}"


def alone_plan(plan: Plan) -> Plan:
    """`plan` with a program more for each engine and layer: `alone(engine, layer)`.

    Its tasks wait for nothing, since no other engine runs; what they read must be in the memories
    from programs run before. The programs that `plan` has stay. The added tasks are a queue's
    last; ValueError if they do not fit the task memory.
    """
    queues = dict(plan.queues)
    programs = dict(plan.programs)
    nothing = dict.fromkeys(ENGINES, Range(0, 0))
    for engine in ENGINES:
        tasks = plan.queues[engine].tasks
        first = plan.programs["forward" if engine == "fp" else "update"][engine]
        own = [replace(task, waits={}) for task in tasks[first.begin : first.end]]
        added = []
        for number, layer in enumerate(plan.descriptors[engine].layers):
            begin = len(tasks) + len(added)
            added += [task for task in own if task.layer == number]
            ours = {engine: Range(begin, len(tasks) + len(added))}
            programs[alone(engine, layer)] = nothing | ours
        queues[engine] = Queue((*tasks, *added))
        if len(queues[engine].tasks) > plan.machine.tasks:
            raise ValueError(
                f"engine {engine} has {len(queues[engine].tasks)} tasks, must have up to "
                f"{plan.machine.tasks}"
            )
    return replace(plan, queues=queues, programs=programs)


class AloneCore(RTLBackend):
    """The RTL with one engine working at a time, on a layer at a time.

    The plan has no circles, whose populations take turns. runs: what was counted, in order.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(alone_plan(plan))
        self.runs: list[Run] = []

    def _run(self, program: str, *, forward: int, backward: int, carry: bool) -> None:
        """A program's engines one after the other: errors before weights, weights before spikes."""
        ranges = self.plan.programs[program]
        for engine in ("bp", "wg", "fp"):
            tasks = self.plan.queues[engine].tasks[ranges[engine].begin : ranges[engine].end]
            names = list(self.plan.descriptors[engine].layers)
            for layer in dict.fromkeys(names[task.layer] for task in tasks):
                self.driver.run(
                    alone(engine, layer), forward=forward, backward=backward, carry=carry
                )
                self.runs.append(self._one_run(engine, layer))

    def _one_run(self, engine: str, layer: str) -> Run:
        """Raises RuntimeError if another engine has worked: then the run was not alone."""
        counters = self.driver.counters()
        others = [name for name in ENGINES if name != engine and counters[name]["busy"]]
        if others:
            raise RuntimeError(f"beside engine {engine}, {' and '.join(others)} has worked")
        ours = counters[engine]
        return Run(
            engine=engine,
            layer=layer,
            cycles=counters["total"],
            busy=ours["busy"],
            bound=ours["bound"],
            drain=drain_slots(self.plan, engine, layer),
            events=ours["events"],
            stalls={name: ours[name] for name in STALLS},
        )
