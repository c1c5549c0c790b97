"""The boards that there is a top for, and what each has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from amaranth.build import Platform

from backspike.gen.boards.pll import dividers
from backspike.gen.link.uart import Rate
from backspike.ir.errors import UserError

try:
    from amaranth_boards.icebreaker import ICEBreakerPlatform
    from amaranth_boards.icepi_zero import IcepiZero1_3Platform
    from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform
except ModuleNotFoundError:
    raise UserError(
        "amaranth-boards is not installed: boards need it (pip install -e '.[boards]' in the "
        "checkout)"
    ) from None
from backspike.gen.boards.tang_nano_20k import TangNano20KPlatform

Pin = tuple[str, int] | tuple[str, int, str]
"""A resource of a platform: its name and number, and the name of a signal in it."""


@dataclass(frozen=True)
class Capacity:
    """What a part has. memories: block RAMs. dsps: 18 x 18 multipliers (iCE40: 16 x 16)."""

    lut4: int
    ffs: int
    memories: int
    dsps: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, its part, and how a core stands on it.

    platform: amaranth-boards' description of the pins. device, speed, package: of the part, as
    its maker names them (the package as place and route does). oscillator, clock: Hz at the pin,
    and of the core. baud: of the host link. uart, alive, error: pins of the link and the two lights
    (see `StatusLeds`); reset: a button, if there is one; high: pins to be held high.
    loader: the board's name for openFPGALoader.
    Errors: ValueError if PLL or link cannot run so.
    """

    name: str
    title: str
    platform: Callable[[], Platform]
    family: Literal["ecp5", "ice40", "gowin"]
    device: str
    speed: str
    package: str
    capacity: Capacity
    oscillator: int
    clock: int
    baud: int = 1_000_000
    uart: Pin = ("uart", 0)
    alive: Pin = ("led", 0)
    error: Pin = ("led", 1)
    reset: Pin | None
    high: tuple[Pin, ...] = ()
    loader: str

    def __post_init__(self) -> None:
        dividers(self.family, self.oscillator, self.clock)
        _ = self.rate

    @property
    def rate(self) -> Rate:
        """The host link's."""
        return Rate(self.clock, self.baud)


LFE5U_25F = Capacity(lut4=24_288, ffs=24_288, memories=56, dsps=28)
LFE5U_85F = Capacity(lut4=83_640, ffs=83_640, memories=208, dsps=156)
ICE40UP5K = Capacity(lut4=5_280, ffs=5_280, memories=30, dsps=8)
GW2AR_18 = Capacity(lut4=20_736, ffs=15_552, memories=46, dsps=48)

ULX3S = {
    "family": "ecp5",
    "speed": "6",
    "package": "CABGA381",
    "oscillator": 25_000_000,
    "reset": ("button_fire", 0),
    # The board's other processor starts anew, and takes the FPGA with it, if this falls.
    "high": (("esp32", 0, "gpio0"),),
    "loader": "ulx3s",
}

BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s-85f",
            title="ULX3S with LFE5U-85F",
            platform=ULX3S_85F_Platform,
            device="LFE5U-85F",
            capacity=LFE5U_85F,
            clock=80_000_000,
            **ULX3S,
        ),
        Board(
            name="ulx3s-25f",
            title="ULX3S with LFE5U-25F",
            platform=ULX3S_25F_Platform,
            device="LFE5U-25F",
            capacity=LFE5U_25F,
            clock=50_000_000,
            **ULX3S,
        ),
        Board(
            name="icepi-zero",
            title="Icepi Zero 1.3",
            platform=IcepiZero1_3Platform,
            family="ecp5",
            device="LFE5U-25F",
            speed="6",
            package="CABGA256",
            capacity=LFE5U_25F,
            oscillator=50_000_000,
            clock=50_000_000,
            reset=("button", 0),
            loader="icepi-zero",
        ),
        Board(
            name="icebreaker",
            title="iCEBreaker",
            platform=ICEBreakerPlatform,
            family="ice40",
            device="iCE40UP5K",
            speed="UP",
            package="SG48",
            capacity=ICE40UP5K,
            oscillator=12_000_000,
            clock=18_000_000,
            alive=("led_g", 0),
            error=("led_r", 0),
            reset=("button", 0),
            loader="ice40_generic",
        ),
        Board(
            name="tang-nano-20k",
            title="Sipeed Tang Nano 20K",
            platform=TangNano20KPlatform,
            family="gowin",
            device="GW2AR-LV18QN88C8/I7",
            speed="C8/I7",
            package="QN88",
            capacity=GW2AR_18,
            oscillator=27_000_000,
            clock=54_000_000,
            reset=("button", 0),
            loader="tangnano20k",
        ),
    )
}
"""Presets."""
