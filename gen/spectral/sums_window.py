"""What the host sees of a pair's sums."""

from amaranth.hdl import Array, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from backspike.gen.host.bus import WORD, HostBus

SUMS = {
    "saa": "Σ cA conj cA, cA the cumulative spectra of the image without frequency 0",
    "sbb": "Σ cB conj cB, cB the reference's",
    "sab": "Σ Re(cA conj cB)",
    "ta": "Σ Re cA over the lower half",
    "tb": "Σ Re cB over the lower half",
    "x": "Σ of the image's samples x",
    "y": "Σ of the reference's samples y",
    "xx": "Σ x²",
    "yy": "Σ y²",
    "xy": "Σ x y",
}
"""What a pair's run finds, as golden's `Sums` has it."""
SUM_WORDS = 3
"""Words of a sum: 96 bits hold any of the largest machine's."""


class SumsWindow(wiring.Component):
    """Shows the sums as words, SUM_WORDS each, lowest first; read only.

    Latency: a read answers 2 cycles after its request. Throughput: a read every cycle.

    Ports: host; a sum by each name of SUMS, signed.
    """

    def __init__(self):
        super().__init__(
            {
                "host": In(HostBus(ceil_log2(len(SUMS) * SUM_WORDS))),
                **dict.fromkeys(SUMS, In(signed(SUM_WORDS * WORD))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = [
            getattr(self, name).word_select(n, WORD) for name in SUMS for n in range(SUM_WORDS)
        ]
        request, response = self.host.request, self.host.response
        address = Signal(len(request.payload.address), reset_less=True)
        word = Signal(WORD, reset_less=True)
        asked, found = Signal(), Signal()
        m.d.sync += [
            address.eq(request.payload.address),
            asked.eq(request.valid),
            word.eq(Array(words)[address]),
            found.eq(asked),
        ]
        m.d.comb += [
            request.ready.eq(1),
            response.valid.eq(found),
            response.payload.data.eq(word),
        ]
        return m
