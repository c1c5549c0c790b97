"""The numeric contract a second time, naively: Fractions, Python loops and a table of all halves.

Halves are patterns (int). Every function that rounds returns (pattern, saturated).
"""

from bisect import bisect_right
from fractions import Fraction

UNIT = Fraction(1, 2**24)
GRID = [
    # Magnitudes in units of 2^-24 in the order of their patterns, and 2^16, which is none.
    (p & 0x3FF) if p < 0x400 else (0x400 | p & 0x3FF) << ((p >> 10) - 1)
    for p in range(0x7C01)
]
LARGEST = 0x7BFF


def value(pattern: int) -> Fraction:
    """The value of a half, exactly."""
    magnitude = GRID[pattern & 0x7FFF] * UNIT
    return -magnitude if pattern & 0x8000 else magnitude


def _signed(x: Fraction, pattern: int) -> tuple[int, bool]:
    saturated = pattern > LARGEST
    pattern = min(pattern, LARGEST)
    return pattern | (0x8000 if x < 0 and pattern else 0), saturated


def nearest(x: Fraction) -> tuple[int, bool]:
    """Ties to the pattern that is even."""
    magnitude = abs(x) / UNIT
    p = min(bisect_right(GRID, magnitude) - 1, LARGEST)
    below, above = magnitude - GRID[p], GRID[p + 1] - magnitude
    return _signed(x, p + (above < below or (above == below and p % 2 == 1)))


def stochastic(x: Fraction, random: int) -> tuple[int, bool]:
    """The magnitude truncated, and up iff floor(discarded ulps * 2^16) + random >= 2^16."""
    magnitude = abs(x) / UNIT
    p = bisect_right(GRID, magnitude) - 1
    if p > LARGEST:
        return _signed(x, p)
    fraction = (magnitude - GRID[p]) / (GRID[p + 1] - GRID[p])
    return _signed(x, p + (int(fraction * 2**16) + random >= 2**16))


class Step:
    """One training step of a network, all in loops: a mirror of the equations, not of the code.

    network, learning: their own dataclasses. weights: [layer][k][j] patterns. spikes: [b][t][i].
    error(logits) -> [b][j] patterns gives the read-out's error for `ce`. draw(layer)[k][j]: random.
    After construction: logits, spikes, codes, gradients, weights as nested lists, u and v of the
    hidden layers as values, [layer][b][t][j] floats, and saturated.
    """

    def __init__(self, network, learning, weights, spikes, labels, error=None, draw=None):
        self.network, self.learning, self.saturated = network, learning, False
        self.spikes: list = []
        self.codes: list = []
        self.u: list = []
        self.v: list = []
        batch, steps = range(len(spikes)), range(network.steps)
        w = [[[value(p) for p in row] for row in layer] for layer in weights]

        below = spikes
        sources = []
        for layer, wl in zip(network.layers[:-1], w[:-1], strict=True):
            sources.append([[list(r) + [1] * layer.bias for r in sample] for sample in below])
            fired = [self._neurons(layer, wl, sources[-1][b]) for b in batch]
            below = [f[0] for f in fired]
            self.spikes.append(below)
            self.codes.append([f[1] for f in fired])
            self.u.append([f[2] for f in fired])
            self.v.append([f[3] for f in fired])
        last = network.layers[-1]
        sources.append([[list(r) + [1] * last.bias for r in sample] for sample in below])
        self.logits = [self._readout(last, w[-1], sources[-1][b]) for b in batch]

        if learning.loss == "mse":
            alpha = Fraction(learning.alpha)
            e = [
                [self._round(alpha * value(o) - (j == labels[b])) for j, o in enumerate(row)]
                for b, row in enumerate(self.logits)
            ]
        else:
            assert error is not None
            e = error(self.logits)
        self.gradients = [[[e[b]] * network.steps for b in batch]]
        for i in reversed(range(len(network.layers) - 1)):
            above = self.gradients[0]
            self.gradients.insert(0, [self._backward(i, w[i + 1], above[b], b) for b in batch])

        self.weights = []
        for i, (s, g) in enumerate(zip(sources, self.gradients, strict=True)):
            rows = []
            for k in range(len(w[i])):
                row = []
                for j in range(len(w[i][0])):
                    terms = (value(g[b][t][j]) for b in batch for t in steps if s[b][t][k])
                    d = value(self._round(sum(terms, Fraction(0))))
                    x = w[i][k][j] - Fraction(learning.rate) * d
                    row.append(self._round(x, draw(i)[k][j] if draw else None))
                rows.append(row)
            self.weights.append(rows)

    def _round(self, x, random=None) -> int:
        pattern, saturated = nearest(x) if random is None else stochastic(x, random)
        self.saturated |= saturated
        return pattern

    def _neurons(self, layer, w, sources):
        theta, leak = Fraction(layer.threshold), Fraction(layer.leak)
        v = [Fraction(0)] * layer.size
        spikes, codes, us, vs = [], [], [], []
        for row in sources:
            for found in (spikes, codes, us):
                found.append([])
            for j in range(layer.size):
                x = sum((w[k][j] for k, s in enumerate(row) if s), Fraction(0)) + leak * v[j]
                u = value(self._round(x))
                s = u >= theta
                if layer.reset == "soft":
                    v[j] = value(self._round(u - theta * s))
                else:
                    v[j] = Fraction(0) if s else u
                spikes[-1].append(int(s))
                codes[-1].append(sum(Fraction(e) <= u - theta for e in layer.surrogate.edges))
                us[-1].append(float(u))
            vs.append([float(x) for x in v])
        return spikes, codes, us, vs

    def _readout(self, layer, w, sources):
        logits = []
        for j in range(layer.size):
            u = 0
            for row in sources:
                x = sum((w[k][j] for k, s in enumerate(row) if s), value(u))
                u = self._round(x)
            logits.append(u)
        return logits

    def _backward(self, i, w_above, g_above, b):
        layer = self.network.layers[i]
        gradients = []
        g = [0] * layer.size
        for t in reversed(range(self.network.steps)):
            for j in range(layer.size):
                s = self.spikes[i][b][t][j]
                h = Fraction(layer.surrogate.values[self.codes[i][b][t][j]])
                if layer.rule == "mpd-ed":
                    h *= s
                kappa = Fraction(layer.leak) * (1 if layer.reset == "soft" else 1 - s)
                if not layer.temporal:
                    kappa = Fraction(0)
                e = Fraction(0)
                if h:
                    products = (w * value(p) for w, p in zip(w_above[j], g_above[t], strict=True))
                    e = value(self._round(sum(products, Fraction(0))))
                g[j] = self._round(h * e + kappa * value(g[j]))
            gradients.append(list(g))
        return gradients[::-1]
