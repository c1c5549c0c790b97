"""ECP5's block memories are not asked to show a place while it is written, where nobody looks.

Yosys asks for what was there before (READBEFOREWRITE) wherever it may choose. The part can do so
for words of 9 bits and more only.
"""

from collections import Counter

from backspike.flow.toolchain.carry_logic import count_readers
from backspike.system.tools import ToolFailed

MEMORY, BEFORE, USUAL = "DP16KD", "READBEFOREWRITE", "NORMAL"
LEAST = 9
"""Bits of a word, of those that can be read before they are written."""
WORD = 18
"""Bits of a port."""


def plain_modes(module: dict) -> int:
    """Gives ports that only read or only write the usual mode, and says how many.

    module: of a flattened netlist in Yosys' JSON; it is changed. ToolFailed if a port of short
    words does both.
    """
    cells = module["cells"]
    readers = count_readers(module)
    changed = 0
    for name, cell in cells.items():
        if cell["type"] != MEMORY:
            continue
        for port in "AB":
            width = int(cell["parameters"][f"DATA_WIDTH_{port}"], 2)
            if width >= LEAST or cell["parameters"].get(f"WRITEMODE_{port}") != BEFORE:
                continue
            if _writes(cell, port) and _reads(cell, port, readers):
                raise ToolFailed(
                    f"memory {name} shows what it had in words of {width} bits while it writes, "
                    f"must have {LEAST} bits or more for that"
                )
            cell["parameters"][f"WRITEMODE_{port}"] = USUAL
            changed += 1
    return changed


def _writes(cell: dict, port: str) -> bool:
    return cell["connections"].get(f"WE{port}", ["0"]) != ["0"]


def _reads(cell: dict, port: str, readers: Counter) -> bool:
    outputs = (cell["connections"].get(f"DO{port}{n}", ()) for n in range(WORD))
    return any(readers[bit] for bits in outputs for bit in bits)
