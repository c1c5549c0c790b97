"""What the table of windows has of a connection: where each pixel's sources lie, by axis.

All divisions, edges and paddings of a convolution end here: the core walks entries. A connection
that is dense or an identity has windows, too: of one pixel.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backspike.gen.core.shared.window import ENTRY, OTHERS, PLANE, SOURCES
from backspike.ir.constants import ceil_div

Words = list[int]


@dataclass(frozen=True)
class Axis:
    """A window along one axis: so many sources, targets and taps; target o's tap k is source
    o * stride - padding + k."""

    sources: int
    targets: int
    taps: int = 1
    stride: int = 1
    padding: int = 0

    def forward(self, target: int) -> tuple[int, int, int]:
        """Of a target: (first source, its tap, how many there are)."""
        first = target * self.stride - self.padding
        begin, end = max(first, 0), min(first + self.taps, self.sources)
        return (begin, begin - first, end - begin) if end > begin else (0, 0, 0)

    def backward(self, source: int) -> tuple[int, int, int]:
        """Of a source: (its target with the first tap, that tap, how many there are): each further
        tap is `stride` on, of the target before."""
        at = source + self.padding
        taps = [
            tap
            for tap in range(at % self.stride, self.taps, self.stride)
            if 0 <= (at - tap) // self.stride < self.targets
        ]
        return ((at - taps[0]) // self.stride, taps[0], len(taps)) if taps else (0, 0, 0)

    def met(self, tap: int) -> tuple[int, int, int]:
        """Of a tap: (first target that it meets a source of, that source, how many there are)."""
        low = max(0, ceil_div(self.padding - tap, self.stride))
        high = min(self.targets - 1, (self.sources - 1 + self.padding - tap) // self.stride)
        first = low * self.stride - self.padding + tap
        return (low, first, high - low + 1) if high >= low else (0, 0, 0)
