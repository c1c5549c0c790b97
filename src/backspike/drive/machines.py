"""Which machine: a preset, a preset with changes, or a file of parameters."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TypeVar

from backspike.compile.planes import options_for
from backspike.gen.machine import MACHINES, Machine
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.system.files import as_path, reason

SPECTRAL_MACHINE = "spectral-128"
"""The spectral unit unless another is asked for."""
FILE = ".toml"
FORMS = f"NAME,PARAMETER=VALUE,… or FILE{FILE}"
"""Other ways than a preset's name to say which machine."""
BASE = "base"
Kind = TypeVar("Kind", bound=Machine | SpectralMachine)


def find_machine(text: str) -> Machine:
    """The machine that trains of a text: `default`, `default,lanes=4`, or `FILE.toml`.

    The file has parameters as `lanes = 4`, and `base`, the preset that the others are of
    (`default`). Raises UserError.
    """
    return _find(text, MACHINES, "default")


def usual_machine(graph: Graph) -> Machine:
    """The preset that trains a network unless another is asked for: `default`, or with
    convolutions or graded inputs `conv`."""
    usual = MACHINES["default"]
    return MACHINES["conv"] if options_for(graph, usual) else usual


def find_spectral_machine(text: str) -> SpectralMachine:
    """Likewise a spectral unit: `spectral-128,pixel_bits=16`."""
    return _find(text, SPECTRAL_MACHINES, SPECTRAL_MACHINE)


def find_any_machine(text: str) -> Machine | SpectralMachine:
    """Likewise of either kind, which the preset tells."""
    return _find(text, {**MACHINES, **SPECTRAL_MACHINES}, "default")


def is_machine(text: str | None) -> bool:
    """Whether `find_machine` finds it: a name that a user gave a `Machine` tells nothing."""
    try:
        return text is not None and bool(find_machine(text))
    except UserError:
        return False


def _find(text: str, presets: Mapping[str, Kind], usual: str) -> Kind:
    if text in presets:
        return presets[text]
    if text.endswith(FILE):
        given = _read(text)
        base = given.pop(BASE, usual)
    else:
        base, *parts = text.split(",")
        given = {}
        for name, value in (_part(part, text) for part in parts):
            if name in given:
                raise UserError(f"machine {text!r} has {name} twice, must have it once")
            given[name] = value
    if not isinstance(base, str) or base not in presets:
        what = f"base of {text}" if text.endswith(FILE) else "machine"
        raise UserError(f"{what} is {base!r}, must be one of {', '.join(presets)}; or {FORMS}")
    return changed(presets[base], given, text)


def changed(machine: Kind, given: Mapping[str, object], where: str) -> Kind:
    """A preset with other parameters, named by them, so that its name finds it again."""
    usual = {name: value for name, value in asdict(machine).items() if name != "name"}
    for name, value in given.items():
        if name not in usual:
            raise UserError(
                f"machine {where}: there is no parameter {name!r}, must be one of "
                + ", ".join(usual)
            )
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"machine {where}: {name} is {value!r}, must be a whole number")
    other = {name: given[name] for name in usual if given.get(name, usual[name]) != usual[name]}
    if not other:
        return machine
    name = ",".join([machine.name, *(f"{name}={value}" for name, value in other.items())])
    try:
        return replace(machine, name=name, **other)
    except ValueError as error:
        raise UserError(f"machine {where}: {error}") from None


def _part(part: str, text: str) -> tuple[str, int]:
    name, equals, value = part.partition("=")
    try:
        if not (equals and name.strip()):
            raise ValueError
        return name.strip(), int(value)
    except ValueError:
        raise UserError(
            f"machine {text!r} has the part {part!r}, must have PARAMETER=VALUE, as lanes=4"
        ) from None


def _read(text: str) -> dict:
    path = as_path("machine", text)
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"machine {text} cannot be read: {reason(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"machine {text} is no TOML: {error}") from None
