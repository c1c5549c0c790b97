"""Pipelines by cycle numbers: a value is put where it exists, and taken where it is needed."""

from typing import Any

from amaranth.hdl import Module, Signal, Value, ValueLike


class Pipeline:
    """The values of a pipeline, each with the cycle in which it exists.

    Delay registers are made when a value is first needed in a later cycle, and shared by all who
    need it. So nobody counts registers: whoever changes a latency changes one number, and whoever
    asks too early is told.

    Cycles are numbers from any common start; they may be negative. Registers are named after the
    cycle in which they hold their value (`slot_3`). They have no reset, unless `put` asks for it
    (of plain values, not structs).

    Parameters: m: takes the registers; enable: the pipeline moves only in cycles in which this is
    high (always unless given).

    Errors: ValueError for a value that is needed before it exists, is put twice or not at all, and
    for registers made under a condition (in `m.If`), which would hold them.
    """

    def __init__(self, m: Module, *, enable: ValueLike | None = None):
        self._m, self._enable = m, enable
        self._values: dict[str, dict[int, Any]] = {}
        self._reset: set[str] = set()

    def put(self, name: str, value: Any, *, at: int, reset: bool = False) -> Any:
        """`value` exists in cycle `at`. reset: a reset clears it on its way. Returns the value."""
        if name in self._values:
            raise ValueError(f"{name} is put twice, must be put once")
        self._values[name] = {at: value}
        if reset:
            self._reset.add(name)
        return value

    def register(self, name: str, value: Any, *, at: int) -> Any:
        """Puts a register at cycle `at` that takes `value`, which exists the cycle before."""
        return self.put(name, self._register(f"{name}_{at}", value), at=at)

    def wire(self, name: str, value: ValueLike, *, at: int) -> Signal:
        """Puts a name to what is worked out in cycle `at`: an expression that is used several times
        would be written each time."""
        signal = Signal(Value.cast(value).shape(), name=name)
        self._m.d.comb += signal.eq(value)
        return self.put(name, signal, at=at)

    def get(self, name: str, *, at: int) -> Any:
        """The value of that name as it is in cycle `at`."""
        if name not in self._values:
            raise ValueError(f"{name} is needed in cycle {at}, must be put before that")
        values = self._values[name]
        first, latest = min(values), max(values)
        if at < first:
            raise ValueError(f"{name} is needed in cycle {at}, must be {first} or later")
        for cycle in range(latest + 1, at + 1):
            before = values[cycle - 1]
            values[cycle] = self._register(f"{name}_{cycle}", before, name not in self._reset)
        return values[at]

    def _register(self, name: str, value: Any, reset_less: bool = True) -> Any:
        if self._m.domain._depth:
            raise ValueError(f"{name} is made under a condition, must be made outside of it")
        if reset_less:
            register = Signal.like(value, name=name, reset_less=True)
        else:  # cleared, whatever the value starts with
            register = Signal(Value.cast(value).shape(), name=name)
        if self._enable is None:
            self._m.d.sync += register.eq(value)
        else:
            with self._m.If(self._enable):
                self._m.d.sync += register.eq(value)
        return register
