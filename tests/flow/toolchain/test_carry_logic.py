"""flow.toolchain.carry_logic: which gates a carry cell takes over, and that its sums stay."""

import copy
from itertools import product

import pytest

from backspike.flow.toolchain.carry_logic import absorb_logic
from backspike.flow.toolchain.synthesis import synthesise

SUM = 0x96AA
"""The LUT of a bit of a sum, as Yosys maps it: A + (B ^ C), if D is 1."""
GATED, X, Y, Z = 20, 10, 11, 12
OPERANDS = (30, 31)  # the operands that no gate is before, by bits
CARRY_IN = 40
KEEPS_FIRST = 0x22
"""x and not y, of a LUT4 whose C and D are 0."""


def cell(kind: str, outputs: dict, parameters: dict, **inputs) -> dict:
    bits = {port: [bit] for port, bit in (outputs | inputs).items()}
    directions = {port: "output" if port in outputs else "input" for port in bits}
    return {"type": kind, "parameters": parameters, "connections": bits,
            "port_directions": directions}  # fmt: skip


def gate(table: int, **inputs) -> dict:
    pins = {"A": X, "B": Y, "C": "0", "D": "0"} | inputs
    return cell("LUT4", {"Z": GATED}, {"INIT": f"{table:016b}"}, **pins)


def module(table: int, half="0", operand="B", spare="0", init=SUM, inject="NO", inputs=None):
    """A carry cell with a gate before one operand."""
    pins = {f"{pin}{n}": OPERANDS[n] for n in (0, 1) for pin in "AB"}
    pins |= {f"{pin}{n}": bit for n in (0, 1) for pin, bit in (("C", spare), ("D", "1"))}
    pins |= {"CIN": CARRY_IN, operand + half: GATED}
    parameters = dict.fromkeys(("INIT0", "INIT1"), f"{init:016b}")
    parameters |= {"INJECT1_0": inject, "INJECT1_1": inject}
    outputs = {"S0": 50, "S1": 51, "COUT": 52}
    return {
        "ports": {"s": {"direction": "output", "bits": [50, 51, 52]}},
        "cells": {
            "gate": gate(table, **(inputs or {})),
            "carry": cell("CCU2C", outputs, parameters, **pins),
        },
    }


def computed(netlist: dict, values: dict) -> tuple[int, int, int]:
    """(S0, S1, COUT) of the carry cell, as Yosys' models of the cells have them."""
    values = {"0": 0, "1": 1, **values}

    def table(init: str, *pins: int) -> int:
        return int(init, 2) >> sum(pin << n for n, pin in enumerate(pins)) & 1

    cells = netlist["cells"]
    if "gate" in cells:
        pins = [values[cells["gate"]["connections"][pin][0]] for pin in "ABCD"]
        values[GATED] = table(cells["gate"]["parameters"]["INIT"], *pins)
    carry, sums = values[CARRY_IN], []
    connections, parameters = cells["carry"]["connections"], cells["carry"]["parameters"]
    for half in "01":
        a, b, c, d = (values[connections[pin + half][0]] for pin in "ABCD")
        init = parameters[f"INIT{half}"]
        propagates, generates = table(init, a, b, c, d), table(init[-4:], a, b)
        assert parameters[f"INJECT1_{half}"] == "NO"
        sums.append(propagates ^ carry)
        carry = carry if propagates else generates
    return (*sums, carry)


@pytest.mark.parametrize("half", ["0", "1"])
@pytest.mark.parametrize("operand", ["A", "B"])
@pytest.mark.parametrize("spare", ["0", "1"], ids=["add", "subtract"])
def test_the_sum_stays(half, operand, spare):
    """With any gate of two inputs before either operand of either bit, sum and carry are the same,
    whatever the values, and the gate is gone."""
    nets = (X, Y, CARRY_IN, *OPERANDS)
    for table in range(16):
        before = module(table * 0x1111, half, operand, spare)
        after = copy.deepcopy(before)
        assert absorb_logic(after) == 1
        assert list(after["cells"]) == ["carry"]
        for bits in product((0, 1), repeat=len(nets)):
            values = dict(zip(nets, bits, strict=True))
            assert computed(after, values) == computed(before, values), f"table {table}, {values}"


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"C": Z}, "table": 0xCACA},
        {"spare": Z},
        {"inject": "YES"},
        {"init": 0xAAAC},
    ],
    ids=["three inputs", "no input to spare", "no carry in", "the carry needs both"],
)
def test_other_gates_stay(changes):
    """Nothing changes if the cell has no room for the gate."""
    changed = module(**{"table": KEEPS_FIRST * 0x101, **changes})
    before = copy.deepcopy(changed)
    assert absorb_logic(changed) == 0
    assert changed == before


@pytest.mark.parametrize("reader", ["port", "cell", "other operand"])
def test_a_gate_that_others_read_stays(reader):
    """Nothing changes if what the gate drives is read twice."""
    changed = module(KEEPS_FIRST * 0x101)
    match reader:
        case "port":
            changed["ports"]["p"] = {"direction": "output", "bits": [GATED]}
        case "cell":
            register = cell("TRELLIS_FF", {"Q": 60}, {}, DI=GATED)
            changed["cells"]["register"] = register
        case _:
            changed["cells"]["carry"]["connections"]["A1"] = [GATED]
    before = copy.deepcopy(changed)
    assert absorb_logic(changed) == 0
    assert changed == before


def test_a_netlist_of_yosys():
    """A sum with what is there or zero takes no LUT beside its carry cells."""
    text = """module two (input clear, input [15:0] a, b, output [15:0] s);
      assign s = a + (clear ? 16'h0 : b);
    endmodule"""
    netlist = synthesise(text, "ecp5", "two")
    assert netlist.cells["CCU2C"] >= 8
    assert netlist.cells["LUT4"] == 0
