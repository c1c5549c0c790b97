"""What is said of a network that does not fit is true: what is named holds it."""

import re
from dataclasses import fields, replace

import pytest

from backspike.compile.compiler import compile_graph
from backspike.gen.machine import MACHINES, Machine
from backspike.ir.builder import Input, Network, Sequential
from backspike.ir.connection import Dense
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF


def chain(*sizes: int):
    hidden = [layer for size in sizes[1:-1] for layer in (Dense(size), LIF())]
    return Sequential(Input(sizes[0]), *hidden, Dense(sizes[-1]))


def recurrent():
    net = Network()
    x, h, y = net.input("x", 64), net.population("h", 128, LIF()), net.readout("y", 10)
    net.connect(x, h)
    net.connect(h, h, delay=1)
    net.connect(h, y)
    return net.graph


def said_of(graph, steps: int, machine: Machine) -> str:
    with pytest.raises(UserError) as said:
        compile_graph(graph, steps, Learning(batch=16), machine)
    return str(said.value)


@pytest.mark.parametrize(
    ("graph", "steps", "machine", "presets"),
    [
        (chain(784, 256, 10), 4, "default", []),
        (chain(64, 400, 10), 4, "tiny", ["conv", "wide"]),
        (chain(64, 64, 64, 64, 64, 64, 10), 4, "default", ["conv", "wide"]),
        (chain(256, 64, 10), 2, "default", ["mnist", "conv", "wide"]),
        (recurrent(), 40, "four", ["conv"]),
    ],
)
def test_what_is_named_holds_the_network(graph, steps, machine, presets):
    """And with one parameter less the network does not fit."""
    machine = MACHINES[machine]
    message = said_of(graph, steps, machine)
    on = re.search(r"it fits on ([\w, ]+), or ", message)
    assert (on[1].split(", ") if on else []) == presets
    for name in MACHINES:
        if name in presets:
            compile_graph(graph, steps, Learning(batch=16), MACHINES[name])
        else:
            said_of(graph, steps, MACHINES[name])
    given = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", message)}
    assert given.keys() <= {field.name for field in fields(Machine)}
    compile_graph(graph, steps, Learning(batch=16), replace(machine, **given))
    for name, value in given.items():
        less = {**given, name: value // 2}
        try:
            smaller = replace(machine, **less)
        except ValueError:  # its parameters do not go together
            continue
        said_of(graph, steps, smaller)


def test_what_no_machine_has_is_not_promised():
    """A layer with more tiles than a task can name, and more layers than there can be."""
    message = said_of(chain(64, 600, 10), 2, MACHINES["tiny"])
    assert message.endswith(
        "its widest layer needs 300 tiles, and there are 256; it fits on conv, wide"
    )
    message = said_of(chain(*[8] * 18), 4, MACHINES["default"])
    assert "17 descriptors" in message
    assert "it fits" not in message
