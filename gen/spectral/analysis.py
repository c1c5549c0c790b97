"""The analysis of a pair of images: from its transformed columns to the spectral sums."""

from amaranth.hdl import Module, ResetInserter, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.column_pairs import ColumnPairs
from backspike.gen.spectral.cumulate import Cumulate
from backspike.gen.spectral.layout import LOG, column_layout
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.scale import Scale
from backspike.gen.spectral.separate import Separate
from backspike.gen.spectral.spectral_sums import SpectralSums, energy_width, spectral_total_width

ENERGIES = ("saa", "sbb", "sab")
TOTALS = ("ta", "tb")


class Analysis(wiring.Component):
    """Scales a pair's columns, separates the images' spectra, cumulates, multiplies and sums.

    The sums are those of `SpectralSums`, and stay until `clear`.

    Throughput: one word a cycle. Latency: 3 H + `latency` cycles at the most from the last word
    until `busy` is low.

    Ports: clear: forget everything; a pair may begin in the next cycle. log_height, log_width:
    constant while busy, H and W of 8 … size. i: stream of `column_layout`, columns in the order
    0, 1, W-1, 2, W-2 … W/2, each row once in any order; after W columns no more is taken. busy:
    from the cycle after the first word until the sums are whole. saa, sbb, sab: `energy_width`
    bits, ta, tb: `spectral_total_width` bits, signed.
    """

    # The last part follows the last of the read numbers a cycle later, `busy` falls one after that.
    latency = sum(c.latency for c in (Scale, ColumnPairs, Separate, Cumulate, SpectralSums)) + 1

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        energy = Out(signed(energy_width(machine)))
        total = Out(signed(spectral_total_width(machine)))
        super().__init__(
            {
                "clear": In(1),
                "log_height": In(LOG),
                "log_width": In(LOG),
                "i": In(stream.Signature(column_layout(machine))),
                "busy": Out(1),
                **dict.fromkeys(ENERGIES, energy),
                **dict.fromkeys(TOTALS, total),
            }
        )

    def elaborate(self, platform):
        m = Module()
        scale = Scale(self._machine)
        pairs = ColumnPairs(self._machine)
        separate = Separate(self._machine)
        cumulate = Cumulate(self._machine)
        sums = SpectralSums(self._machine)
        parts = {
            "scale": scale,
            "column_pairs": pairs,
            "separate": separate,
            "cumulate": cumulate,
            "spectral_sums": sums,
        }
        for name, part in parts.items():
            m.submodules[name] = ResetInserter(self.clear)(part)
        wiring.connect(m, wiring.flipped(self.i), scale.i)
        wiring.connect(m, scale.o, pairs.i)
        wiring.connect(m, pairs.o, separate.i)
        wiring.connect(m, separate.o, cumulate.i)
        wiring.connect(m, cumulate.o, sums.i)
        m.d.comb += [
            pairs.log_height.eq(self.log_height),
            pairs.log_width.eq(self.log_width),
            *(getattr(self, name).eq(getattr(sums, name)) for name in ENERGIES + TOTALS),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += self.busy.eq(1)
        with m.If(self.clear | sums.done):
            m.d.sync += self.busy.eq(0)
        return m
