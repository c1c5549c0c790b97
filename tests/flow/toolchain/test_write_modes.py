"""flow.toolchain.write_modes: which memories of short words need no word that was there before."""

import pytest

from backspike.flow.toolchain.write_modes import plain_modes
from backspike.system.tools import ToolFailed

BEFORE = "READBEFOREWRITE"


def memory(width: int, *, writes: str = "AB", seen: bool, mode: str = BEFORE) -> dict:
    """A module with a memory of words of that width, whose ports write if they are named, and whose
    output is read if it is seen."""
    parameters = {f"DATA_WIDTH_{port}": f"{width:032b}" for port in "AB"}
    parameters |= {f"WRITEMODE_{port}": mode for port in "AB"}
    connections = {f"WE{port}": [7] if port in writes else ["0"] for port in "AB"}
    connections |= {f"DO{port}{n}": [10 + 20 * (port == "B") + n] for port in "AB" for n in (0, 1)}
    directions = {port: "output" if port[0] == "D" else "input" for port in connections}
    cell = {
        "type": "DP16KD", "parameters": parameters, "connections": connections,
        "port_directions": directions,
    }  # fmt: skip
    other = {
        "type": "LUT4", "parameters": {"WRITEMODE_A": BEFORE},
        "connections": {"A": [31 if seen else 9]},
        "port_directions": {"A": "input"},
    }  # fmt: skip
    return {"ports": {}, "cells": {"deep": cell, "lut": other}}


def modes(module: dict) -> list[str]:
    return [module["cells"]["deep"]["parameters"][f"WRITEMODE_{port}"] for port in "AB"]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_ports_that_only_write_or_only_read_are_plain(width):
    """Port A writes and is not seen, port B is seen and does not write."""
    module = memory(width, writes="A", seen=True)
    assert plain_modes(module) == 2
    assert modes(module) == ["NORMAL", "NORMAL"]
    assert module["cells"]["lut"]["parameters"]["WRITEMODE_A"] == BEFORE


def test_long_words_and_other_modes_stay():
    """From 9 bits on the part reads before it writes."""
    for module in (
        memory(9, seen=True),
        memory(18, seen=True),
        memory(4, seen=True, mode="NORMAL"),
    ):
        before = modes(module)
        assert plain_modes(module) == 0
        assert modes(module) == before


def test_a_port_that_does_both_is_refused():
    """What it would show, nobody knows; if nobody looks, it does not matter."""
    with pytest.raises(
        ToolFailed, match=r"memory deep shows .* in words of 4 bits while it writes"
    ):
        plain_modes(memory(4, seen=True))
    assert plain_modes(memory(4, seen=False)) == 2
