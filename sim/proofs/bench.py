"""A bench for proofs: components whose inputs are arbitrary, and what is claimed of them."""

import sys
from collections.abc import Iterator

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.hdl._ast import Assign, Switch
from amaranth.lib import wiring


def _driven(statements) -> Iterator[Signal]:
    """Signals that are assigned to, in the statements of a module that is not elaborated yet."""
    for statement in statements:
        if isinstance(statement, Switch):
            for _, inner, _ in statement.cases:
                yield from _driven(inner)
        elif isinstance(statement, Assign):
            yield from statement.lhs._lhs_signals()


class Inside:
    """A component, taken apart so that a proof may name its registers and parts.

    Proofs speak of ports. Induction, however, begins in any state that they allow, and to exclude
    those that cannot be reached a proof sometimes has to say how the registers belong together.
    """

    def __init__(self, component):
        self.component = component
        self._variables = {}
        code = type(component).elaborate.__code__

        def note(frame, event, _):
            if event == "return" and frame.f_code is code:
                self._variables.update(frame.f_locals)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            self.module = component.elaborate(None)
        finally:
            sys.setprofile(before)
        component.elaborate = lambda platform: self.module

    def __getitem__(self, name: str):
        """The variable of `elaborate` of that name; or the signal that the component drives.

        KeyError if there is none, or several signals.
        """
        if name in self._variables:
            return self._variables[name]
        self.module._flush()  # to elaborate it would elaborate its memories, which spies still need
        found = [
            signal
            for statements in self.module._statements.values()
            for signal in _driven(statements)
            if signal.name == name
        ]
        if len({id(signal) for signal in found}) != 1:
            raise KeyError(f"{type(self.component).__name__} drives no signal {name!r}, or several")
        return found[0]

    def state(self, *names: str) -> Value:
        """Whether its state machine is in one of the states; KeyError if there is none."""
        machine = self.module._generated["fsm"]
        return Cat(machine.state == machine.encoding[name] for name in names).any()

    def part(self, name: str) -> "Inside":
        """A submodule."""
        return Inside(self.module.submodules[name])


class Spy:
    """What lies in an Amaranth `SyncFIFO`, which is `inside`: the word at a place from its exit."""

    def __init__(self, bench: "Bench", inside: Inside):
        self.level, self.depth = inside.component.level, inside.component.depth
        self._bench, self._inside = bench, inside
        consume, produce = inside["consume"], inside["produce"]
        ahead = Mux(produce < consume, self.depth, 0) + produce - consume
        bench.always((produce < self.depth) & (consume < self.depth) & (self.level <= self.depth))
        bench.always((ahead == self.level) | ((ahead == 0) & (self.level == self.depth)))

    def word(self, place) -> Value:
        """The word that `place` others leave before."""
        port = self._inside.module.submodules.storage.read_port(domain="comb")
        there = self._inside["consume"] + place
        self._bench.module.d.comb += port.addr.eq(
            Mux(there >= self.depth, there - self.depth, there)
        )
        return Value.cast(port.data)


class MemorySpy:
    """What lies in a `RowMemory` with one reader, which is `inside`, and in its first register."""

    def __init__(self, bench: "Bench", inside: Inside):
        self._bench, self._memory = bench, inside.module.submodules.copy0
        self.register = Value.cast(self._memory.read_ports[0].data)

    def word(self, address) -> Value:
        port = self._memory.read_port(domain="comb")
        self._bench.module.d.comb += port.addr.eq(address)
        return Value.cast(port.data)


class Bench:
    """Assembles a proof's design.

    All inputs of `device`s are arbitrary in every cycle unless `given` says otherwise, the reset
    too; what a bench counts for itself is reset together with the devices.
    """

    def __init__(self):
        self.module = Module()
        self._ports: dict = {}
        self._names = 0

    def free(self, signal: Value) -> Value:
        """Make an undriven signal arbitrary in every cycle."""
        self._ports[f"free{len(self._ports)}"] = (Value.cast(signal), None)
        return signal

    def constant(self, shape, name: str) -> Signal:
        """An arbitrary value that never changes, not even by a reset."""
        value = Signal(shape, name=name)
        self.free(value)
        before = Signal(shape, reset_less=True, name=f"{name}_before")
        begun = Signal(reset_less=True, name=f"{name}_begun")
        self.module.d.sync += [before.eq(value), begun.eq(1)]
        self.given(~begun | (Value.cast(before) == value))
        return value

    def device(self, component, name: str = "device", *, wired: tuple[str, ...] = ()) -> Inside:
        """Add a component. Its inputs are arbitrary, except for those in `wired`."""
        inside = Inside(component)
        self.module.submodules[name] = component
        for path, member, value in component.signature.flatten(component):
            if member.flow == wiring.In and path[0] not in wired:
                self.free(value)
        return inside

    def always(self, test) -> None:
        """Claim: it holds in every cycle."""
        self.module.d.comb += Assert(test, src_loc_at=1)

    def given(self, test) -> None:
        """Assume it of every cycle."""
        self.module.d.comb += Assume(test, src_loc_at=1)

    def possible(self, test) -> None:
        """Claim: a cycle can come in which it holds (so that what is proved is not empty)."""
        self.module.d.comb += Cover(test, src_loc_at=1)

    def past(self, value, name: str) -> Signal:
        """The value a cycle ago; 0 after a reset."""
        before = Signal.like(Value.cast(value), name=name)
        self.module.d.sync += before.eq(value)
        return before

    def kept(self, stream, *, given: bool = False) -> None:
        """A stream's rule, see `stands`; claimed, or `given`."""
        self.stands(stream.valid, stream.ready, stream.payload, given=given)

    def stands(self, valid, ready, payload, *, given: bool = False) -> None:
        """What is offered and not taken is offered again, unchanged."""
        self._names += 1
        payload = Value.cast(payload)
        waits = self.past(valid & ~ready, f"waits{self._names}")
        before = self.past(payload, f"payload{self._names}")
        (self.given if given else self.always)(~waits | (valid & (payload == before)))

    def count(self, up, down, most: int, name: str) -> Signal:
        """How often `up` was true less how often `down` was; at most `most`, never below 0.

        That it stays within is claimed, too.
        """
        total = Signal(range(most + 2), name=name)
        self.module.d.sync += total.eq(total + up - down)
        self.always((total <= most) & ((total != 0) | ~Value.cast(down).any()))
        return total

    def text(self) -> str:
        """The design as Yosys reads it."""
        return rtlil.convert(self.module, name="top", ports=self._ports)
