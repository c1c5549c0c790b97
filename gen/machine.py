"""The accelerator's parameters: one frozen dataclass drives generator, compiler and simulation."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:  # whoever only lists the presets need not wait for Amaranth
    from amaranth.lib import wiring

    from backspike.gen.host.registers import RegisterMap

DEPTH = 16
"""Entries of an accumulator file, and bits of a spike word: what distributed RAM is deep."""


class Accelerator(Protocol):
    """What every kind of machine gives to those who emit, build and simulate it."""

    @property
    def name(self) -> str:
        """Of the preset, and what is changed of it."""
        ...

    kind: ClassVar[str]
    """What it is for: `training` or `spectral`."""

    def component(self) -> "wiring.Component":
        """Its hardware, with ports axi, running and fault."""
        ...

    def map(self) -> "RegisterMap":
        """Its registers and windows."""
        ...

    def page(self) -> str:
        """The page of its registers, in Markdown."""
        ...


def top_name(machine: Accelerator) -> str:
    """The machine's emitted module, and the prefix of all below it."""
    return "backspike_" + re.sub("[^A-Za-z0-9]+", "_", machine.name)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Sizes of one accelerator.

    lanes P: columns that each engine works on at a time (2, 4, 8 or 16).
    fp_reuse, bp_reuse, wg_reuse: lanes that one drain unit (rounding, and the update of a neuron
    or of a weight) of that engine serves in turn.
    weight_rows: rows of P halves in the weight memory, a multiple of P.
    units: tiles of P neurons x DEPTH (sample, step) pairs with codes. gradient_units: those with
    gradients, which may be fewer, as gradients that nobody needs any more give their place to
    others; 0: as many.
    spike_units: tiles of spikes of one batch; includes the inputs, which have no gradients.
    readout_units: tiles of the read-out layer.
    layers: layers at the most. tasks: tasks an engine's queue holds.
    states: tiles of which neurons keep what goes on while others take their turn.
    momentum: 1 if there is a memory of moments, as large as that of weights; else 0.
    windows: rows of the table that tells of planes and windows (convolutions), a power of two; 0:
    there is none, and every layer is dense.
    scale_down, scale_up: a connection's weights may count 2^-scale_down times to 2^scale_up times,
    as averages and graded inputs make them; both 0: they count once.
    parts: 1 if there is a memory of partial sums of weight gradients, 64 bits for each weight (and
    scale_down more), so that a batch may be larger than what the other memories hold; else 0.
    """

    name: str
    lanes: int
    fp_reuse: int
    bp_reuse: int
    wg_reuse: int
    weight_rows: int
    units: int
    spike_units: int
    readout_units: int
    layers: int
    tasks: int
    states: int = 16
    momentum: int = 0
    windows: int = 0
    scale_down: int = 0
    scale_up: int = 0
    gradient_units: int = 0
    parts: int = 0
    kind: ClassVar[str] = "training"

    def __post_init__(self) -> None:
        if self.lanes not in (2, 4, 8, 16):
            raise ValueError(f"lanes is {self.lanes}, must be 2, 4, 8 or 16")
        for name in ("fp_reuse", "bp_reuse", "wg_reuse"):
            value = getattr(self, name)
            if value not in (1, 2, 4, 8) or value > self.lanes:
                raise ValueError(f"{name} is {value}, must be 1, 2, 4 or 8, and at most lanes")
        if self.layers not in (1, 2, 4, 8, 16):
            raise ValueError(f"layers is {self.layers}, must be a power of two up to 16")
        for name in ("spike_units", "readout_units", "tasks", "states"):
            value = getattr(self, name)
            if value < 2 or value & (value - 1):
                raise ValueError(f"{name} is {value}, must be a power of two from 2 up")
        if self.weight_rows < self.lanes or self.weight_rows % self.lanes:
            raise ValueError(
                f"weight_rows is {self.weight_rows}, must be a multiple of lanes, {self.lanes}"
            )
        if self.units < 2:
            raise ValueError(f"units is {self.units}, must be 2 or more")
        if self.gradient_units < 0 or self.gradient_units == 1:
            raise ValueError(f"gradient_units is {self.gradient_units}, must be 0, or 2 or more")
        if self.tasks > 1024:
            raise ValueError(f"tasks is {self.tasks}, must be up to 1024")
        for name in ("momentum", "parts"):
            if (value := getattr(self, name)) not in (0, 1):
                raise ValueError(f"{name} is {value}, must be 0 or 1")
        if self.windows and (self.windows & (self.windows - 1) or not 8 <= self.windows <= 4096):
            raise ValueError(
                f"windows is {self.windows}, must be 0, or a power of two from 8 to 4096"
            )
        for name, most in (("scale_down", 16), ("scale_up", 8)):
            value = getattr(self, name)
            if not 0 <= value <= (most if self.windows else 0):
                raise ValueError(
                    f"{name} is {value}, must be from 0 to {most}, and 0 without windows"
                )
        if self.states > 1024:
            raise ValueError(f"states is {self.states}, must be up to 1024")
        if self.readout_units > self.units or self.units > self.spike_units:
            raise ValueError(
                f"readout_units {self.readout_units}, units {self.units}, spike_units "
                f"{self.spike_units}, each must be at most the next"
            )

    @property
    def gradients(self) -> int:
        """Tiles of gradients that there is room for."""
        return self.gradient_units or self.units

    @property
    def weights(self) -> int:
        """Halves that the weight memory holds."""
        return self.weight_rows * self.lanes

    # What follows imports the parts that are made for a machine, which import this module.

    def component(self) -> "wiring.Component":
        """The training core."""
        from backspike.gen.core.top import Core

        return Core(self)

    def map(self) -> "RegisterMap":
        """The core's registers and windows."""
        from backspike.gen.core.map import core_map

        return core_map(self)

    def page(self) -> str:
        """The core's registers, and what its windows of tasks and descriptors hold."""
        from backspike.gen.core.page import registers_page

        return registers_page(self)


