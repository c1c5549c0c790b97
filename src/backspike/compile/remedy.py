"""Which machine a network would fit, where it does not fit the one that was asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace

from backspike.compile.uses import Use
from backspike.gen.machine import MACHINES, Machine
from backspike.ir.constants import ceil_div

Uses = Callable[[Machine], Iterable[Sequence[Use]]]
"""What a network needs of a machine, in each way to run it; the one that needs least comes first.
"""

POWERS = ("layers", "spike_units", "readout_units", "tasks", "states", "windows")
"""Parameters that are powers of two."""


def remedy(machine: Machine, uses: Uses) -> str:
    """The end of a sentence: which presets the network would fit, and what this machine would have
    to be given. Empty if nothing helps."""
    presets = [
        name
        for name, preset in MACHINES.items()
        if name != machine.name and any(all(use.fits for use in way) for way in uses(preset))
    ]
    given = _enough(machine, uses)
    changes = [f"{name}={value}" for name, value in given.items()]
    preset = machine.name in MACHINES
    ways = [
        *([f"on {', '.join(presets)}"] if presets else []),
        *([f"on {','.join([machine.name, *changes])}"] if given and preset else []),
        *([f"with {', '.join(changes)}"] if given and not preset else []),
    ]
    return f"; it fits {', or '.join(ways)}" if ways else ""


def _enough(machine: Machine, uses: Uses) -> Mapping[str, int]:
    """The machine's parameters that are too small, as they would do; none if nothing does."""
    given: dict[str, int] = {}
    for _ in fields(Machine):  # each round finds one or more
        try:
            least = next(iter(uses(replace(machine, **given))))
            lacking = [use for use in least if not use.fits]
        except ValueError:  # no machine may have that much
            return {}
        if not lacking:
            return given
        for use in lacking:
            if use.parameter is None:
                return {}
            given[use.parameter] = _rounded(use, machine)
        _ordered(machine, given)
    return {}


def _rounded(use: Use, machine: Machine) -> int:
    """The least value of the parameter that a machine may have, and that is enough."""
    if use.parameter in POWERS:
        return 1 << (use.needs - 1).bit_length()
    if use.parameter == "weight_rows":
        return ceil_div(use.needs, machine.lanes) * machine.lanes
    return use.needs


def _ordered(machine: Machine, given: dict[str, int]) -> None:
    """readout_units, units and spike_units: each at most the next."""
    for less, more in (("readout_units", "units"), ("units", "spike_units")):
        least: int = given.get(less) or getattr(machine, less)
        room: int = given.get(more) or getattr(machine, more)
        if least > room:
            given[more] = 1 << (least - 1).bit_length() if more in POWERS else least
