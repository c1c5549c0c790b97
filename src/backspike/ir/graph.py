"""A network as a graph: populations of neurons, and connections between them."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Literal, TypeVar

from backspike.ir.checks import one_of, switch, whole
from backspike.ir.connection import Conv2d, Dense, Identity, Kind
from backspike.ir.errors import UserError
from backspike.ir.neuron import LIF
from backspike.ir.window import Window, conv_window, dense_window

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
Role = Literal["input", "hidden", "readout"]
Node = TypeVar("Node", str, tuple[str, ...])
MAX_BITS = 8
"""Of the numbers of a graded input: a byte."""
MOST = 2**16
"""Sources and targets of weights: stochastic rounding draws from 16 bits of either's number."""


def _name(what: str, value: object) -> None:
    if not (isinstance(value, str) and NAME.fullmatch(value)):
        raise UserError(f"{what} is {value!r}, must be of letters, digits, _ and -, not - first")


@dataclass(frozen=True)
class Population:
    """Neurons of one model. shape: (neurons,) or (channels, rows, columns).

    role: an `input` brings spikes of the user's and has no neuron model. A `hidden` one has one.
    A `readout` has none, and integrates its current without leak: the sum is the logit; or it has
    one, and the number of its spikes is.

    bits: an input may be graded, with whole numbers k of 1 to 8 bits in place of spikes, of the
    value k · 2^-fraction: counts of events (fraction 0), or the same image in every step. fraction:
    0 to 8; the bits unless given, for one bit 0: a spike is 1.
    """

    name: str
    shape: tuple[int, ...]
    neuron: LIF | None = None
    role: Role = "hidden"
    bits: int = 1
    fraction: int | None = None

    def __post_init__(self) -> None:
        _name("a population's name", self.name)
        if not isinstance(self.shape, tuple) or len(self.shape) not in (1, 3):
            raise UserError(
                f"population {self.name} has the shape {self.shape!r}, must have (neurons,) or "
                "(channels, rows, columns)"
            )
        for size in self.shape:
            whole(f"a size of population {self.name}", size)
        one_of(f"the role of population {self.name}", self.role, ("input", "hidden", "readout"))
        if not (self.neuron is None or isinstance(self.neuron, LIF)):
            raise UserError(f"population {self.name} has {self.neuron!r}, must have a neuron model")
        if self.role == "input" and self.neuron is not None:
            raise UserError(f"input {self.name} has a neuron model, must have none")
        if self.role == "hidden" and self.neuron is None:
            raise UserError(f"population {self.name} has no neuron model, must have one")
        self._check_grades()

    def _check_grades(self) -> None:
        given = 0 if self.fraction is None else self.fraction
        for what, value, least in (("bits", self.bits, 1), ("fraction", given, 0)):
            whole_number = isinstance(value, int) and not isinstance(value, bool)
            if not (whole_number and least <= value <= MAX_BITS):
                raise UserError(
                    f"{what} of population {self.name} is {value!r}, must be a whole number from "
                    f"{least} to {MAX_BITS}"
                )
        if self.fraction is None:
            object.__setattr__(self, "fraction", self.bits if self.bits > 1 else 0)
        if self.role != "input" and (self.bits > 1 or self.fraction):
            raise UserError(
                f"population {self.name} has numbers of {self.bits} bits, must have spikes: only "
                "inputs are graded"
            )

    @property
    def size(self) -> int:
        """Neurons."""
        return math.prod(self.shape)

    @property
    def most(self) -> int:
        """The largest number that comes in place of a spike."""
        return 2**self.bits - 1

    @property
    def unit(self) -> float:
        """The value of the number 1."""
        return 2.0 ** -(self.fraction or 0)

    @property
    def graded(self) -> bool:
        """Whether it has numbers in place of spikes."""
        return self.most > 1 or self.unit != 1

    @property
    def spikes(self) -> bool:
        """Whether it has spikes: an input does, and every population with a neuron model."""
        return self.role == "input" or self.neuron is not None


