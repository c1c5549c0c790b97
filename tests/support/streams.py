"""Inside a cocotb simulation: a clock, and agents that drive and watch streams and memories.

Everything happens twice a cycle: agents drive inputs after the clock's edge, and look at the
settled signals before the next one. So a handshake is known before it happens, and combinational
paths from one port to another do no harm.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from amaranth.hdl import Shape, ShapeCastable
from amaranth.lib import data
from cocotb.triggers import Timer


class Packed:
    """A layout as a plain integer: `pack(name=value)` (the rest 0) and `unpack(bits)`.

    Fields that are layouts themselves are dictionaries, arrays lists.
    """

    def __init__(self, layout: data.Layout):
        self.width = layout.size
        self._array = isinstance(layout, data.ArrayLayout)
        self._fields = {}
        fields: Any = layout  # iterates over (name, field)
        for name, field in fields:
            shape = field.shape
            inner = Packed(shape) if isinstance(shape, data.Layout) else None
            signed = inner is None and Shape.cast(shape).signed  # pyright: ignore[reportArgumentType]
            self._fields[name] = (field.offset, (1 << field.width) - 1, inner, signed)

    def pack(self, values: Mapping | list | None = None, **fields: Any) -> int:
        """The bits of these fields; ValueError if a number does not fit, KeyError if unknown."""
        given = (
            dict(enumerate(values)) if isinstance(values, list) else {**(values or {}), **fields}
        )
        bits = 0
        for name, value in given.items():
            offset, mask, inner, signed = self._fields[name]
            number = inner.pack(value) if inner and not isinstance(value, int) else int(value)
            low, high = (-(mask + 1) // 2, mask // 2) if signed else (0, mask)
            if not low <= number <= high:
                raise ValueError(f"{name} is {number}, must be {low} to {high}")
            bits |= (number & mask) << offset
        return bits

    def unpack(self, bits: int) -> Any:
        """The fields in `bits`."""
        found = {}
        for name, (offset, mask, inner, signed) in self._fields.items():
            number = bits >> offset & mask
            if inner:
                number = inner.unpack(number)
            elif signed and number > mask >> 1:
                number -= mask + 1
            found[name] = number
        return list(found.values()) if self._array else found


def packed(shape: ShapeCastable | data.Layout) -> Packed:
    """`Packed` of a layout or of a struct class."""
    if not isinstance(shape, data.Layout):
        shape = data.Layout.cast(shape)
    return Packed(shape)


class Agent(Protocol):
    """What takes part in every cycle."""

    def drive(self) -> None:
        """Set inputs of the design, right after the clock's edge."""
        ...

    def sample(self) -> None:
        """Look at settled signals, right before the clock's edge."""
        ...


class Responder(Protocol):
    """What answers within a cycle, as combinational logic does."""

    def respond(self) -> None:
        """Set inputs by settled outputs that do not depend on them."""
        ...


class Bench:
    """A design under test, its clock and its agents; prints its seed.

    `cycle` is the number of the cycle that is under way.
    """

    def __init__(self, dut, seed: int):
        self.dut = dut
        self.rng = random.Random(seed)
        self.cycle = 0
        self.agents: list[Agent] = []
        self.responders: list[Responder] = []
        print(f"seed {seed}")

    def add(self, agent):
        """Lets an agent take part from the next cycle on; returns it."""
        self.agents.append(agent)
        return agent

    def source(self, name: str, shape=None, stall: float = 0.0) -> "Source":
        """Drives the stream port `name`."""
        return self.add(Source(self, name, shape, stall))

    def sink(self, name: str, shape=None, stall: float = 0.0) -> "Sink":
        """Takes from the stream port `name`."""
        return self.add(Sink(self, name, shape, stall))

    async def tick(self, cycles: int = 1) -> None:
        """Runs so many cycles."""
        clk = self.dut.clk
        for _ in range(cycles):
            for agent in self.agents:
                agent.drive()
            clk.value = 0
            await Timer(1, "ns")
            if self.responders:
                for agent in self.responders:
                    agent.respond()
                await Timer(1, "ns")
            for agent in self.agents:
                agent.sample()
            clk.value = 1
            await Timer(1, "ns")
            self.cycle += 1

    async def reset(self) -> None:
        """Two cycles of reset, in which no agent takes part."""
        agents, self.agents = self.agents, []
        responders, self.responders = self.responders, []
        self.dut.rst.value = 1
        await self.tick(2)
        self.dut.rst.value = 0
        self.agents, self.responders = agents, responders

    async def until(self, condition: Callable[[], object], limit: int = 20_000) -> int:
        """Runs until `condition` holds; AssertionError after `limit` cycles. Returns the cycles."""
        begin = self.cycle
        while not condition():
            assert self.cycle - begin < limit, f"nothing after {limit} cycles"
            await self.tick()
        return self.cycle - begin


