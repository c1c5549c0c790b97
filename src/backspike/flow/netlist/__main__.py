"""A board's netlist trains, or compares pictures: `python -m backspike.flow.netlist`."""

import sys

from backspike.flow.netlist.lockstep import main
from backspike.system.program import run_program

if __name__ == "__main__":
    sys.exit(run_program(main))
