"""Checks of single values; an error says what the value is of, what it is and must be."""

import math
import reprlib
import struct

from backspike.ir.errors import UserError


def nearest_half(name: str, value: float) -> float:
    """The FP16 number nearest to `value` (ties to even); an error names `name` if there is none."""
    try:
        if not math.isfinite(value):
            raise OverflowError
        return struct.unpack("<e", struct.pack("<e", value))[0] + 0.0
    except (OverflowError, struct.error, TypeError):
        raise UserError(f"{name} is {value!r}, must be a finite number within ±65504") from None


def is_finite(value: object) -> bool:
    """Whether this is a number, and neither infinite nor none."""
    return isinstance(value, int | float) and math.isfinite(value)


def positive(name: str, value: float) -> None:
    """UserError unless this is a number above 0."""
    if not (is_finite(value) and value > 0):
        raise UserError(f"{name} is {value!r}, must be a positive number")


def whole(name: str, value: int) -> None:
    """UserError unless this is an integer above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name} is {value!r}, must be a whole number from 1 up")


def switch(name: str, value: bool) -> None:
    """UserError unless this is True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{name} is {value!r}, must be True or False")


def instance(name: str, value: object, kind: type) -> None:
    """UserError unless this is an object of that class."""
    if not isinstance(value, kind):
        raise UserError(f"{name} is {reprlib.repr(value)}, must be a {kind.__name__}")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """UserError unless this is one of the choices."""
    if value not in choices:
        raise UserError(f"{name} is {value!r}, must be {' or '.join(choices)}")


def parse_number(text: str) -> float:
    """A finite number: 0.015625, 1e-2 or, as powers of two are usual here, 2^-6. ValueError."""
    base, caret, power = text.partition("^")
    try:
        value = float(base) ** int(power) if caret else float(text)
    except (ValueError, OverflowError, ZeroDivisionError):
        value = math.nan
    if not (isinstance(value, float) and math.isfinite(value)):
        raise ValueError(f"{text!r} must be a finite number, as 0.5 or 2^-6")
    return value
