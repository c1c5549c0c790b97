"""Writes a machine's RTL and the page of its registers."""

import re
from pathlib import Path

from backspike.gen.clean import waivers
from backspike.gen.machine import Accelerator, top_name
from backspike.ir.errors import UserError
from backspike.sim.verilator.machine_model import machine_verilog
from backspike.system.files import write_file

PREFIX = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
"""What Verilog and VHDL both take as a name."""
LONGEST = 64
"""Letters of a prefix."""
PAGE = "registers.md"
WORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
before begin bind bins bit break buf bufif0 bufif1 byte case casex casez cell chandle checker
class clocking cmos config const constraint context continue cover covergroup coverpoint cross
deassign default defparam design disable dist do edge else end endcase endchecker endclass
endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually
expect export extends extern final first_match for force foreach forever fork forkjoin function
generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies
import incdir include initial inout input inside instance int integer interconnect interface
intersect join join_any join_none large let liblist library local localparam logic longint
macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive
priority program property protected pull0 pull1 pulldown pullup pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos
rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence
shortint shortreal showcancelled signed small soft solve specify specparam static string strong
strong0 strong1 struct super supply0 supply1 table tagged task this throughout time timeprecision
timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique unique0
unsigned until until_with untyped use var vectored virtual void wait wait_order wand weak weak0
weak1 while wildcard wire with within wor xnor xor
"""
RESERVED = frozenset(WORDS.split())
"""Words of Verilog (IEEE 1364-2005) and SystemVerilog (IEEE 1800-2017): no name of a module."""


def check_prefix(prefix: str) -> None:
    """Raises UserError unless `prefix` can be the name of a module."""
    if not PREFIX.fullmatch(prefix):
        raise UserError(
            f"prefix is {prefix!r}, must be a letter, then letters, digits and single underscores"
        )
    if prefix in RESERVED:
        raise UserError(f"prefix is {prefix!r}, a word of Verilog, must be another")
    if len(prefix) > LONGEST:
        raise UserError(f"prefix has {len(prefix)} letters, must have up to {LONGEST}")


def machine_files(machine: Accelerator, prefix: str | None = None) -> dict[str, str]:
    """Text of every file of the machine's folder, by name: the Verilog, Verilator's waivers for
    it, and the registers. prefix: of all modules, instead of `top_name`."""
    name = prefix or top_name(machine)
    return {
        f"{name}.v": machine_verilog(machine, prefix),
        f"{name}.vlt": waivers(name),
        PAGE: machine.page(),
    }


def write_machine(machine: Accelerator, folder: Path, prefix: str | None = None) -> list[Path]:
    """Write the machine's files into `folder`, each whole; returns their paths."""
    return write_files(machine_files(machine, prefix), folder)


def write_files(files: dict[str, str], folder: Path) -> list[Path]:
    """Write texts by their paths in `folder`, each whole; returns where they are."""
    paths = []
    for name, text in files.items():
        write_file(folder / name, text.encode())
        paths.append(folder / name)
    return paths
