"""Small cases of what `backspike bench` measures."""

from backspike.bench.densities import Case
from backspike.bench.shapes import Shape
from backspike.gen.machine import MACHINES

TINY = MACHINES["tiny"]
WIDTH = 16
"""Small enough for `tiny`."""
SMALL = (64, 12, 10)
GATED = Case("gated", 0.4, 1.0, ("mpd-ed", "mpd-ed"), ("fp", "bp", "wg"))
SPARSE = Case("sparse errors", 0.4, 0.3, ("bptt", "mpd-ed"), ("bp",))
LAYER = Shape(10, 7, 3, 0.4, batch=5)
