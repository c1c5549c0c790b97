"""`backspike compile` of a batch that is larger than the machine's memories."""

import json

from backspike.cli.main import main

ARGUMENTS = ["compile", "--machine", "tiny,parts=1", "--layers", "64,48,10", "--steps", "4"]


def test_a_batch_in_parts(capsys):
    """It is told that it comes in parts, and of what the cycles are."""
    assert main([*ARGUMENTS, "--batch", "40"]) == 0
    out = capsys.readouterr().out
    assert "batches of 40 samples, parts of up to 14, and 4 steps in 4 blocks of 14 and 1" in out
    assert "busy cycles a part" in out
    assert "\nA part takes about " in out
    assert main([*ARGUMENTS, "--batch", "40", "--json", "-"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    assert (compiled["batch"], compiled["samples_of_a_part"]) == (40, 14)


def test_a_batch_that_fits(capsys):
    """Nothing is said of parts."""
    assert main([*ARGUMENTS, "--batch", "16"]) == 0
    out = capsys.readouterr().out
    assert "batches of 16 samples and 4 steps in 4 blocks of 16 and 1" in out
    assert "busy cycles a batch" in out
    assert "\nA batch takes about " in out
    assert main([*ARGUMENTS, "--batch", "16", "--json", "-"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    assert (compiled["batch"], compiled["samples_of_a_part"]) == (16, 16)


PLANES = """
[[population]]
name = "x"
shape = [1, 8, 8]
role = "input"

[[population]]
name = "h"
shape = [3, 4, 4]
neuron = "LIF"

[[population]]
name = "y"
shape = 10
role = "readout"

[[connection]]
source = "x"
target = "h"
kind = "Conv2d"
kernel = 3
stride = 2
padding = 1
bias = true

[[connection]]
source = "h"
target = "y"
"""


def test_a_network_with_planes(capsys, tmp_path):
    """Cycles of each layer: those of a bias's blocks are its connection's."""
    (tmp_path / "net.toml").write_text(PLANES)
    options = ["compile", "--network", str(tmp_path / "net.toml"), "--batch", "4", "--steps", "4"]
    machine = "tiny,windows=256,units=512,spike_units=1024,layers=8"
    assert main([*options, "--machine", machine, "--json", "-"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    cycles = {layer["name"]: layer["cycles"] for layer in compiled["layers"]}
    assert set(cycles) == {"x-h", "h-y"}
    # Two tiles of each of 16 pixels, with up to 16 entries in the drain; rows of 9 taps and a bias.
    assert cycles["x-h"]["fp"] > 2 * 16 * 16
    assert cycles["x-h"]["wg"] > 2 * (9 + 1) * 16
    assert 0 < compiled["cycles_a_batch"] < sum(sum(each.values()) for each in cycles.values())
    assert main([*options, "--machine", machine]) == 0
    assert "1x8x8-3c3s2-10 on tiny" in capsys.readouterr().out
