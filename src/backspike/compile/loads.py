"""What each engine has to add: expected events of a plan's tasks, tile by tile."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from backspike.compile.compiler import Plan
from backspike.compile.drain import span_steps
from backspike.compile.placement import bias_of, connection_of
from backspike.compile.reach import Share, Spot, by_pixel, mean, met, spots
from backspike.gen.core.engines import FORWARD, UPDATE
from backspike.gen.core.shared.window import FIND_CYCLES
from backspike.gen.machine import DEPTH


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares 0..1 of populations and, met and updated, of connections, by name.

    spikes: of (step, sample, neuron) that spike; gradients: of these with a gradient that is not
    zero; errors: of a read-out, with an error that the host writes and that is not zero. rows: of
    (step, sample, tile of P neurons) with any gradient; needed: with any neuron that lets errors
    through. met: of (step, sample, source, target's tile), where a spike meets a gradient; updated:
    of (source, target's tile), where any does in the batch. Of errors and needed tiles that are not
    given all are there; other shares follow as if all fell independently.

    brought: of delayed connections, of (step but the last, sample, source) that spike. passed: of
    connections, of (step, sample, tile of sources, target that it reaches) where the target has a
    gradient and the tile lets errors through: what is known of both together. So do `errors`, which
    are of neurons whose tile lets errors through.

    In planes a tile is one of channels, in each pixel; a source of `met` and `updated` is a channel
    at a tap, met in each pixel where both lie in their planes. A bias is `updated` by its layer's
    name. Other shares but `rows` and `errors` may be arrays (rows, columns), of each pixel: of the
    source for what belongs to connections.
    """

    spikes: Mapping[str, Share]
    gradients: Mapping[str, Share] = field(default_factory=dict)
    rows: Mapping[str, float] = field(default_factory=dict)
    needed: Mapping[str, Share] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    brought: Mapping[str, Share] = field(default_factory=dict)
    passed: Mapping[str, Share] = field(default_factory=dict)
    met: Mapping[str, float] = field(default_factory=dict)
    updated: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tile:
    """A scanned tile: expected events, and lines that have some.

    empty: the probability that a sum ends with it and it has none; what ends the sum then counts as
    an event and as a line. reads: tiles that are read for it.
    """

    events: float
    lines: float
    reads: int = 1
    empty: float = 0.0

    def ending(self) -> "Tile":
        """As the last one of a sum."""
        empty = math.exp(-self.events)
        return Tile(self.events + empty, self.lines + empty, self.reads, empty)


@dataclass(frozen=True)
class Sum:
    """What is drained at once.

    tiles: of each connection in turn. steps: of the span, for neurons. touched: entries with an
    event, or for wg rows with one. opens: its neurons begin the batch with it. finding: cycles that
    the walk first takes to find the windows of a pixel, or of a tap.
    """

    tiles: tuple[tuple[Tile, ...], ...]
    steps: int
    touched: float
    opens: bool = True
    finding: int = 0


@dataclass(frozen=True)
class Pixel:
    """Of neurons: the share of tiles that let errors through, and windows, one a connection."""

    needed: float
    spots: tuple[Spot, ...]


