"""Netlists as Yosys writes them, made by hand; and a design that a whole flow takes seconds for."""

from backspike.flow.build import Design
from backspike.flow.toolchain.family import FAMILIES
from backspike.gen.boards.board import BOARDS, Board

ULX3S, ICEBREAKER, TANG = (BOARDS[name] for name in ("ulx3s-25f", "icebreaker", "tang-nano-20k"))
PINS = {"ulx3s-25f": ("G2", "B2"), "icebreaker": ("35", "11"), "tang-nano-20k": ("4", "15")}
"""Oscillator and a light."""
PIN = {
    "ecp5": 'LOCATE COMP "{name}" SITE "{site}";\nIOBUF PORT "{name}" IO_TYPE=LVCMOS33;\n',
    "ice40": "set_io {name} {site}\n",
    "gowin": 'IO_LOC "{name}" {site};\n',
}
COUNTERS = """\
module counter (
  input clk, input [{high}:0] step, output reg [{high}:0] count
);
  always @(posedge clk) count <= count + step;
endmodule

module top (
  input clk, output led
);
  wire [{high}:0] first, second;
  counter one (.clk(clk), .step({bits}'d3), .count(first));
  counter two (.clk(clk), .step(first), .count(second));
  assign led = second[{high}];
endmodule
"""
MEMORY = """\
module top (
  input clk, output reg led
);
  reg [255:0] words [0:1023];
  reg [255:0] word;
  reg [9:0] at;
  always @(posedge clk) begin
    at <= at + 1;
    words[at + 1'b1] <= {word[254:0], at[9]};
    word <= words[at];
    led <= ^word;
  end
endmodule
"""
"""64 of iCE40's memory blocks."""


def counters(board: Board, bits: int = 8) -> Design:
    """Two counters, of which the first steps the second."""
    return design(board, "counters", COUNTERS.format(bits=bits, high=bits - 1))


def design(board: Board, name: str, text: str) -> Design:
    """A text with the pins clk and led on a board."""
    pins = zip(("clk", "led"), PINS[board.name], strict=True)
    constraints = "".join(PIN[board.family].format(name=n, site=site) for n, site in pins)
    return Design(name, {"top.v": text, f"top.{FAMILIES[board.family].constraints}": constraints})


def cell(kind: str, src: str = "", **ports: int) -> dict:
    """A cell of a netlist; a port whose name is upper case is driven by it."""
    return {
        "type": kind,
        "attributes": {"src": src} if src else {},
        "port_directions": {name: "output" if name.isupper() else "input" for name in ports},
        "connections": {name: [bit] for name, bit in ports.items()},
    }


def scope(module: str) -> dict:
    """What is left of an instance."""
    return {
        "type": "$scopeinfo",
        "attributes": {"module": module},
        "port_directions": {},
        "connections": {},
    }


def module(cells: dict[str, dict], **nets: int) -> dict:
    """A flattened module; nets are named by `__` for a dot."""
    return {
        "cells": cells,
        "netnames": {
            name.replace("__", "."): {"hide_name": 0, "bits": [bit]} for name, bit in nets.items()
        },
    }