@dataclass(frozen=True, kw_only=True)
class Connection:
    """From a population's spikes to another's current, or to its own.

    delay: 0, or 1 for the spikes of the step before. frozen: its weights are not updated.
    stop_gradient: no error flows back through it.
    """

    name: str
    source: str
    target: str
    kind: Kind
    delay: int = 0
    frozen: bool = False
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        _name("a connection's name", self.name)
        if not isinstance(self.kind, Kind):
            raise UserError(
                f"connection {self.name} is {self.kind!r}, must be a Dense, a Conv2d or an Identity"
            )
        if isinstance(self.kind, Dense) and self.kind.size is not None:
            raise UserError(f"connection {self.name} has {self.kind}, must have none of a size")
        if isinstance(self.kind, Conv2d) and self.kind.channels is not None:
            raise UserError(
                f"connection {self.name} has {self.kind}, must have none of channels: the target "
                "has them"
            )
        if self.delay not in (0, 1) or isinstance(self.delay, bool):
            raise UserError(
                f"the delay of connection {self.name} is {self.delay!r}, must be 0 or 1"
            )
        switch(f"frozen of connection {self.name}", self.frozen)
        switch(f"stop_gradient of connection {self.name}", self.stop_gradient)


@dataclass(frozen=True)
class Graph:
    """Populations and connections; both orders are kept. Errors name what is wrong.

    Connections without delay make no circle. Each population but an input has one that enters it,
    each but a read-out one that leaves it.
    """

    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]

    def __post_init__(self) -> None:
        for what, named in (("population", self.populations), ("connection", self.connections)):
            names = [each.name for each in named]
            if again := next((n for i, n in enumerate(names) if n in names[:i]), None):
                raise UserError(f"{what} {again} is there twice, must have a name of its own")
        for connection in self.connections:
            self._check_ends(connection)
        for population in self.populations:
            self._check_use(population)
        for role in ("input", "readout"):
            if not any(population.role == role for population in self.populations):
                raise UserError(f"a network has no {role}, must have 1 or more")
        _ = self.stages  # refuses circles

    def _check_ends(self, connection: Connection) -> None:
        for end in (connection.source, connection.target):
            if end not in self.by_name:
                raise UserError(
                    f"connection {connection.name} has the end {end!r}, must have two of "
                    + ", ".join(self.by_name)
                )
        source, target = self.by_name[connection.source], self.by_name[connection.target]
        if target.role == "input":
            raise UserError(
                f"connection {connection.name} enters input {target.name}, must enter a population"
            )
        if not source.spikes:
            raise UserError(
                f"connection {connection.name} leaves {source.name}, a read-out that does not "
                "spike, must leave a population that does"
            )
        if isinstance(connection.kind, Identity) and source.shape != target.shape:
            raise UserError(
                f"identity {connection.name} connects {source.name} of shape {source.shape} and "
                f"{target.name} of shape {target.shape}, must connect equal shapes"
            )
        self._check_window(connection, target)

    def _check_window(self, connection: Connection, target: Population) -> None:
        window = self._window(connection)
        if window is None:
            return
        wanted: list[tuple[int, ...]] = [(target.shape[0], *window.pixels)]
        if window.pixels == (1, 1):
            wanted.insert(0, (target.shape[0],))
        if isinstance(connection.kind, Conv2d) and target.shape not in wanted:
            raise UserError(
                f"connection {connection.name} enters {target.name} of shape {target.shape}, must "
                f"enter one of shape {' or '.join(map(str, wanted))}: so its windows fit "
                f"{connection.source} of shape {self.by_name[connection.source].shape}"
            )
        for what, count in zip(("sources", "targets"), window.weights, strict=True):
            if count > MOST:
                raise UserError(
                    f"connection {connection.name} has weights of {count} {what}, must have up to "
                    f"{MOST}"
                )

    def _check_use(self, population: Population) -> None:
        if population.role != "input" and not self.into(population.name):
            raise UserError(f"no connection enters population {population.name}, one must")
        if population.role != "readout" and not self.out_of(population.name):
            raise UserError(f"no connection leaves population {population.name}, one must")

    @cached_property
    def by_name(self) -> dict[str, Population]:
        """Every population."""
        return {population.name: population for population in self.populations}

    def into(self, name: str) -> tuple[Connection, ...]:
        """The connections that enter a population."""
        return tuple(c for c in self.connections if c.target == name)

    def out_of(self, name: str) -> tuple[Connection, ...]:
        """The connections that leave a population."""
        return tuple(c for c in self.connections if c.source == name)

    def _window(self, connection: Connection) -> Window | None:
        source, target = self.by_name[connection.source], self.by_name[connection.target]
        match connection.kind:
            case Dense(bias=bias):
                return dense_window(source.size, target.size, bias)
            case Conv2d() as kind:
                what = f"connection {connection.name} from {source.name}"
                return conv_window(what, kind, source.shape, target.shape[0])
            case Identity():
                return None

    @cached_property
    def windows(self) -> dict[str, Window]:
        """The geometry of each connection that has weights, by its name."""
        found = {connection.name: self._window(connection) for connection in self.connections}
        return {name: window for name, window in found.items() if window is not None}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(K, N) of the weights of each connection that has some, a bias the last row."""
        return {name: window.weights for name, window in self.windows.items()}

    @cached_property
    def learning(self) -> frozenset[str]:
        """The populations that have gradients: errors reach them, and either weights that enter
        them are updated, or such a population comes before them."""

        def reached(names: set[str], ahead: bool) -> set[str]:
            """And all that errors get to from there, or (ahead) come from."""
            front = names
            while front:
                front = {
                    c.target if ahead else c.source
                    for c in self.connections
                    if not c.stop_gradient and (c.source if ahead else c.target) in front
                } - names
                names = names | front
            return names

        readouts = {p.name for p in self.populations if p.role == "readout"}
        updated = {c.target for c in self.connections if c.name in self.shapes and not c.frozen}
        found = reached(readouts, ahead=False) & reached(updated, ahead=True)
        return frozenset(n for n in found if self.by_name[n].role != "input")

    @cached_property
    def trained(self) -> tuple[Connection, ...]:
        """The connections whose weights are updated."""
        return tuple(
            c
            for c in self.connections
            if c.name in self.shapes and not c.frozen and c.target in self.learning
        )

    def errors_into(self, name: str) -> tuple[Connection, ...]:
        """The connections that bring errors to a population that learns."""
        return tuple(
            c for c in self.out_of(name) if not c.stop_gradient and c.target in self.learning
        )

    @cached_property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """Populations in an order in which they can be computed. A stage comes after all stages
        that it depends on, and takes all its steps at once: one population, or several (or one)
        in a circle of delayed connections, which take a step in this order, then the next step.
        """
        order = _order(
            [p.name for p in self.populations],
            [(c.source, c.target) for c in self.connections if not c.delay],
        )
        ahead = {name: self._reached(name) for name in order}
        groups: list[tuple[str, ...]] = []
        for name in order:
            if not any(name in group for group in groups):
                circle = (n for n in order if n in ahead[name] and name in ahead[n])
                groups.append((name, *(n for n in circle if n != name)))
        home = {name: group for group in groups for name in group}
        edges = ((home[c.source], home[c.target]) for c in self.connections)
        return tuple(_order(groups, [(a, b) for a, b in edges if a != b]))

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Graph":
        """The same network, but for the thresholds of some populations, which have neurons."""
        for name in thresholds:
            if name not in self.by_name or self.by_name[name].neuron is None:
                raise UserError(
                    f"a threshold is of {name!r}, must be of a population with a neuron model"
                )
        populations = tuple(
            replace(p, neuron=replace(p.neuron, threshold=thresholds[p.name]))
            if p.neuron is not None and p.name in thresholds
            else p
            for p in self.populations
        )
        return replace(self, populations=populations)

    def _reached(self, name: str) -> set[str]:
        """The populations that one or more connections lead to."""
        found: set[str] = set()
        front = {name}
        while front:
            front = {c.target for n in front for c in self.out_of(n)} - found
            found |= front
        return found


def _order(nodes: Iterable[Node], edges: list[tuple[Node, Node]]) -> list[Node]:
    """Nodes so that every edge leads onwards."""
    sorter: TopologicalSorter[Node] = TopologicalSorter(dict.fromkeys(nodes, ()))
    for source, target in edges:
        sorter.add(target, source)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " -> ".join(map(str, error.args[1]))
        raise UserError(
            f"connections without delay make the circle {circle}, one of them must have delay 1"
        ) from None
