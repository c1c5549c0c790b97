"""Windows: their pixels in the order of plain loops, each where the formula has it."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.shared.window import CELLS, EXTENT_BITS, STRIDES, spot_layout
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.blocks import BITS
from backspike.sim.proofs.proof import Bug, Load, Proof

WINDOW = "core.shared.window"


class SideLoops:
    """Loops along a side of a window: over its cells, and over the pixels of a cell, until the
    side ends.

    more: pixels of a cell after its first; extent: of the side, in pixels; within: from a pixel to
    the next one of its cell, sources; beyond: (source, other) from a cell's last to the next cell.
    """

    def __init__(self, axis: str, more, extent, within, beyond):
        self._more, self._extent, self._within, self._beyond = more, extent, within, beyond
        self.at, self._part = (Signal(EXTENT_BITS, name=f"{n}_{axis}") for n in ("at", "part"))
        self.cell = Signal(BITS, name=f"cell_{axis}")
        self.far = [Signal(BITS, name=f"{n}_far_{axis}") for n in ("source", "other")]
        """How far the pixel in hand lies from the first, summed up."""

    @property
    def last(self) -> Value:
        """The pixel in hand is the side's last."""
        return self.at + 1 == self._extent

    @property
    def at_begin(self) -> Value:
        """It is its first."""
        return Cat(self.at, self._part, self.cell, *self.far) == 0

    def begin(self) -> list:
        """Statements that go to the first pixel."""
        return [signal.eq(0) for signal in (self.at, self._part, self.cell, *self.far)]

    def count(self) -> list:
        """Statements that go to the next one."""
        over, (source, other), (beyond, apart) = self._part == self._more, self.far, self._beyond
        return [
            self.at.eq(self.at + 1),
            self._part.eq(Mux(over, 0, self._part + 1)),
            self.cell.eq(self.cell + over),
            source.eq(source + Mux(over, beyond, self._within)),
            other.eq(other + Mux(over, apart, 0)),
        ]

    def formula(self, bench: Bench) -> None:
        """The sums are what the numbers of cell and pixel say."""
        (source, other), (beyond, apart) = self.far, self._beyond
        each = self._more * self._within + beyond
        bench.always(source == (self.cell * each + self._part * self._within)[:BITS])
        bench.always(other == (self.cell * apart)[:BITS])

    def registers(self, bench: Bench, side) -> None:
        """How the registers of a `Side` belong to the loops, while these are under way."""
        bench.always((side._at == self.at) & (side._part == self._part))
        bench.always((self._part <= self._more) & (self._part <= self.at))


class WindowLoops:
    """Loops over a window's rows, and over each row's columns.

    strides: what the table has of the connection; spot: where the window begins, in block 0, and
    its size. Both stay while the loops are under way.
    """

    def __init__(self, strides, spot):
        sources, others, cells = strides.sources, strides.others, strides.cells
        self.spot, self._bits = spot, cells.bits
        beyond = cells.y_next, others.y_other
        self.y = SideLoops("y", cells.y_more, spot.height, sources.y_source, beyond)
        beyond = cells.x_next, others.x_other
        self.x = SideLoops("x", cells.x_more, spot.width, sources.x_source, beyond)
        self.bit = Signal(CELLS["bits"].width, name="bit_due")
        """The column's number, modulo columns that are one number's bits."""

    @property
    def empty(self) -> Value:
        """It has no column, or no row: one step stands for it."""
        return (self.spot.height == 0) | (self.spot.width == 0)

    @property
    def at_begin(self) -> Value:
        """The pixel in hand is the window's first."""
        return self.x.at_begin & self.y.at_begin & (self.bit == 0)

    @property
    def last_column(self) -> Value:
        """It is its row's last."""
        return self.empty | self.x.last

    @property
    def last(self) -> Value:
        """It is the window's."""
        return self.empty | (self.x.last & self.y.last)

    @property
    def far(self) -> list[Value]:
        """[source, other]: how far the pixel lies from the window's first one."""
        return [(y + x)[:BITS] for y, x in zip(self.y.far, self.x.far, strict=True)]

    def begin(self) -> list:
        """Statements that go to the first pixel."""
        return [self.bit.eq(0), *self.x.begin(), *self.y.begin()]

    def count(self, m: Module) -> None:
        """Goes to the next one."""
        with m.If(self.last_column):
            m.d.sync += [self.bit.eq(0), *self.x.begin(), *self.y.count()]
        with m.Else():
            m.d.sync += self.x.count()
            m.d.sync += self.bit.eq(Mux(self.bit == self._bits, 0, self.bit + 1))

    def registers(self, bench: Bench, window, source, other) -> None:
        """How the registers of a `Window` belong to the loops, while these are under way; source,
        other: where its first pixel lies."""
        self.x.registers(bench, window._x)
        self.y.registers(bench, window._y)
        (line_source, line_other), (far_source, far_other) = self.y.far, self.far
        bench.always(Value.cast(window.spot) == Value.cast(self.spot))
        bench.always(self.empty | ((self.x.at < self.spot.width) & (self.y.at < self.spot.height)))
        bench.always(~self.empty | self.at_begin)
        bench.always(window.line_source == (source + line_source)[:BITS])
        bench.always(window.line_other == (other + line_other)[:BITS])
        bench.always(window.pixel_source == (source + far_source)[:BITS])
        bench.always(window.pixel_other == (other + far_other)[:BITS])
        bench.always((window.bit == self.bit) & (self.bit <= self._bits))


