"""gen.boards.pll: a setting that makes the clock, within the data sheets' ranges, or an error."""

from fractions import Fraction

import pytest

from backspike.gen.boards.board import BOARDS
from backspike.gen.boards.pll import dividers

MHZ = 1_000_000


def check(family: str, pin: int, clock: int, found) -> None:
    """The formulas and ranges of each family's data sheet, written out once more."""
    i, n, q = found.input, found.multiplier, found.output
    detector = Fraction(pin, i)
    if family == "ecp5":  # VCO = CLKI / CLKI_DIV x CLKFB_DIV (1) x CLKOP_DIV; CLKOS = VCO / DIV
        vco = detector * n
        assert vco / q == clock
        assert 10 * MHZ <= detector <= 400 * MHZ
        assert 400 * MHZ <= vco <= 800 * MHZ
        assert all(1 <= by <= 128 for by in (i, n, q))
    elif family == "ice40":  # F = REF x (DIVF + 1) / (2^DIVQ x (DIVR + 1))
        divr, divf, divq = i - 1, n - 1, q.bit_length() - 1
        assert Fraction(pin * (divf + 1), 2**divq * (divr + 1)) == clock
        assert 10 * MHZ <= detector <= 133 * MHZ
        assert 533 * MHZ <= detector * (divf + 1) <= 1066 * MHZ
        assert 0 <= divr < 16
        assert 0 <= divf < 128
        assert 1 <= divq <= 6
        assert 16 * MHZ <= clock <= 275 * MHZ
    else:  # CLKOUT = CLKIN x (FBDIV_SEL + 1) / (IDIV_SEL + 1); VCO = CLKOUT x ODIV_SEL
        assert Fraction(pin * n, i) == clock
        assert 3 * MHZ <= detector <= 500 * MHZ
        assert 500 * MHZ <= clock * q <= 1250 * MHZ
        assert 1 <= i <= 64
        assert 1 <= n <= 64
        assert q in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@pytest.mark.parametrize(
    ("family", "pin", "clocks"),
    [
        ("ecp5", 25, (4, 25, 40, 50, 60, 75, 80, 90, 100, 125, 200)),
        ("ecp5", 50, (10, 50, 80, 100)),
        ("ice40", 12, (16.5, 18, 24, 30, 48)),
        ("gowin", 27, (4.5, 27, 48, 54, 60, 81, 108)),
    ],
)
def test_settings_make_the_clock(family, pin, clocks):
    """Dividers make the clock within the data sheet's ranges, for every family."""
    for clock in clocks:
        hertz = round(clock * MHZ)
        found = dividers(family, pin * MHZ, hertz)
        check(family, pin * MHZ, hertz, found)
        assert found.clock == hertz
        assert found.detector == Fraction(pin * MHZ, found.input)


@pytest.mark.parametrize("name", BOARDS)
def test_boards(name):
    """Every board's own clock can be made within the data sheet's ranges."""
    board = BOARDS[name]
    found = dividers(board.family, board.oscillator, board.clock)
    check(board.family, board.oscillator, board.clock, found)


def test_the_best_of_several():
    """50 MHz of 25: the detector at the pin's rate, the oscillator in the middle of 400 to 800."""
    found = dividers("ecp5", 25 * MHZ, 50 * MHZ)
    assert (found.input, found.multiplier, found.output) == (1, 24, 12)


@pytest.mark.parametrize(
    ("family", "pin", "clock", "message"),
    [
        ("ecp5", 25 * MHZ, 83 * MHZ, r"^clock is 83000000 Hz: the PLL of an ECP5 cannot make it "
         r"of 25000000 Hz \(next to it are 82812500 Hz and 83333333 Hz\)$"),
        ("ice40", 12 * MHZ, 12 * MHZ, r"of an iCE40 .* \(next to it are 16125000 Hz\)$"),
        ("gowin", 27 * MHZ, 2000 * MHZ, r"of a GW2A .* \(next to it are 621000000 Hz\)$"),
        ("ecp5", 5 * MHZ, 50 * MHZ, r"of 5000000 Hz \(8 to 400 MHz are allowed there\)$"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(family, pin, clock, message):
    """A clock that cannot be made is a ValueError with the nearest ones."""
    with pytest.raises(ValueError, match=message):
        dividers(family, pin, clock)