MACHINES = {
    m.name: m
    for m in (
        Machine(name="tiny", lanes=2, fp_reuse=2, bp_reuse=2, wg_reuse=2, weight_rows=2048,
                units=128, spike_units=256, readout_units=64, layers=4, tasks=256),
        Machine(name="four", lanes=4, fp_reuse=4, bp_reuse=4, wg_reuse=2, weight_rows=4096,
                units=256, spike_units=512, readout_units=64, layers=4, tasks=256),
        Machine(name="default", lanes=8, fp_reuse=4, bp_reuse=4, wg_reuse=2, weight_rows=2048,
                units=128, spike_units=256, readout_units=32, layers=4, tasks=256),
        Machine(name="mnist", lanes=4, fp_reuse=4, bp_reuse=4, wg_reuse=2, weight_rows=25600,
                units=144, spike_units=1024, readout_units=16, layers=4, tasks=128),
        Machine(name="conv", lanes=8, fp_reuse=4, bp_reuse=4, wg_reuse=2, weight_rows=12288,
                units=4096, spike_units=8192, readout_units=32, layers=16, tasks=512, states=64,
                windows=512, scale_down=4, scale_up=3),
        Machine(name="mnist-conv", lanes=8, fp_reuse=4, bp_reuse=4, wg_reuse=2, weight_rows=1280,
                units=160, spike_units=1024, readout_units=32, layers=4, tasks=256, windows=256),
        Machine(name="wide", lanes=16, fp_reuse=4, bp_reuse=4, wg_reuse=2, weight_rows=8192,
                units=256, spike_units=512, readout_units=64, layers=8, tasks=512),
    )
}  # fmt: skip
"""Presets. `default` fits an LFE5U-85F; `four` holds as much in half the lanes; `mnist` holds the
102 k weights of 784-128-10 in that part, with batches of 8 samples at 8 steps, and `mnist-conv`,
meant for it, too, convolutions of such images, 1x28x28,8c5s3,16c3s2,10, with batches of 4 at 4
steps. `conv` has room for ten convolutions of 8 x 8 pixels, averages and graded inputs, `wide` for
128 k weights.

More lanes a unit would be smaller, but an engine would wait for its drain: a tile of 128 sources
at density 0.05 has about 100 events, in which a block's 16 entries have to leave; and a row's
update takes two cycles of the weights' port anyway."""
