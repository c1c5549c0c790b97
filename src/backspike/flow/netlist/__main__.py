"""A board's netlist trains, or compares pictures: `python -m backspike.flow.netlist`."""

import sys

from backspike.flow.netlist.lockstep import main

if __name__ == "__main__":
    sys.exit(main())