class Loads:
    """The sums of a plan's tasks, of a full batch that does not go on with another."""

    def __init__(self, plan: Plan, shares: Shares):
        self.plan, self.shares = plan, shares
        self._lanes = plan.machine.lanes
        self._spans = list(span_steps(plan.cut))
        batch, each = plan.learning.batch, plan.cut.samples
        self._samples = [min(each, batch - n * each) for n in range(plan.cut.sets)]
        self._connections = {c.name: c for c in plan.graph.connections}
        self._made: dict[tuple, Sum] = {}
        self._found: dict[tuple[str, str], list[Pixel]] = {}

    def sums(self, engine: str, name: str, tile: int, span: int | None) -> Iterator[Sum]:
        """Of a task, in order: of a tile of a population, or for wg of a connection, or its bias.

        span: in the engine's order, the one that a task of a loop is about; None: all of them.
        """
        if engine == UPDATE.name:
            yield from self._taps(name, tile)
            return
        sets, spans = list(self._samples), list(range(len(self._spans)))
        if engine != FORWARD.name:
            sets, spans = sets[::-1], spans[::-1]
        # Most tiles, blocks and pixels are like others.
        own = tile if self._own(name) else tile == self.plan.populations[name].tiles - 1
        windows = windows_found(self.plan, engine, name)
        for pixel in self._pixels(engine, name):
            finding = windows * FIND_CYCLES
            for samples in sets:
                for n in spans if span is None else [spans[span]]:
                    key = engine, name, own, pixel, samples, n, finding
                    if key not in self._made:
                        block = self._block(engine, name, tile, pixel, samples, n, n == spans[0])
                        self._made[key] = replace(block, finding=finding)
                    yield self._made[key]
                    finding = 0

    def _own(self, name: str) -> bool:
        """Whether each tile of a population has sources of its own."""
        at = self.plan.connections
        return any(at[c.name].diagonal for c in self._connections.values()
                   if name in (c.source, c.target))  # fmt: skip

    def _pixels(self, engine: str, name: str) -> list[Pixel]:
        """Of a population, in order."""
        if (engine, name) in self._found:
            return self._found[engine, name]
        forward, graph, shares = engine == FORWARD.name, self.plan.graph, self.shares
        count = self.plan.populations[name].pixels
        needed = by_pixel(1.0 if forward else shares.needed.get(name, 1.0), count)
        each: list[list[Spot]] = []
        for connection in graph.into(name) if forward else graph.errors_into(name):
            if forward:
                share = shares.spikes.get(connection.source, 0.0)
                share = shares.brought.get(connection.name, share)
                each.append(list(spots(self.plan, engine, connection, share)))
                continue
            found = list(
                spots(self.plan, engine, connection, shares.gradients.get(connection.target, 0.0))
            )
            passed = [spot.density * some for spot, some in zip(found, needed, strict=True)]
            if connection.name in shares.passed:
                passed = by_pixel(shares.passed[connection.name], count)
            each.append([Spot(s.pixels, share) for s, share in zip(found, passed, strict=True)])
        self._found[engine, name] = [
            Pixel(some, tuple(windows)) for some, *windows in zip(needed, *each, strict=True)
        ]
        return self._found[engine, name]

    def _block(
        self, engine: str, name: str, tile: int, pixel: Pixel, samples: int, span: int, opens: bool
    ) -> Sum:
        """Of a tile of neurons in a pixel: so many samples in that span."""
        forward, graph, shares = engine == FORWARD.name, self.plan.graph, self.shares
        needed = pixel.needed
        entries = samples * self._spans[span]
        untouched = 1.0  # the probability that an entry has no event
        parts: list[list[Tile]] = []
        biases = 0  # that have a tile of their own
        connections = graph.into(name) if forward else graph.errors_into(name)
        for connection, spot in zip(connections, pixel.spots, strict=True):
            at = self.plan.connections[connection.name]
            other = connection.source if forward else connection.target
            density = 0.0 if connection.delay and opens else spot.density
            count = at.source_tiles if forward else at.tiles
            numbers = range(tile, tile + 1) if at.diagonal else range(count)
            tiles = [self._tile(other, n, density, entries) for n in numbers]
            tiles = tiles * spot.pixels or [Tile(0.0, 0.0)]
            apart = at.bias_block is not None
            if forward and at.bias and not apart:
                tiles[-1] = Tile(tiles[-1].events + entries, tiles[-1].lines + 1)
            biases += forward and apart
            parts.append(tiles)
            sources = spot.pixels * sum(self._in_tile(other, n) for n in numbers)
            untouched *= (1 - _of(density, needed)) ** sources
        parts += [[Tile(entries, 1.0)]] * biases
        if not forward and self.plan.populations[name].errors is not None:
            density = shares.errors.get(name, needed)
            parts.append([self._tile(name, tile, density, entries)])
            untouched *= (1 - _of(density, needed)) ** self._in_tile(name, tile)
        if parts:
            parts[-1] = [*parts[-1][:-1], parts[-1][-1].ending()]
        touched = entries * needed * (1 - untouched)
        return Sum(tuple(map(tuple, parts)), self._spans[span], touched, opens)

    def _tile(self, name: str, number: int, density: float, entries: int) -> Tile:
        lanes = self._in_tile(name, number)
        return Tile(entries * lanes * density, lanes * some(density, entries))

    def _in_tile(self, name: str, number: int) -> int:
        """Neurons of a tile; behind the last one none."""
        size = self.plan.populations[name].size
        return max(0, min(self._lanes, size - number * self._lanes))

    def _taps(self, layer: str, tile: int) -> Iterator[Sum]:
        """Of a layer of wg: groups of DEPTH sources of each tap."""
        last = tile == self.plan.descriptors[UPDATE.name].layers[layer]["tiles"] - 1
        tiles = self.plan.descriptors[UPDATE.name].layers[layer]["source_tiles"]
        for pixels in met(self.plan, layer):
            finding = FIND_CYCLES + 1 if self.plan.machine.windows else 0
            for first in range(0, tiles, DEPTH // self._lanes):
                key = layer, last, pixels, first, finding
                if key not in self._made:
                    group = self._group(layer, tile, pixels, first)
                    self._made[key] = replace(group, finding=finding)
                yield self._made[key]
                finding = 0

    def _group(self, layer: str, tile: int, pixels: int, first: int) -> Sum:
        """Of DEPTH sources, from that tile on, through a tap's pixels and the whole batch; a line
        is an entry."""
        connection = self._connections[connection_of(layer)]
        config = self.plan.descriptors[UPDATE.name].layers[layer]
        density, rows = self._meeting(layer, tile)
        shares = self.shares
        updated = shares.updated.get(connection.name)
        group = DEPTH // self._lanes
        there = range(first, min(first + group, config["source_tiles"]))
        counts = [min(self._lanes, config["sources"] - n * self._lanes) for n in there]
        sources = sum(max(0, count) for count in counts)
        bias = config["bias"] and there[-1] == config["source_tiles"] - 1
        blocks, meeting = [], 0.0
        for samples in self._samples:
            for span, steps in enumerate(self._spans):
                entries = samples * steps * rows
                spikes = 0.0 if config["delay"] and span == 0 else density
                lines = entries * (1.0 if bias else some(spikes, sources))
                blocks.append(Tile(entries * (sources * spikes + bias), lines, group))
                meeting += entries * (spikes > 0) * pixels
        blocks = blocks * pixels or [Tile(0.0, 0.0, group)]
        blocks[-1] = blocks[-1].ending()
        touched = sources * (some(density, meeting) if updated is None else updated)
        touched += bias * shares.updated.get(bias_of(connection.name), min(1.0, meeting))
        if config["all"]:
            touched = len(there) * self._lanes
        return Sum((tuple(blocks),), 1, touched)

    def _meeting(self, layer: str, tile: int) -> tuple[float, float]:
        """The share of entries that have a gradient, and of spikes in these."""
        connection = self._connections[connection_of(layer)]
        rows = self.shares.rows.get(connection.target)
        if rows is None:
            density = mean(self.shares.gradients.get(connection.target, 0.0))
            rows = some(density, self._in_tile(connection.target, tile))
        if layer != connection.name:
            return 1.0, rows
        density = mean(self.shares.spikes.get(connection.source, 0.0))
        if layer in self.shares.met:
            density = self.shares.met[layer] / rows if rows else 0.0
        return density, rows


def _of(share: float, whole: float) -> float:
    """A share of what is itself a share."""
    return min(1.0, share / whole) if whole else 0.0


def windows_found(plan: Plan, engine: str, name: str) -> int:
    """How many windows fp, or bp, finds for a pixel of a population."""
    if not plan.machine.windows:
        return 0
    config = plan.descriptors[engine].layers[name]
    return 1 if config.get("loss") else config["connections"]


def some(share: float, count: float) -> float:
    """The probability that one or more of `count` have what that share has."""
    return 1.0 - (1.0 - min(share, 1.0)) ** count if count else 0.0
