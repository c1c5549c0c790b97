"""Networks in TOML files: populations and connections, as `ir.builder.Network` adds them.

[[population]]
name = "x"
shape = 64                  # or [channels, rows, columns]
role = "input"              # may have bits, and fraction: numbers in place of spikes

[[population]]
name = "h"
shape = 128                 # hidden, unless it has a role
neuron = "LIF"              # IF, LIF or CubaLIF
leak = 0.75                 # and threshold, reset, surrogate, rule, temporal, synapse

[[population]]
name = "y"
shape = 10
role = "readout"            # of potentials; with a neuron, of numbers of spikes

[[connection]]
source = "x"
target = "h"
kind = "Dense"              # the usual one, with bias; or Identity, with scale; or Conv2d, with
bias = true                 # kernel, stride, padding (each a number, or [rows, columns]), pool (or
                            # "all"), average, bias: the target's shape says how many channels

[[connection]]
source = "h"
target = "h"
delay = 1                   # and frozen, stop_gradient, name

[[connection]]
source = "h"
target = "y"
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from backspike.ir.builder import Network
from backspike.ir.checks import parse_number
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.neuron import IF, LIF, CubaLIF
from backspike.ir.surrogate import SURROGATES, Surrogate
from backspike.system.files import as_path, reason
from backspike.train.graph_json import KINDS

NEURONS: dict[str, Callable[..., LIF]] = {"LIF": LIF, "IF": IF, "CubaLIF": CubaLIF}
COMMON = ("threshold", "reset", "surrogate", "rule", "temporal")
OF_NEURON = {
    "LIF": ("leak", *COMMON), "IF": COMMON, "CubaLIF": ("leak", "synapse", *COMMON),
}  # fmt: skip
"""What a population's table may have besides, by its neuron model."""
OF_KIND = {
    "Dense": ("bias",),
    "Conv2d": ("kernel", "stride", "padding", "pool", "average", "bias"),
    "Identity": ("scale",),
}
INSTEAD = {
    "dilation": "a larger kernel, or a pool or a stride before it",
    "groups": "populations of their own, each with its connection",
}
"""What a Conv2d does not have, and what serves instead."""
PARAMETERS = {"rectangle": 2}
"""Of a surrogate at the most, if it is not one."""
OF_POPULATION = ("name", "shape", "role", "neuron")
OF_INPUT = ("bits", "fraction")
OF_CONNECTION = ("source", "target", "kind", "delay", "frozen", "stop_gradient", "name")


def read_network(path: str | os.PathLike) -> Graph:
    """The network of a file. Raises UserError: it names file, table, and what is wrong."""
    path = as_path("network", path)
    try:
        about = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"network {path} cannot be read: {reason(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"network {path} is no TOML: {error}") from None
    try:
        return parse_network(about)
    except UserError as error:
        raise UserError(f"network {path}: {error}") from None


def parse_network(about: Mapping[str, Any]) -> Graph:
    """Likewise of the tables of such a file."""
    _check_keys("the file", about, ("population", "connection"))
    net = Network()
    for n, table in enumerate(_tables(about, "population")):
        _add_population(net, f"population {n}", table)
    for n, table in enumerate(_tables(about, "connection")):
        _connect(net, f"connection {n}", table)
    return net.graph


def surrogate_of(text: object) -> Surrogate:
    """The surrogate derivative `NAME` or `NAME:PARAMETER`, or `rectangle:WIDTH:HEIGHT`."""
    name, *given = text.split(":") if isinstance(text, str) else [""]
    if name not in SURROGATES:
        raise UserError(f"surrogate is {name or text!r}, must be one of {', '.join(SURROGATES)}")
    most = PARAMETERS.get(name, 1)
    if len(given) > most:
        must = "a width and a height" if most > 1 else "one"
        raise UserError(f"surrogate {name} has {len(given)} parameters, must have up to {must}")
    return SURROGATES[name](*(_parameter(name, each) for each in given))


def _parameter(name: str, text: str) -> float:
    try:
        value = parse_number(text)
    except ValueError as error:
        raise UserError(f"surrogate {name}'s parameter {error}") from None
    if value <= 0:
        raise UserError(f"surrogate {name}'s parameter is {value:g}, must be a positive number")
    return value


def _add_population(net: Network, what: str, table: Mapping[str, Any]) -> None:
    what = f"{what} ({table['name']})" if "name" in table else what
    _check_needed(what, table, ("name", "shape"))
    model = table.get("neuron")
    own = OF_NEURON[_one_of(f"neuron of {what}", model, NEURONS)] if model is not None else ()
    of_input = OF_INPUT if table.get("role") == "input" else ()
    _check_keys(what, table, (*OF_POPULATION, *own, *of_input))
    neuron = None if model is None else _neuron(what, model, table, own)
    shape = tuple(table["shape"]) if isinstance(table["shape"], list) else table["shape"]
    role = _one_of(f"role of {what}", table.get("role", "hidden"), ("input", "hidden", "readout"))
    if role == "readout":
        net.readout(table["name"], shape, neuron)
    elif role == "input":
        if neuron is not None:
            raise UserError(f"{what} is an input and has a neuron, must have none")
        net.input(table["name"], shape, **{k: table[k] for k in OF_INPUT if k in table})
    elif neuron is None:
        raise UserError(f"{what} has no neuron, must have one of {', '.join(NEURONS)}")
    else:
        net.population(table["name"], shape, neuron)


def _neuron(what: str, model: str, table: Mapping[str, Any], own: tuple[str, ...]) -> LIF:
    given = {name: table[name] for name in own if name in table}
    try:
        if "surrogate" in given:
            given["surrogate"] = surrogate_of(given["surrogate"])
        return NEURONS[model](**given)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None


def _connect(net: Network, what: str, table: Mapping[str, Any]) -> None:
    _check_needed(what, table, ("source", "target"))
    what = f"{what} ({table['source']} to {table['target']})"
    name = _one_of(f"kind of {what}", table.get("kind", "Dense"), KINDS)
    own = OF_KIND[name]
    for key in (key for key in INSTEAD if name == "Conv2d" and key in table):
        raise UserError(f"{what} has {key}, must have none: use {INSTEAD[key]}")
    _check_keys(what, table, (*OF_CONNECTION, *own))
    ends = {end: table[end] for end in ("source", "target")}
    more = {k: x for k, x in table.items() if k in ("delay", "frozen", "stop_gradient", "name")}
    try:
        kind = KINDS[name](**{key: table[key] for key in own if key in table})
        net.connect(**ends, kind=kind, **more)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None


def _tables(about: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = about.get(name, [])
    if not (isinstance(found, list) and found and all(isinstance(x, dict) for x in found)):
        raise UserError(f"it has no [[{name}]], must have 1 or more")
    return found


def _check_needed(what: str, table: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    for name in needed:
        if name not in table:
            raise UserError(f"{what} has no {name}, must have one")


def _check_keys(what: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise UserError(f"{what} has {key!r}, must have only {', '.join(known)}")


def _one_of(what: str, value: object, allowed: Any) -> Any:
    if not isinstance(value, str) or value not in allowed:
        raise UserError(f"{what} is {value!r}, must be {', '.join(allowed)}")
    return value
