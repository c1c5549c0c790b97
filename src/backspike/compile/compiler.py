"""From a network and a machine to memory placement, layer descriptors and task queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from backspike.compile.cut import Cut, cuts
from backspike.compile.schedule import Queue, Range, schedule
from backspike.gen.core.engines import (
    BACKWARD,
    FORWARD,
    GRADIENTS,
    KINDS,
    READOUT,
    SPIKES,
    UPDATE,
    WEIGHTS,
    Memory,
)
from backspike.gen.core.layout import BLOCK_BITS, CODES, NEVER, TILE_BITS
from backspike.gen.machine import Machine
from backspike.ir.constants import ENGINES, ceil_div
from backspike.ir.errors import UserError
from backspike.ir.half_bits import half_bits, least_half
from backspike.ir.learning import Learning
from backspike.ir.network import Network

MAX_TILES = 1 << TILE_BITS
"""Tiles of a layer, as many as a task can name."""
MAX_BLOCKS = (1 << BLOCK_BITS) - 1
"""Blocks of a batch, as many as can be counted."""


@dataclass(frozen=True)
class Placement:
    """Where a layer lies. Tiles have P neurons; a base is that of a tile in the first block."""

    size: int
    sources: int
    bias: bool
    tiles: int
    source_tiles: int
    weights: int  # first block of P x P
    source_base: int
    output_base: int

    @property
    def rows(self) -> int:
        """Rows of P weights that are used."""
        return (self.sources + self.bias) * self.tiles

    @property
    def weight_blocks(self) -> int:
        """Blocks of P x P weights that they lie in."""
        return self.source_tiles * self.tiles


@dataclass(frozen=True)
class Use:
    """How much of a memory a network needs."""

    memory: str
    unit: str
    needs: int
    has: int


@dataclass(frozen=True)
class Plan:
    """A compiled network: everything that the core must be told before its first batch."""

    network: Network
    learning: Learning
    machine: Machine
    cut: Cut  # of a batch into blocks
    layers: tuple[Placement, ...]
    uses: tuple[Use, ...]
    descriptors: Mapping[str, tuple[dict[str, int], ...]]
    queues: Mapping[str, Queue]
    programs: Mapping[str, Mapping[str, Range]]

    @property
    def input_base(self) -> int:
        """First spike tile of the inputs."""
        return self.layers[0].source_base


def compile_network(network: Network, learning: Learning, machine: Machine) -> Plan:
    """Compile for that machine, with the fastest cut of the batch that it has room for; UserError
    names the memory that a network does not fit however it is cut."""
    plans = []
    for cut in cuts(learning.batch, network.steps, machine):
        plan = _compile(network, learning, machine, cut)
        if all(use.needs <= use.has for use in plan.uses):
            return plan
        plans.append(plan)
    smallest = min(plans, key=lambda plan: plan.cut.blocks)
    use = next(use for use in smallest.uses if use.needs > use.has)
    verb = "need" if use.memory.split()[0].endswith("s") else "needs"
    raise UserError(
        f"the network does not fit machine {machine.name!r}: its {use.memory} "
        f"{verb} {use.needs} {use.unit}, and there are {use.has}"
    )


def _compile(network: Network, learning: Learning, machine: Machine, cut: Cut) -> Plan:
    layers = _place(network, machine, cut.blocks)
    queues, programs = schedule([layer.tiles for layer in layers])
    descriptors = {
        FORWARD.name: tuple(_forward(network, layers, n) for n in range(len(layers))),
        BACKWARD.name: tuple(_backward(network, learning, layers, n) for n in range(len(layers))),
        UPDATE.name: tuple(_gradient(learning, layers, n) for n in range(len(layers))),
    }
    uses = _uses(machine, layers, descriptors, queues, cut)
    return Plan(
        network=network,
        learning=learning,
        machine=machine,
        cut=cut,
        layers=tuple(layers),
        uses=tuple(uses),
        descriptors=descriptors,
        queues=queues,
        programs=programs,
    )


def _place(network: Network, machine: Machine, blocks: int) -> list[Placement]:
    """Outputs one layer after the other from unit 0; inputs after the last hidden layer, since
    they have spikes only and the read-out has none."""
    tiles = [ceil_div(layer.size, machine.lanes) for layer in network.layers]
    inputs_at = sum(tiles[:-1]) * blocks
    placed, block, unit = [], 0, 0
    for n, layer in enumerate(network.layers):
        sources = network.sizes[n]
        placed.append(
            Placement(
                size=layer.size,
                sources=sources,
                bias=layer.bias,
                tiles=tiles[n],
                source_tiles=ceil_div(sources + layer.bias, machine.lanes),
                weights=block,
                source_base=placed[-1].output_base if placed else inputs_at,
                output_base=unit,
            )
        )
        block += placed[-1].weight_blocks
        unit += tiles[n] * blocks
    return placed


def _uses(machine, layers, descriptors, queues, cut) -> list[Use]:
    """What the network needs of everything that a machine has a limited amount of."""
    widest = max(*(layer.tiles for layer in layers), *(layer.source_tiles for layer in layers))
    extents = [
        extent
        for name, kind in KINDS.items()
        for values in descriptors[name]
        for extent in kind.extents(SimpleNamespace(**values), cut)
        if extent.applies
    ]

    def memory(name: str, unit: str, kind: Memory, each: int = 1) -> Use:
        """What the hardware checks: the end of the extent that reaches furthest."""
        needs = max(e.base + e.count * e.times for e in extents if e.memory is kind)
        return Use(name, unit, needs * each, kind.size(machine) * each)

    return [
        Use("layers", "descriptors", len(layers), machine.layers),
        Use("widest layer", "tiles", widest, MAX_TILES),
        Use("batch", "blocks", cut.blocks, MAX_BLOCKS),
        memory("weight memory", "row tiles", WEIGHTS, machine.lanes),
        memory("spike memory", "tiles", SPIKES),
        memory("gradient memory", "tiles", GRADIENTS),
        memory("read-out memory", "tiles", READOUT),
        *(Use(f"{name} task memory", "tasks", len(queues[name].tasks), machine.tasks)
          for name in ENGINES),
    ]  # fmt: skip


def _forward(network: Network, layers: list[Placement], n: int) -> dict[str, int]:
    """Fields of the feed-forward engine's descriptor of layer n."""
    layer, at = network.layers[n], layers[n]
    readout = n == len(layers) - 1
    surrogate, theta = layer.surrogate, layer.threshold
    edges = [least_half(theta, edge) for edge in surrogate.edges]
    edges += [NEVER] * (CODES - 1 - len(edges))
    return {
        "tiles": at.tiles,
        "size": at.size,
        "source_tiles": at.source_tiles,
        "sources": at.sources,
        "bias": int(at.bias),
        "source_base": at.source_base,
        "output_base": at.output_base,
        "weights": at.weights,
        "leak": half_bits(1.0 if readout else layer.leak),
        "threshold": half_bits(theta),
        "soft": int(layer.reset == "soft"),
        "readout": int(readout),
        "spikes_only": int(layer.rule == "mpd-ed"),
        "nonzero": sum(1 << c for c, value in enumerate(surrogate.values) if value),
        **{f"edge{i}": edge for i, edge in enumerate(edges)},
    }