class Source:
    """Sends `queue`'s payloads (integers, or fields if there is a layout), stalling at random.

    While nothing is valid the payload is noise. `sent` holds the cycles of the transfers.
    """

    def __init__(self, bench: Bench, name: str, shape, stall: float):
        self._bench, self._stall = bench, stall
        self._shape = packed(shape) if shape is not None else None
        self._valid = getattr(bench.dut, f"{name}__valid")
        self._ready = getattr(bench.dut, f"{name}__ready")
        self._payload = getattr(bench.dut, f"{name}__payload")
        self._width = len(self._payload)
        self._offered = False
        self.queue: deque = deque()
        self.sent: list[int] = []

    def drive(self) -> None:
        if self._offered:
            return
        rng = self._bench.rng
        if self.queue and not rng.random() < self._stall:
            value = self.queue[0]
            bits = (
                value if self._shape is None or isinstance(value, int) else self._shape.pack(value)
            )
            self._payload.value = bits
            self._valid.value = 1
            self._offered = True
        else:
            self._payload.value = rng.getrandbits(self._width)
            self._valid.value = 0

    def sample(self) -> None:
        if self._offered and int(self._ready.value):
            self.queue.popleft()
            self.sent.append(self._bench.cycle)
            self._offered = False


class Sink:
    """Takes payloads into `got`, and their cycles into `cycles`, stalling at random.

    What is valid must stay, unchanged, until it is taken.
    """

    def __init__(self, bench: Bench, name: str, shape, stall: float):
        self._bench, self._name = bench, name
        self.stall = stall
        self._shape = packed(shape) if shape is not None else None
        self._valid = getattr(bench.dut, f"{name}__valid")
        self._ready = getattr(bench.dut, f"{name}__ready")
        self._payload = getattr(bench.dut, f"{name}__payload")
        self._before: int | None = None
        self._open = False
        self.got: list = []
        self.cycles: list[int] = []

    def drive(self) -> None:
        self._open = not self._bench.rng.random() < self.stall
        self._ready.value = self._open

    def sample(self) -> None:
        now = int(self._payload.value) if int(self._valid.value) else None
        if self._before is not None:
            assert now == self._before, f"{self._name} was {self._before:#x}, is {now}"
        self._before = None if self._open else now
        if self._open and now is not None:
            self.got.append(now if self._shape is None else self._shape.unpack(now))
            self.cycles.append(self._bench.cycle)


class Memory:
    """Answers a read port: `data` comes `latency` cycles after `address`, noise if not granted.

    read(address) gives the row. address, data: handles. request, if there is one: (valid, grant,
    refuse): in a cycle in which it is not granted, which happens with probability `refuse`.
    `reads` counts the rows that were read.
    """

    def __init__(
        self,
        bench: Bench,
        address,
        data,
        read: Callable[[int], int],
        latency: int,
        request: tuple | None = None,
    ):
        self._bench, self._address, self._data, self._read = bench, address, data, read
        self._request = request
        self._width = len(data)
        self._rows: deque = deque([0] * latency, maxlen=latency)
        self._granted = True
        self.reads = 0

    def drive(self) -> None:
        self._data.value = self._rows[0]
        if self._request:
            self._granted = self._bench.rng.random() >= self._request[2]
            self._request[1].value = self._granted

    def sample(self) -> None:
        if self._request and not (self._granted and int(self._request[0].value)):
            self._rows.append(self._bench.rng.getrandbits(self._width))
        else:
            self.reads += 1
            self._rows.append(self._read(int(self._address.value)))


class StallingMemory:
    """Answers a read port whose two registers move on as its two bits of `en` say.

    address, en, data: handles; read(address) gives the row.
    """

    def __init__(self, bench: Bench, address, en, data, read: Callable[[int], int]):
        self._address, self._en, self._data, self._read = address, en, data, read
        self._rows = [bench.rng.getrandbits(len(data)) for _ in range(2)]

    def drive(self) -> None:
        self._data.value = self._rows[1]

    def sample(self) -> None:
        enabled = int(self._en.value)
        if enabled & 2:
            self._rows[1] = self._rows[0]
        if enabled & 1:
            self._rows[0] = self._read(int(self._address.value))


class Writes:
    """Watches a write port `name` (en, addr, data): `rows` by address, `log` of (cycle, address).

    A later write replaces an earlier one.
    """

    def __init__(self, bench: Bench, name: str):
        self._bench = bench
        self._en, self._addr, self._data = (
            getattr(bench.dut, f"{name}__{part}") for part in ("en", "addr", "data")
        )
        self.rows: dict[int, int] = {}
        self.log: list[tuple[int, int]] = []

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        if int(self._en.value):
            address = int(self._addr.value)
            self.rows[address] = int(self._data.value)
            self.log.append((self._bench.cycle, address))


class Pulses:
    """Watches one-bit outputs: `cycles[name]` lists the cycles in which each was high."""

    def __init__(self, bench: Bench, *names: str):
        self._bench = bench
        self._handles = {name: getattr(bench.dut, name) for name in names}
        self.cycles: dict[str, list[int]] = {name: [] for name in names}

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        for name, handle in self._handles.items():
            if int(handle.value):
                self.cycles[name].append(self._bench.cycle)