class Walker(wiring.Component):
    """A `Window` that is walked through: each window from its `begin`, a pixel with each `next`."""

    def __init__(self, window):
        self._window = window
        layout = spot_layout(BITS, BITS)
        inputs = {"begin": 1, "next": 1, "spot": layout, "source": BITS, "strides": STRIDES}
        outputs = {"bit": CELLS["bits"].width, "empty": 1, "last_column": 1, "last": 1}
        places = {"pixel_source": BITS, "pixel_other": BITS}
        super().__init__(
            {name: In(shape) for name, shape in inputs.items()}
            | {name: Out(shape) for name, shape in (outputs | places).items()}
        )

    def elaborate(self, platform):
        m = Module()
        window = self._window(BITS, BITS)
        for name in ("bit", "empty", "last_column", "last", "pixel_source", "pixel_other"):
            m.d.comb += getattr(self, name).eq(getattr(window, name))
        with m.If(self.begin):
            spot = self.spot
            m.d.sync += window.begin(spot.as_value(), self.source, spot.other)
        with m.Elif(self.next):
            window.next(m, self.strides)
        return m


def window(load: Load) -> Bench:
    """Windows of any size are walked, each with strides of its own, one after the other.

    A window begins when it likes, also while another is under way, and `next` comes when it likes,
    but not after the last pixel.
    """
    bench = Bench()
    inside = bench.device(Walker(load(WINDOW).Window), "walker", wired=("strides",))
    device, m = inside.component, bench.module
    under_way, begun = Signal(name="under_way"), Signal(BITS, name="begun_source")
    spot = Signal(spot_layout(BITS, BITS), name="begun_spot")
    strides = Signal(STRIDES, name="strides_due")
    m.d.comb += Value.cast(device.strides).eq(strides)
    loops = WindowLoops(strides, spot)
    other_strides = bench.free(Signal(STRIDES.size, name="next_strides"))
    with m.If(device.begin):
        m.d.sync += [under_way.eq(1), begun.eq(device.source), *loops.begin()]
        m.d.sync += [Value.cast(spot).eq(device.spot), Value.cast(strides).eq(other_strides)]
    with m.Elif(device.next):
        loops.count(m)
    bench.given(~device.next | (under_way & (device.begin | ~loops.last)))
    far_source, far_other = loops.far
    with m.If(under_way):
        bench.always((device.empty == loops.empty) & (device.last == loops.last))
        bench.always((device.last_column == loops.last_column) & (device.bit == loops.bit))
        bench.always(device.pixel_source == (begun + far_source)[:BITS])
        bench.always(device.pixel_other == (spot.other + far_other)[:BITS])
        loops.registers(bench, inside["window"], begun, spot.other)
        for side in (loops.x, loops.y):
            side.formula(bench)
    cells = strides.cells
    moves = under_way & device.next & ~device.begin
    bench.possible(moves & (loops.y.cell == 1) & (loops.x.cell == 1) & (cells.x_more == 1))
    bench.possible(
        under_way & loops.last & (loops.x.at == 2) & (loops.bit == 0) & (cells.bits == 1)
    )
    bench.possible(under_way & loops.empty & (spot.width == 3))
    return bench


PROOFS = (
    Proof(
        name="window",
        claim="a window's pixels come row by row, column by column and cell by cell, each where "
        "the formula has it, the last one marked; an empty window is one step",
        bench=window,
        depth=1,
        search=12,
        bugs=(
            Bug(
                "a row begins where the row before has ended",
                WINDOW,
                "self.line_source.eq(source),",
                "",
            ),
            Bug(
                "all rows of a window are of one cell",
                WINDOW,
                "self.line_source + Mux(y_leaves, cells.y_next, sources.y_source)",
                "self.line_source + sources.y_source",
            ),
            Bug(
                "all pixels of a cell have weights of their own",
                WINDOW,
                "Mux(x_leaves, others.x_other, 0)",
                "others.x_other",
            ),
            Bug(
                "an empty window is as large as a window can be",
                WINDOW,
                "return self.empty | self._x.last",
                "return self._x.last",
            ),
            Bug(
                "a row begins within the number that the row before has ended with",
                WINDOW,
                """                *self._y.next(cells.y_more),
                self.bit.eq(0),
""",
                """                *self._y.next(cells.y_more),
""",
            ),
        ),
    ),
)
