"""Networks in files: what they say is what the builder makes; all else is refused."""

import inspect
import tomllib

import pytest

from backspike.ir.builder import Network
from backspike.ir.connection import Conv2d, Dense, GlobalAverage, Identity
from backspike.ir.errors import UserError
from backspike.ir.neuron import IF, LIF, CubaLIF
from backspike.ir.surrogate import arctan, rectangle
from backspike.train import network_file
from backspike.train.network_file import parse_network, read_network, surrogate_of

WHOLE = """
[[population]]
name = "x"
shape = [1, 2, 2]
role = "input"

[[population]]
name = "h"
shape = 6
neuron = "CubaLIF"
leak = 0.9
synapse = 0.25
threshold = 0.5
reset = "soft"
rule = "mpd-ed"
temporal = false
surrogate = "arctan:2^1"

[[population]]
name = "k"
shape = 6
neuron = "IF"

[[population]]
name = "y"
shape = 3
role = "readout"

[[population]]
name = "z"
shape = 2
role = "readout"
neuron = "LIF"

[[connection]]
source = "x"
target = "h"
bias = true

[[connection]]
source = "h"
target = "h"
delay = 1
name = "again"
frozen = true

[[connection]]
source = "h"
target = "k"
kind = "Identity"
scale = 0.5
stop_gradient = true

[[connection]]
source = "k"
target = "y"
kind = "Dense"

[[connection]]
source = "k"
target = "z"
"""


def test_everything_that_a_file_can_say(tmp_path):
    """Is what the builder adds."""
    net = Network()
    x = net.input("x", (1, 2, 2))
    cuba = CubaLIF(leak=0.9, synapse=0.25, threshold=0.5, reset="soft", rule="mpd-ed",
                   temporal=False, surrogate=arctan(2.0))  # fmt: skip
    h, k = net.population("h", 6, cuba), net.population("k", 6, IF())
    y, z = net.readout("y", 3), net.readout("z", 2, LIF())
    net.connect(x, h, Dense(bias=True))
    net.connect(h, h, delay=1, name="again", frozen=True)
    net.connect(h, k, Identity(0.5), stop_gradient=True)
    net.connect(k, y)
    net.connect(k, z)
    path = tmp_path / "net.toml"
    path.write_text(WHOLE)
    assert read_network(path) == net.graph
    assert parse_network(tomllib.loads(WHOLE)) == net.graph


PLANES = """
[[population]]
name = "x"
shape = [2, 9, 8]
role = "input"

[[population]]
name = "h"
shape = [4, 2, 2]
neuron = "LIF"

[[population]]
name = "y"
shape = 3
role = "readout"

[[connection]]
source = "x"
target = "h"
kind = "Conv2d"
kernel = [3, 1]
stride = [2, 2]
padding = [1, 0]
pool = 2
average = true
bias = true

[[connection]]
source = "h"
target = "y"
kind = "Conv2d"
kernel = 1
pool = "all"
average = true
"""


