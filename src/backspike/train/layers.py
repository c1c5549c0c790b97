"""Chains in a line of text: `64,128r,10`, and what a network is in words."""

import re
from collections.abc import Sequence

from backspike.ir.builder import Network
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph, Population
from backspike.ir.neuron import LIF

LAYERS = "64,128,10"
"""Unless others are asked for."""
PART = re.compile(r"(\d{1,9})(r?)")
RECURRENT = "r"


def parse_layers(text: str) -> list[tuple[int, bool]]:
    """Sizes of inputs, hidden layers and outputs, and whether a layer is recurrent."""
    parts = [PART.fullmatch(part.strip()) for part in text.split(",")]
    layers = [(int(part[1]), bool(part[2])) for part in parts if part is not None]
    if len(layers) < len(parts) or len(layers) < 2:
        raise UserError(
            f"layers is {text!r}, must be two or more sizes with commas between, as {LAYERS}; "
            f"{RECURRENT} after a hidden one makes it recurrent, as 64,128{RECURRENT},10"
        )
    for what, (size, recurrent) in (("first", layers[0]), ("last", layers[-1])):
        if recurrent:
            raise UserError(
                f"the {what} of layers is {size}{RECURRENT}, must be without {RECURRENT}: only "
                "hidden layers can be recurrent"
            )
    return layers


def chain(layers: Sequence[tuple[int, bool]], neuron: LIF, bias: bool = False) -> Graph:
    """As `Sequential` makes it, each hidden layer of that neuron model; a recurrent one has a
    connection to itself more, of delay 1. Raises UserError."""
    net = Network()
    (inputs, _), *hidden, (outputs, _) = layers
    before = net.input("input", inputs)
    for n, (size, recurrent) in enumerate(hidden, 1):
        now = net.population(f"hidden{n}", size, neuron)
        net.connect(before, now, Dense(bias=bias), name=now.name)
        if recurrent:
            net.connect(now, now, Dense(), delay=1)
        before = now
    last = net.readout("readout", outputs)
    net.connect(before, last, Dense(bias=bias), name=last.name)
    return net.graph


def layers_of(graph: Graph) -> str | None:
    """The text of `parse_layers`, if the graph is such a chain; else None."""
    layers: list[str] = []
    at = [p for p in graph.populations if p.role == "input"]
    seen = 0
    while len(at) == 1:
        population = at[0]
        if len(population.shape) > 1:
            return None
        entering = [c for c in graph.into(population.name) if c.source != population.name]
        own = [c for c in graph.into(population.name) if c.source == population.name]
        dense = all(isinstance(c.kind, Dense) for c in (*entering, *own))
        if len(entering) > 1 or len(own) > 1 or not dense or any(c.delay for c in entering):
            return None
        layers.append(f"{population.size}{RECURRENT if own else ''}")
        seen += 1
        leaving = [c for c in graph.out_of(population.name) if c.target != population.name]
        at = [graph.by_name[c.target] for c in leaving]
    whole = not at and seen == len(graph.populations)
    return ",".join(layers) if whole and _ends_in_potentials(graph) else None


def _ends_in_potentials(graph: Graph) -> bool:
    return all(p.neuron is None for p in graph.populations if p.role == "readout")


def hidden(graph: Graph) -> tuple[Population, ...]:
    """The populations with a neuron model."""
    return tuple(p for p in graph.populations if p.neuron is not None)


def in_words(graph: Graph) -> str:
    """`64-128-10` of a chain, and else its populations by name, with their sizes."""
    layers = layers_of(graph)
    if layers is not None:
        return layers.replace(",", "-")
    return " ".join(f"{p.name}:{'x'.join(map(str, p.shape))}" for p in graph.populations)
