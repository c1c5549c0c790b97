"""What differs between families of parts: tools' options, and what their cells are."""

from collections.abc import Callable
from dataclasses import dataclass

from backspike.flow.toolchain import (
    carry_logic,
    gowin_slices,
    multiplier_registers,
    write_modes,
)
from backspike.gen.boards.board import Board
from backspike.system.toolset import NEXTPNR, PACKER

NETLIST = "netlist.json"
"""What synthesis leaves and place and route reads."""


@dataclass(frozen=True)
class Family:
    """A family of parts.

    synthesis: the pass of Yosys; prepare: commands before it ({top}: the module).
    constraints: the suffix of the file of pins.
    luts: LUT4s that a cell takes the place of; carries, rams: those of them that carry or are
    memories. ffs: flip-flops, by the beginning of their names. memories, dsps: block RAMs and
    multipliers. resources: what place and route calls LUT4, FF, memory blocks and DSP; None for
    what it does not count by itself. places: of a netlist's module, the places that LUT4 and FF
    take together, where one of them may keep the other out and nextpnr counts them apart.
    part: options that choose a board's part and pins. search: options of the placer. placed: the
    file, and the option for it, that place and route writes. pack: options of the packer that
    makes `bitstream` of it. packages: Python packages whose versions matter, too. finish: what is
    still to be done to the module of a netlist.
    """

    name: str
    synthesis: str
    constraints: str
    luts: dict[str, int]
    carries: tuple[str, ...]
    rams: tuple[str, ...]
    ffs: str
    memories: tuple[str, ...]
    dsps: tuple[str, ...]
    resources: dict[str, str | None]
    part: Callable[[Board], tuple[str, ...]]
    placed: tuple[str, str]
    pack: tuple[str, ...]
    bitstream: str
    search: tuple[str, ...] = ()
    places: Callable[[dict], int] | None = None
    packages: tuple[str, ...] = ()
    prepare: str = ""
    finish: tuple[Callable[[dict], object], ...] = ()

    @property
    def place(self) -> str:
        """The tool that places and routes."""
        return NEXTPNR[self.name]

    @property
    def packer(self) -> str:
        """The tool that makes a bitstream."""
        return PACKER[self.name]


ECP5_SIZES = {"LFE5U-25F": "--25k", "LFE5U-45F": "--45k", "LFE5U-85F": "--85k"}
GOWIN_FAMILY = "GW2A-18C"
"""The die in a GW2AR-18, which is the one that Apicula knows."""


def _ecp5(board: Board) -> tuple[str, ...]:
    package = ("--speed", board.speed, "--package", board.package)
    return (ECP5_SIZES[board.device], *package, "--lpf", "top.lpf")


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="ecp5",
            # Wide multiplexers out of LUT4 pairs would cost half as many LUT4 again, for no speed.
            synthesis="synth_ecp5 -nowidelut",
            constraints="lpf",
            # A carry cell is two LUT4; a memory is four, and two to write.
            luts={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
            carries=("CCU2C",),
            rams=("TRELLIS_DPR16X4",),
            ffs="TRELLIS_FF",
            memories=("DP16KD", "PDPW16KD"),
            dsps=("MULT18X18D",),
            resources={
                "LUT4": "TRELLIS_COMB",
                "FF": "TRELLIS_FF",
                "memory blocks": "DP16KD",
                "DSP": "MULT18X18D",
            },
            part=_ecp5,
            placed=("--textcfg", "top.config"),
            pack=("--compress", "top.config", "top.bit"),
            bitstream="top.bit",
            finish=(
                multiplier_registers.absorb_registers,
                carry_logic.absorb_logic,
                write_modes.plain_modes,
            ),
        ),
        Family(
            name="ice40",
            # `synth_ice40 -dsp` also packs registers into multipliers, some wrongly (Yosys 0.70: of
            # a register that holds two products, it ties the upper one to zero). This is what it
            # does but for that.
            prepare=(
                "hierarchy -top {top}; proc; select -assert-none t:$dlatch t:$adlatch; flatten; "
                "opt; wreduce t:$mul; "
                "techmap -map +/mul2dsp.v -map +/ice40/dsp_map.v -D DSP_A_MAXWIDTH=16 "
                "-D DSP_B_MAXWIDTH=16 -D DSP_A_MINWIDTH=2 -D DSP_B_MINWIDTH=2 "
                "-D DSP_Y_MINWIDTH=11 -D DSP_NAME=$__MUL16X16; select a:mul2dsp; "
                "setattr -unset mul2dsp; opt_expr -fine; wreduce; select -clear; "
                "chtype -set $mul t:$__soft_mul"
            ),
            synthesis="synth_ice40",
            constraints="pcf",
            # A carry sits beside a LUT4 in the same logic cell.
            luts={"SB_LUT4": 1},
            carries=(),
            rams=(),
            ffs="SB_DFF",
            memories=("SB_RAM40_4K",),
            dsps=("SB_MAC16",),
            resources={
                "LUT4": "ICESTORM_LC",
                "FF": None,
                "memory blocks": "ICESTORM_RAM",
                "DSP": "ICESTORM_DSP",
            },
            part=lambda board: ("--up5k", "--package", board.package.lower(), "--pcf", "top.pcf"),
            placed=("--asc", "top.asc"),
            pack=("top.asc", "top.bin"),
            bitstream="top.bin",
        ),
        Family(
            name="gowin",
            synthesis="synth_gowin",
            constraints="cst",
            # A memory's four LUT4 and those that write it stand in a tile whose others stay empty.
            luts={"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1, "RAM16SDP4": 8},
            carries=("ALU",),
            rams=("RAM16SDP4",),
            ffs="DFF",
            memories=("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9"),
            dsps=("MULT9X9", "MULT18X18", "MULT36X36"),
            resources={
                "LUT4": "LUT4",
                "FF": "DFF",
                "memory blocks": "BSRAM",
                "DSP": "MULT18X18",
            },
            places=gowin_slices.places,
            # The placer tries a cell cells^2 / 10,000 times, and 10,000 at least. By itself it
            # tries 1,250 times as often, and has not said in 8 minutes that a part is too full.
            search=("--placer-heap-cell-placement-timeout", "10000"),
            part=lambda board: (
                *("--device", board.device, "--vopt", f"family={GOWIN_FAMILY}"),
                *("--vopt", "cst=top.cst"),
            ),
            placed=("--write", "placed.json"),
            pack=("-d", GOWIN_FAMILY, "-o", "top.fs", "placed.json"),
            bitstream="top.fs",
            packages=("apycula",),
        ),
    )
}