def test_planes():
    """Every option of a convolution."""
    net = Network()
    x, h = net.input("x", (2, 9, 8)), net.population("h", (4, 2, 2), LIF())
    conv = Conv2d(4, (3, 1), stride=2, padding=(1, 0), pool=2, average=True, bias=True)
    net.connect(x, h, conv)
    net.connect(h, net.readout("y", 3), GlobalAverage())
    assert parse_network(tomllib.loads(PLANES)) == net.graph


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bias = true", "dilation = 2", r"0 \(x to h\) has dilation, must have none: use"),
        ("bias = true", "groups = 2", r"0 \(x to h\) has groups, must have none: use popu"),
        ("pool = 2\naverage = true", 'pool = "max"', "0 .* a Conv2d's pool is \"max\", must"),
        ("stride = [2, 2]", "stride = 5", r"0 \(x to h\): a Conv2d's stride is 5, must be"),
        ("[4, 2, 2]", "[4, 2, 1]", r"h of shape \(4, 2, 1\), must enter one of shape \(4, 2, 2\)"),
        ("bias = true", "channels = 4", r"0 \(x to h\) has 'channels', must have only"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_planes_is_named(old, new, message):
    """And what to use instead."""
    assert old in PLANES
    with pytest.raises(UserError, match=message):
        parse_network(tomllib.loads(PLANES.replace(old, new, 1)))


def test_the_example_of_the_documentation():
    """The module's own text is such a file."""
    text = inspect.getdoc(network_file) or ""
    graph = parse_network(tomllib.loads(text[text.index("[[population]]") :]))
    assert [p.name for p in graph.populations] == ["x", "h", "y"]
    assert [c.name for c in graph.connections] == ["x-h", "h-h", "h-y"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[population]]", "[[neurons]]", "the file has 'neurons', must have only population, con"),
        (WHOLE, "", r"it has no \[\[population\]\], must have 1 or more"),
        (WHOLE, "population = 3", r"it has no \[\[population\]\]"),
        ('name = "x"\n', "", "population 0 has no name, must have one"),
        ("shape = 6\nneuron = \"IF\"", "neuron = \"IF\"", r"population 2 \(k\) has no shape"),
        ('shape = [1, 2, 2]', 'shape = [1, 2]', r"population x has the shape \(1, 2\), must have"),
        ('shape = [1, 2, 2]', 'shape = "4"', "population x has the shape"),
        ('role = "input"', 'role = "inputs"', r"role of population 0 \(x\) is 'inputs', must be"),
        ('role = "input"', "", r"population 0 \(x\) has no neuron, must have one of LIF, IF, Cuba"),
        ('neuron = "IF"', 'neuron = "Izhikevich"', r"neuron of population 2 \(k\) is 'Izhikevich'"),
        ('neuron = "IF"', 'neuron = "IF"\nleak = 0.5', r"population 2 \(k\) has 'leak', must have"),
        ('neuron = "IF"', 'neuron = "LIF"\nleak = 2', r"population 2 \(k\): leak is 2, must be fr"),
        ('role = "input"', 'role = "input"\nneuron = "IF"', r"\(x\) is an input and has a neuron"),
        ("leak = 0.9", 'leak = "0.9"', r"population 1 \(h\): leak is '0.9', must be a finite"),
        ("arctan:2^1", "step", r"population 1 \(h\): surrogate is 'step', must be one of"),
        ("arctan:2^1", "arctan:x", r"population 1 \(h\): surrogate arctan's parameter 'x' must be"),
        ('source = "x"', 'source = "w"', r"has the end 'w', must have two of x, h, k, y, z"),
        ('target = "h"\nbias', "bias", "connection 0 has no target, must have one"),
        ('kind = "Identity"', 'kind = "Sparse"', r"kind of connection 2 \(h to k\) is 'Sparse'"),
        ('kind = "Identity"', "bias = true", r"connection 2 \(h to k\) has 'scale', must have"),
        ("delay = 1", "delay = 2", r"connection 1 \(h to h\): the delay .* is 2, must be 0 or 1"),
        ("scale = 0.5", "scale = 0.0", r"connection 2 \(h to k\): .*scale"),
        ('name = "again"', "name = 3", r"connection 1 \(h to h\): a connection's name is 3, must"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    """File, table and value."""
    assert old in WHOLE
    path = tmp_path / "net.toml"
    path.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as raised:
        read_network(path)
    assert str(raised.value).startswith(f"network {path}: ")


def test_files_that_cannot_be_read(tmp_path):
    """Missing, no TOML, no text."""
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_network(tmp_path / "none.toml")
    for content in (b"= 3", b"\xff"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.toml is no TOML"):
            read_network(tmp_path / "bad.toml")


def test_surrogates():
    """By name, with a parameter or without."""
    assert surrogate_of("rectangle") == rectangle()
    assert surrogate_of("rectangle:2^-1") == rectangle(0.5)
    assert surrogate_of("rectangle:2:1.5") == rectangle(2.0, 1.5)
    for text, message in (
        ("rectangle:0", "parameter is 0, must be a positive number"),
        ("rectangle:inf", "parameter 'inf' must be a finite number"),
        ("rectangle:2:-1", "parameter is -1, must be a positive number"),
        ("rectangle:2:1:1", "has 3 parameters, must have up to a width and a height"),
        ("arctan:2:1", "surrogate arctan has 2 parameters, must have up to one"),
        ("rectangle:", "parameter '' must be a finite number"),
        (3, "surrogate is 3, must be one of"),
        ("", "surrogate is '', must be one of"),
    ):
        with pytest.raises(UserError, match=message):
            surrogate_of(text)
