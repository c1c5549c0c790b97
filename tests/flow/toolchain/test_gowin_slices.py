"""flow.toolchain.gowin_slices: places of a Gowin part that LUT4 and flip-flops share, or not."""

import pytest

from backspike.flow.toolchain.gowin_slices import places
from tests.support.netlists import cell, module


@pytest.mark.parametrize(
    ("cells", "want"),
    [
        ({"lut": cell("LUT3", F=5), "ff": cell("DFFRE", D=5, Q=6)}, 1),
        ({"alu": cell("ALU", SUM=5, COUT=4), "ff": cell("DFF", D=5, Q=6)}, 1),
        # Of two flip-flops one is beside the LUT4.
        ({"lut": cell("LUT4", F=5), "a": cell("DFF", D=5, Q=6), "b": cell("DFFE", D=5, Q=7)}, 2),
        # What a flip-flop, an input, a constant or a wide multiplexer feeds is alone.
        ({"a": cell("DFF", D=5, Q=6), "b": cell("DFF", D=6, Q=7), "lut": cell("LUT1", F=8)}, 3),
        ({"mux": cell("MUX2_LUT5", O=5), "ff": cell("DFF", D=5, Q=6)}, 1),
        ({"ff": {"type": "DFFS", "connections": {"D": ["0"], "Q": [6]}}}, 1),
        ({"ram": cell("RAM16SDP4", DO=5), "ff": cell("DFF", D=5, Q=6)}, 9),
        ({"block": cell("SDPX9B", DO=5), "dsp": cell("MULT18X18", DOUT=6)}, 0),
    ],
)
def test_places(cells, want):
    """A flip-flop shares the place of the LUT4 that feeds it alone, and of no other cell."""
    assert places(module(cells)) == want
