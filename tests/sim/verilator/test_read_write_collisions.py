"""sim.collisions: a row that is read in the cycle that writes it is spoiled, and no other."""

import numpy as np
import pytest

from backspike.gen.core.top import Core
from backspike.gen.emit import emit
from backspike.gen.machine import MACHINES
from backspike.gen.memory.rows import READ_LATENCY, RowMemory
from backspike.sim.bench.array_bench import ArrayBench
from backspike.sim.verilator.read_write_collisions import MARK, spoiled

WIDTH, DEPTH = 16, 4


@pytest.mark.verilator
def test_a_row_read_while_written_is_the_complement_of_the_old_one():
    """Random traffic on a memory: a row read while written comes back inverted, others whole."""
    rng = np.random.default_rng(5)
    memory = ArrayBench(RowMemory(width=WIDTH, depth=DEPTH), "row_memory_spoiled")
    cycles = 2000
    enable, written, read = rng.integers(0, (2, DEPTH, DEPTH), (cycles, 3)).T
    data = rng.integers(0, 1 << WIDTH, cycles)
    out = memory(write__en=enable, write__addr=written, write__data=data, read0__addr=read)
    rows = np.zeros(DEPTH, np.uint16)
    met = 0
    for cycle in range(cycles - READ_LATENCY):
        meets = enable[cycle] and written[cycle] == read[cycle]
        want = ~rows[read[cycle]] if meets else rows[read[cycle]]
        got = int(out["read0__data"][cycle + READ_LATENCY])
        assert got == int(want), f"cycle {cycle}: got {got:#x}, want {int(want):#x}"
        met += meets
        if enable[cycle]:
            rows[written[cycle]] = data[cycle]
    assert met > 100


def test_every_marked_memory_of_a_core_is_spoiled():
    """Every marked memory in a core's Verilog gets the collision, on the same lines."""
    text = emit(Core(MACHINES["tiny"]), "backspike_core")
    changed = spoiled(text)
    assert len(changed.splitlines()) == len(text.splitlines())
    assert changed.count(" ? ~") >= text.count(f"(* {MARK}") > 10


def test_a_design_without_such_memories_stays():
    """Verilog without a marked memory comes back as the same text."""
    text = "module a(input clk);\n  reg [1:0] m [3:0];\nendmodule\n"
    assert spoiled(text) is text


PLAIN = f"""\
module a(clk, we, wa, d, ra, q);
  (* {MARK} = 32'd1 *)
  (* ram_style = "block" *)
  reg [7:0] \\m$1 [3:0];
  always @(posedge clk) begin
    if (we)
      \\m$1 [wa[1:0]][3:0] <= d[3:0];
  end
  always @(posedge clk)
    q <= \\m$1 [{{ ra, x[2:1] }}];
endmodule
"""


def test_addresses_with_brackets_and_escaped_names():
    """Addresses with brackets and escaped names are rewritten whole."""
    line = "    q <= (((we) && (wa[1:0]) == ({ ra, x[2:1] }))) ? "
    row = "\\m$1 [{ ra, x[2:1] }]"
    assert f"{line}~{row} : {row};\n" in spoiled(PLAIN)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("      \\m$1 [wa[1:0]][3:0] <= d[3:0];", "      n <= d;", "nothing is written to it"),
        ("x[2:1] }];", "x[2:1] }] + 1;", "is read by"),
    ],
)
def test_what_is_written_otherwise_is_refused(old, new, why):
    """A marked memory whose accesses are written differently is a ValueError that says why."""
    assert old in PLAIN
    with pytest.raises(ValueError, match=why):
        spoiled(PLAIN.replace(old, new))
