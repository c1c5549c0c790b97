"""How many terms a network's sums have, and how many a machine's sums are wide enough for."""

from collections.abc import Iterator

from backspike.compile.cut import Cut
from backspike.compile.placement import Placement
from backspike.compile.uses import Use
from backspike.compile.windows import Windows, windows_of
from backspike.gen.core.engines import BACKWARD, FORWARD, UPDATE, EngineKind
from backspike.gen.machine import DEPTH, Machine
from backspike.ir.graph import Connection, Graph


def sums_of(graph: Graph, places: Placement, machine: Machine, cut: Cut) -> Iterator[Use]:
    """The widest sums of each engine. Without windows a source has a weight of its own, and any
    network that fits the memories has no sum of more terms than engines have room for."""
    if not machine.windows:
        return

    def windows(connection: Connection) -> Windows:
        return windows_of(graph, connection, places, cut)

    def forward(connection: Connection) -> int:
        at = places.connections[connection.name]
        sources = 1 if at.diagonal else at.sources
        return windows(connection).widest * sources + at.bias

    def backward(connection: Connection) -> int:
        at = places.connections[connection.name]
        return windows(connection).reach * (1 if at.diagonal else at.size)

    names = [population.name for population in graph.populations]
    needs = (
        (FORWARD, max(sum(map(forward, graph.into(name))) for name in names)),
        (BACKWARD, max(1 + sum(map(backward, graph.errors_into(name))) for name in names)),
        (UPDATE, max((windows(c).most_met for c in graph.trained), default=0) * cut.blocks * DEPTH),
    )
    for kind, terms in needs:
        yield Use(f"longest sum of {kind.name}", "terms", terms, _most(kind, machine))


def _most(kind: EngineKind, machine: Machine) -> int:
    """Terms that a sum has room for."""
    return 1 << (kind.terms(machine) - 1).bit_length()
