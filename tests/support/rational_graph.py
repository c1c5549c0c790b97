"""A network's batch naively, in Fractions and loops over single numbers: a mirror of the equations
of the design, not of golden's code. Halves are patterns (int), but for `value`s.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from typing import Any, cast

import torch

from backspike.golden.half import from_bits, to_bits
from backspike.ir.connection import Conv2d, Dense
from backspike.ir.graph import Connection, Graph
from backspike.ir.neuron import CubaLIF
from tests.support.rational import nearest, stochastic, value

ZERO = Fraction(0)


def patterns(values: torch.Tensor) -> list:
    """Nested patterns of values that must be halves."""
    bits = to_bits(values)
    assert torch.equal(from_bits(bits), values)
    return bits.tolist()


def taps(graph: Graph, c: Connection) -> list[list[tuple[int, int, int, Fraction]]]:
    """Of each target the (source, row and column of its weight, factor) that its current sums. Of
    an identity row and column are 0, and the factor is its scale. A bias' source is the last."""
    source, target = graph.by_name[c.source], graph.by_name[c.target]
    kind, one = c.kind, Fraction(1)
    if isinstance(kind, Dense):
        rows = range(source.size + kind.bias)
        return [[(k, k, j, one) for k in rows] for j in range(target.size)]
    if not isinstance(kind, Conv2d):
        return [[(j, 0, 0, Fraction(kind.scale))] for j in range(target.size)]
    channels, rows, columns = source.shape
    outputs, height, width = (*target.shape, 1, 1)[:3]
    pool: Any = (rows, columns) if kind.pool == "all" else kind.pool
    (ky, kx), (sy, sx), (ay, ax), (py, px) = cast(
        Any, (kind.kernel, kind.stride, kind.padding, pool)
    )
    factor = Fraction(1, py * px) if kind.average else one
    found = []
    for o, y, x in product(range(outputs), range(height), range(width)):
        terms = []
        for row, (i, dy, dx) in enumerate(product(range(channels), range(ky), range(kx))):
            down, right = y * sy - ay + dy, x * sx - ax + dx  # of the pooled plane
            if 0 <= down < rows // py and 0 <= right < columns // px:
                for qy, qx in product(range(py), range(px)):
                    at = (i * rows + down * py + qy) * columns + right * px + qx
                    terms.append((at, row, o, factor))
        if kind.bias:
            terms.append((source.size, channels * ky * kx, o, one))
        found.append(terms)
    return found


class Rounding:
    """Rounds to values of halves, and remembers whether one of them saturated."""

    def __init__(self) -> None:
        self.saturated = False

    def __call__(self, x: Fraction) -> Fraction:
        return value(self.pattern(x))

    def pattern(self, x: Fraction, random: int | None = None) -> int:
        pattern, saturated = nearest(x) if random is None else stochastic(x, random)
        self.saturated |= saturated
        return pattern


