"""A graph as JSON, and back."""

from dataclasses import asdict
from typing import Any

from backspike.ir.connection import Conv2d, Dense, Identity
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.neuron import LIF, CubaLIF
from backspike.ir.surrogate import Surrogate

NEURONS = {"LIF": LIF, "CubaLIF": CubaLIF}
KINDS = {"Dense": Dense, "Conv2d": Conv2d, "Identity": Identity}


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """Populations and connections with all their fields; models and kinds under `type`."""
    populations, connections = [], []
    for population in graph.populations:
        about = asdict(population)
        if population.neuron is not None:
            about["neuron"]["type"] = type_name(NEURONS, population.neuron)
        populations.append(about)
    for connection in graph.connections:
        about = asdict(connection)
        about["kind"]["type"] = type_name(KINDS, connection.kind)
        connections.append(about)
    return {"populations": populations, "connections": connections}


def graph_from_json(about: dict[str, Any]) -> Graph:
    """As `graph_to_json` gave it. UserError for what no graph has; KeyError, TypeError or
    AttributeError for other JSON."""
    populations = [
        Population(**{**p, "shape": tuple(p["shape"]), "neuron": _neuron(p["neuron"])})
        for p in about["populations"]
    ]
    connections = [
        Connection(**{**c, "kind": _made("kind", KINDS, c["kind"])}) for c in about["connections"]
    ]
    return Graph(tuple(populations), tuple(connections))


def _neuron(about: dict[str, Any] | None) -> LIF | None:
    if about is None:
        return None
    surrogate = surrogate_from_json(about["surrogate"])
    return _made("neuron model", NEURONS, {**about, "surrogate": surrogate})


def surrogate_from_json(table: dict[str, Any]) -> Surrogate:
    """As `dataclasses.asdict` gives it, read from JSON, which has no tuples."""
    return Surrogate(table["name"], tuple(table["edges"]), tuple(table["values"]))


def _made(what: str, kinds: dict[str, Any], about: dict[str, Any]) -> Any:
    fields = dict(about)
    name = fields.pop("type")
    if name not in kinds:
        raise UserError(f"a {what} is {name!r}, must be one of {', '.join(kinds)}")
    return kinds[name](**fields)


def type_name(kinds: dict[str, type], value: object) -> str:
    """What NEURONS or KINDS call it."""
    return next(name for name, kind in kinds.items() if type(value) is kind)
