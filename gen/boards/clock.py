"""A board's clock and reset: oscillator, PLL, and a reset until all is well."""

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from backspike.gen.boards.pll import MHZ, Dividers, dividers

HOLD = 20e-6
"""Seconds of reset after the lock: an iCE40's block RAM reads zeros for 3 us after configuration,
and five times as long is what others wait."""


def hold_cycles(frequency: int) -> int:
    """Cycles of reset after its last cause, at a clock of so many Hz."""
    return round(HOLD * frequency)


class Clock(wiring.Component):
    """Makes the core's clock of the board's oscillator; holds the reset while it must.

    `rst` is high from configuration on, while the PLL has not locked, while `pressed` is high (of
    any clock), and for HOLD seconds after that; it changes with `clk`.

    Parameters: family; frequency, of `clk` in Hz. Ports: pressed; clk; rst.
    Elaborates on a platform only, whose default clock is the oscillator.
    Errors: ValueError if the PLL cannot make the frequency.
    """

    def __init__(self, family: str, frequency: int):
        self.family, self.frequency = family, frequency
        super().__init__({"pressed": In(1), "clk": Out(1), "rst": Out(1)})

    def elaborate(self, platform):
        m = Module()
        source = round(platform.default_clk_frequency)
        setting = dividers(self.family, source, self.frequency)
        pin = platform.request(platform.default_clk, dir="-")
        locked = Signal()
        make = {"ecp5": self._ecp5, "ice40": self._ice40, "gowin": self._gowin}[self.family]
        make(m, pin, setting, source, locked)

        # Its own domain: what makes the reset must not be reset.
        m.domains.start = ClockDomain(reset_less=True, local=True)
        m.d.comb += ClockSignal("start").eq(self.clk)
        well = Signal()
        m.submodules.well = FFSynchronizer(locked & ~self.pressed, well, o_domain="start")
        hold = hold_cycles(self.frequency)
        waited = Signal(range(hold + 1))
        held = Signal(init=1)
        self._spread(m, held)
        with m.If(~well):
            m.d.start += [waited.eq(0), held.eq(1)]
        with m.Elif(waited != hold):
            m.d.start += waited.eq(waited + 1)
        with m.Else():
            m.d.start += held.eq(0)
        return m

    def _spread(self, m, held) -> None:
        """The reset out of its register to all that it resets: on ECP5 as a clock goes, since
        thousands of flip-flops across the part are too far for one cycle."""
        if self.family == "ecp5":
            m.submodules.spread = Instance("DCCA", i_CLKI=held, i_CE=Const(1), o_CLKO=self.rst)
        else:
            m.d.comb += self.rst.eq(held)

    def _ecp5(self, m, pin, setting: Dividers, source: int, locked) -> None:
        """CLKOP feeds back, at the detector's rate; CLKOS is the clock."""
        m.submodules.pin = buffer = io.Buffer("i", pin)
        back = Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            # As Lattice's own tool sets the loop's filter for these rates.
            ("a", "ICP_CURRENT", "12"),
            ("a", "LPF_RESISTOR", "8"),
            ("a", "MFG_ENABLE_FILTEROPAMP", "1"),
            ("a", "MFG_GMCREF_SEL", "2"),
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=setting.input,
            p_CLKFB_DIV=1,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=setting.multiplier,
            p_CLKOP_CPHASE=setting.multiplier - 1,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=setting.output,
            p_CLKOS_CPHASE=setting.output - 1,
            i_CLKI=buffer.i,
            i_CLKFB=back,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(0),
            i_PHASESTEP=Const(0),
            i_PHASELOADREG=Const(0),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            i_ENCLKOS=Const(0),
            o_CLKOP=back,
            o_CLKOS=self.clk,
            o_LOCK=locked,
        )

    def _ice40(self, m, pin, setting: Dividers, source: int, locked) -> None:
        """The pin is the PLL's own."""
        # The loop filter's range, by the detector's rate in MHz.
        borders = (17, 26, 44, 66, 101)
        band = 1 + sum(setting.detector >= border * MHZ for border in borders)
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(setting.input - 1, 4),
            p_DIVF=Const(setting.multiplier - 1, 7),
            p_DIVQ=Const(setting.output.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(band, 3),
            i_PACKAGEPIN=pin.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=self.clk,
            o_LOCK=locked,
        )

    def _gowin(self, m, pin, setting: Dividers, source: int, locked) -> None:
        """The clock itself feeds back, inside."""
        m.submodules.pin = buffer = io.Buffer("i", pin)
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE="GW2AR-18C",
            p_FCLKIN=f"{source / MHZ:g}",
            p_IDIV_SEL=setting.input - 1,
            p_FBDIV_SEL=setting.multiplier - 1,
            p_ODIV_SEL=setting.output,
            p_CLKFB_SEL="internal",
            i_CLKIN=buffer.i,
            i_CLKFB=Const(0),
            i_RESET=Const(0),
            i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6),
            i_IDSEL=Const(0, 6),
            i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4),
            i_FDLY=Const(0, 4),
            o_CLKOUT=self.clk,
            o_LOCK=locked,
        )
