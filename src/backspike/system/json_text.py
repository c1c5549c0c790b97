"""The JSON that commands write."""

import json
import math
from typing import Any

EXACT = 2**53
"""Readers that keep numbers as float64, as JavaScript and jq before 1.7 do, are exact up to it."""
SUFFIX = "_str"


def json_text(value: object) -> str:
    """`value` as indented JSON, with a newline at its end.

    Beside each integer of an object whose magnitude is beyond 2^53 stands the same as a string,
    under its name with `_str` appended. What JSON does not have becomes a string: "Infinity",
    "-Infinity", "NaN". Raises ValueError for such an integer in a list, which has no name.
    """
    return json.dumps(_with_strings(value), indent=2, allow_nan=False) + "\n"


def _large(value: object) -> bool:
    return isinstance(value, int) and abs(value) > EXACT


def _with_strings(value: Any) -> Any:
    if isinstance(value, dict):
        made = {}
        for name, part in value.items():
            made[name] = _with_strings(part)
            if _large(part):
                made[f"{name}{SUFFIX}"] = str(part)
        return made
    if isinstance(value, list | tuple):
        if any(map(_large, value)):
            raise ValueError(f"{value} holds an integer beyond 2^53 that has no name")
        return [_with_strings(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
