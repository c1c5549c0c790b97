"""flow.toolchain.multiplier_registers: which registers a multiplier takes over."""

import copy

import pytest

from backspike.flow.toolchain.multiplier_registers import absorb_registers
from backspike.flow.toolchain.synthesis import synthesise

CLOCK, ENABLE = 2, 3


def cell(kind: str, outputs: dict, parameters: dict | None = None, **inputs) -> dict:
    bits = {port: [bit] for port, bit in (outputs | inputs).items()}
    directions = {port: "output" if port in outputs else "input" for port in bits}
    return {"type": kind, "parameters": parameters or {}, "connections": bits,
            "port_directions": directions}  # fmt: skip


def register(di: int, q: int, **changes) -> dict:
    """A plain flip-flop, but for `changes` of its parameters and inputs."""
    parameters = {"CEMUX": "1", "REGSET": "RESET", "CLKMUX": "CLK", "LSRMUX": "LSR"}
    parameters |= {key: value for key, value in changes.items() if key in parameters}
    inputs = {key: value for key, value in changes.items() if key not in parameters}
    return cell(
        "TRELLIS_FF", {"Q": q}, parameters, **{"CLK": CLOCK, "DI": di, "LSR": "0", **inputs}
    )


def module(**changes) -> dict:
    """A product of two bits, each into a register; `changes`: of the second."""
    return {
        "ports": {"o": {"direction": "output", "bits": [30, 31]}},
        "cells": {
            "product": cell("MULT18X18D", {"P0": 20, "P1": 21, "P2": 22}, A0=10, B0=11),
            "low": register(20, 30),
            "high": register(21, 31, **changes),
        },
    }


def test_registers_move_into_the_multiplier():
    """The cell drives what the flip-flops drove, with their clock; an unused bit is left alone."""
    changed = module()
    assert absorb_registers(changed) == 1
    assert list(changed["cells"]) == ["product"]
    product = changed["cells"]["product"]
    pins = {port: bits[0] for port, bits in product["connections"].items()}
    assert (pins["P0"], pins["P1"], pins["P2"]) == (30, 31, 22)
    assert (pins["CLK0"], pins["CE0"], pins["RST0"]) == (CLOCK, "1", "0")
    assert {product["port_directions"][port] for port in ("CLK0", "CE0", "RST0")} == {"input"}
    assert product["parameters"] == {"REG_OUTPUT_CLK": "CLK0", "GSR": "DISABLED"}


def test_an_enable_moves_too():
    """Registers with one enable give it to the multiplier."""
    changed = module(CEMUX="CE", CE=ENABLE)
    changed["cells"]["low"] = register(20, 30, CEMUX="CE", CE=ENABLE)
    assert absorb_registers(changed) == 1
    assert changed["cells"]["product"]["connections"]["CE0"] == [ENABLE]


@pytest.mark.parametrize(
    "changes",
    [{"LSR": 4}, {"REGSET": "SET"}, {"CLKMUX": "INV"}, {"CEMUX": "INV", "CE": ENABLE}, {"CLK": 5},
     {"CEMUX": "CE", "CE": ENABLE}],
    ids=["reset", "starts at 1", "falling edge", "inverted enable", "two clocks", "two enables"],
)  # fmt: skip
def test_other_registers_stay(changes):
    """Nothing changes if a register does what the multiplier's cannot, or as not all do."""
    changed = module(**changes)
    before = copy.deepcopy(changed)
    assert absorb_registers(changed) == 0
    assert changed == before


@pytest.mark.parametrize("reader", ["port", "cell", "no register"])
def test_a_product_that_goes_elsewhere_keeps_its_registers(reader):
    """Nothing changes if a bit is read by anything but one register."""
    changed = module()
    match reader:
        case "port":
            changed["ports"]["p"] = {"direction": "output", "bits": [21]}
        case "cell":
            changed["cells"]["more"] = cell("LUT4", {"Z": 40}, A=21)
        case _:
            changed["cells"]["high"] = cell("LUT4", {"Z": 31}, A=21)
    before = copy.deepcopy(changed)
    assert absorb_registers(changed) == 0
    assert changed == before


def test_a_netlist_of_yosys():
    """Of a product that is registered once, no flip-flop is left; of one that is used, all are."""
    text = """module two (input clk, input [17:0] a, b, output reg [35:0] p, q, output r);
      wire [35:0] also = a[8:0] * b;
      assign r = ^also;
      always @(posedge clk) begin p <= a * b; q <= also; end
    endmodule"""
    netlist = synthesise(text, "ecp5", "two")
    assert netlist.cells["MULT18X18D"] == 2
    assert netlist.cells["TRELLIS_FF"] == 27