def _backward(
    network: Network, learning: Learning, layers: list[Placement], n: int
) -> dict[str, int]:
    """Fields of the back-propagation engine's descriptor that makes layer n's gradients."""
    layer, at = network.layers[n], layers[n]
    loss = n == len(layers) - 1
    after = at if loss else layers[n + 1]
    values = [*map(half_bits, layer.surrogate.values)]
    return {
        "tiles": at.tiles,
        "size": at.size,
        "output_base": at.output_base,
        "loss": int(loss),
        "squared": int(learning.loss == "mse"),
        "next_tiles": after.tiles,
        "next_base": after.output_base,
        "next_source_tiles": after.source_tiles,
        "next_weights": after.weights,
        "leak": half_bits(learning.alpha if loss else layer.leak),
        "soft": int(layer.reset == "soft"),
        "temporal": int(layer.temporal),
        "spikes_only": int(layer.rule == "mpd-ed"),
        **{f"h{c}": value for c, value in enumerate(values + [0] * (CODES - len(values)))},
    }


def _gradient(learning: Learning, layers: list[Placement], n: int) -> dict[str, int]:
    """Fields of the weight-gradient engine's descriptor of layer n; `key` changes every step."""
    at = layers[n]
    return {
        "tiles": at.tiles,
        "source_tiles": at.source_tiles,
        "sources": at.sources,
        "bias": int(at.bias),
        "source_base": at.source_base,
        "gradient_base": at.output_base,
        "weights": at.weights,
        "rate": half_bits(learning.rate),
        "stochastic": int(learning.rounding == "stochastic"),
        "key": 0,
    }