class Batch:
    """Forward on construction; `backward` and `update` are called afterwards.

    weights: {connection: [k][j] patterns}; inputs: {input: [b][t][i]}; last: the batch before, of
    the same samples. Dictionaries by population: spikes and codes [b][t][j], logits and gradients
    [b][t][j] patterns.
    """

    def __init__(self, graph: Graph, weights, inputs, last: "Batch | None" = None):
        self.graph, self.round = graph, Rounding()
        self.taps = {c.name: taps(graph, c) for c in graph.connections}
        self.reached = {c.name: self._reached(c) for c in graph.connections}
        self.weights = {n: [[value(p) for p in row] for row in w] for n, w in weights.items()}
        some = next(iter(inputs.values()))
        self.batch, self.steps = range(len(some)), range(len(some[0]))
        self.spikes: dict = {
            name: [[[Fraction(graph.by_name[name].unit) * k for k in row] for row in x] for x in b]
            for name, b in inputs.items()
        }
        self.before = (
            {} if last is None else {n: [s[-1] for s in x] for n, x in last.spikes.items()}
        )
        self.codes, self.logits, self.gradients, self.state = {}, {}, {}, {}
        for p in graph.populations:
            if p.role == "input":
                continue
            for kept in (self.spikes, self.codes, self.logits):
                kept[p.name] = [[[0] * p.size for _ in self.steps] for _ in self.batch]
            rest = [[(ZERO, ZERO)] * p.size for _ in self.batch]
            self.state[p.name] = rest if last is None else [list(x) for x in last.state[p.name]]
        for b in self.batch:
            for t in self.steps:
                for name in self._order():
                    for j in range(graph.by_name[name].size):
                        self._neuron(name, b, t, j)

    def _order(self) -> list[str]:
        """Each population after the ones whose spikes of the same step it needs."""
        done = [p.name for p in self.graph.populations if p.role == "input"]
        first = len(done)
        while len(done) < len(self.graph.populations):
            done += [
                p.name
                for p in self.graph.populations
                if p.name not in done
                and all(c.source in done for c in self.graph.into(p.name) if not c.delay)
            ]
        return done[first:]

    def source(self, connection, b: int, t: int) -> list[int]:
        """The spikes that a connection brings to a step, and that of a bias, if it has one."""
        size = self.graph.by_name[connection.source].size
        if t >= connection.delay:
            row = list(self.spikes[connection.source][b][t - connection.delay])
        else:
            row = list(self.before[connection.source][b]) if self.before else [0] * size
        return [*row, 1]

    def _reached(self, connection) -> list[list[tuple[int, int, int, Fraction]]]:
        """As `taps`, but of each source, a bias the last, the targets that it reaches."""
        found = [[] for _ in range(self.graph.by_name[connection.source].size + 1)]
        for j, terms in enumerate(self.taps[connection.name]):
            for k, m, n, factor in terms:
                found[k].append((j, m, n, factor))
        return found

    def _weight(self, connection, row: int, column: int) -> Fraction:
        weights = self.weights.get(connection.name)
        return weights[row][column] if weights else Fraction(1)

    def _neuron(self, name: str, b: int, t: int, j: int) -> None:
        neuron = self.graph.by_name[name].neuron
        current = ZERO
        for c in self.graph.into(name):
            row = self.source(c, b, t)
            current += sum(
                (f * row[k] * self._weight(c, m, n) for k, m, n, f in self.taps[c.name][j]), ZERO
            )
        v, i = self.state[name][b][j]
        if neuron is None:
            u = self.round.pattern(current + v)
            self.state[name][b][j] = value(u), ZERO
            self.logits[name][b][t][j] = u
            return
        if isinstance(neuron, CubaLIF):
            i = self.round(current + Fraction(neuron.synapse) * i)
            u = self.round(i + Fraction(neuron.leak) * v)
        else:
            u = self.round(current + Fraction(neuron.leak) * v)
        theta = Fraction(neuron.threshold)
        s = int(u >= theta)
        v = self.round(u - theta * s) if neuron.reset == "soft" else u * (1 - s)
        self.state[name][b][j] = v, i
        self.spikes[name][b][t][j] = s
        self.codes[name][b][t][j] = sum(Fraction(e) <= u - theta for e in neuron.surrogate.edges)
        count = sum(self.spikes[name][b][x][j] for x in range(t + 1))
        self.logits[name][b][t][j] = nearest(Fraction(count))[0]

    def backward(self, errors: Mapping[str, list]) -> None:
        """errors: {read-out: [b][t][j] patterns}. Of all populations, but what saturates counts of
        those that learn only: nobody needs the others' gradients."""
        names = self._order()
        for name in names:
            size = self.graph.by_name[name].size
            self.gradients[name] = [[[0] * size for _ in self.steps] for _ in self.batch]
        for b in self.batch:
            states = {n: [(ZERO, ZERO)] * self.graph.by_name[n].size for n in names}
            for t in reversed(self.steps):
                for name in reversed(names):
                    given = errors.get(name)
                    for j in range(self.graph.by_name[name].size):
                        e = value(given[b][t][j]) if given is not None else ZERO
                        states[name][j] = self._back(name, b, t, j, e, states[name][j])

    def _back(self, name: str, b: int, t: int, j: int, e: Fraction, state):
        neuron = self.graph.by_name[name].neuron
        rounded = self.round if name in self.graph.learning else Rounding()
        for c in self.graph.out_of(name):
            if c.stop_gradient or t + c.delay not in self.steps:
                continue
            row = self.gradients[c.target][b][t + c.delay]
            reached = self.reached[c.name][j]
            e += sum((f * self._weight(c, m, n) * value(row[i]) for i, m, n, f in reached), ZERO)
        g, q = state
        if neuron is None:
            g = rounded(e + g)
            self.gradients[name][b][t][j] = nearest(g)[0]
            return g, ZERO
        s = self.spikes[name][b][t][j]
        h = Fraction(neuron.surrogate.values[self.codes[name][b][t][j]])
        if neuron.rule == "mpd-ed":
            h *= s
        kappa = Fraction(neuron.leak) * (1 if neuron.reset == "soft" else 1 - s)
        if not neuron.temporal:
            kappa = ZERO
        g = rounded((h * rounded(e) if h else ZERO) + kappa * g)
        sent = g
        if isinstance(neuron, CubaLIF):
            q = rounded(g + (Fraction(neuron.synapse) * q if neuron.temporal else ZERO))
            sent = q
        self.gradients[name][b][t][j] = nearest(sent)[0]
        return g, q

    def update(self, rate: float, draw: Callable[[str], list] | None = None) -> dict[str, list]:
        """New weights, {connection: [k][j] patterns}, of those that are not frozen."""
        found = {}
        for c in self.graph.connections:
            if c.frozen or c.name not in self.weights:
                continue
            rows, d = self.weights[c.name], self._sums(c)
            random = draw(c.name) if draw else None
            found[c.name] = [
                [
                    self.round.pattern(
                        w - Fraction(rate) * self.round(d.get((k, j), ZERO)),
                        random[k][j] if random else None,
                    )
                    for j, w in enumerate(row)
                ]
                for k, row in enumerate(rows)
            ]
        return found

    def _sums(self, connection) -> dict[tuple[int, int], Fraction]:
        """d before it is rounded, by row and column."""
        found: dict[tuple[int, int], Fraction] = {}
        for b in self.batch:
            for t in self.steps:
                row = self.source(connection, b, t)
                gradients = self.gradients[connection.target][b][t]
                for g, sources in zip(gradients, self.taps[connection.name], strict=True):
                    for k, m, n, f in sources:
                        if row[k]:
                            found[m, n] = found.get((m, n), ZERO) + f * row[k] * value(g)
        return found
