"""Two real images' spectra, from one of both."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.spectral.column_pairs import PLACE, pair_layout
from backspike.gen.spectral.layout import flow, separated_width, spectrum_width
from backspike.gen.spectral.machine import SpectralMachine


def parts_layout(width: int) -> data.StructLayout:
    """The real or imaginary parts of two images' numbers, and their place."""
    return data.StructLayout(
        {"image": signed(width), "reference": signed(width), "imaginary": 1, "place": PLACE}
    )


class Separate(wiring.Component):
    """From Z[r, k] and Z[-r, -k] of image + j reference: twice both images' spectra at (r, k).

    The real parts leave when the second of the two numbers is in, the imaginary parts the cycle
    after.

    Latency: `latency` cycles from the second number to the real parts. Throughput: one number a
    cycle.

    Ports: i: `flow` of `pair_layout`; o: `flow` of `parts_layout`.
    """

    latency = 1

    def __init__(self, machine: SpectralMachine):
        self._machine = machine
        pairs, parts = pair_layout(machine), parts_layout(separated_width(machine))
        super().__init__(
            {
                "i": In(flow(pairs)),
                "o": Out(flow(parts)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = spectrum_width(self._machine)
        shape = pair_layout(self._machine)["z"].shape
        here = Signal(shape, reset_less=True)
        mirrored = Signal(shape, reset_less=True)
        place = Signal(PLACE, reset_less=True)
        imaginary = Signal()  # the imaginary parts' turn
        now = self.i.payload
        complete = Signal()
        m.d.comb += complete.eq(self.i.valid & now.mirrored)
        with m.If(self.i.valid & ~now.mirrored):
            m.d.sync += here.eq(now.z)
        with m.If(complete):
            m.d.sync += [mirrored.eq(now.z), place.eq(now.place)]
        m.d.sync += imaginary.eq(complete)

        # One adder an image: a + b, or a - b when the imaginary parts have their turn.
        def combine(name: str, a, b):
            left = Signal(signed(width), name=f"{name}_left")
            right = Signal(signed(width), name=f"{name}_right")
            result = Signal(signed(width + 1), name=name, reset_less=True)
            m.d.comb += [
                left.eq(Mux(imaginary, a[1], a[0])),
                right.eq(Mux(imaginary, ~b[1], b[0])),
            ]
            m.d.sync += result.eq(left + right + imaginary)
            return result

        image = combine("image", (here.re, here.im), (now.z.re, mirrored.im))
        reference = combine("reference", (now.z.im, mirrored.re), (here.im, here.re))
        valid = Signal()
        is_imaginary = Signal(reset_less=True)
        out_place = Signal(PLACE, reset_less=True)
        m.d.sync += [
            valid.eq(complete | imaginary),
            is_imaginary.eq(imaginary),
            out_place.eq(Mux(imaginary, place, now.place)),
        ]
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.payload.image.eq(image),
            self.o.payload.reference.eq(reference),
            self.o.payload.imaginary.eq(is_imaginary),
            self.o.payload.place.eq(out_place),
        ]
        return m
