"""The JSON of commands: integers that float64 cannot hold come as strings, too."""

import json
import math

import pytest

from backspike.system.json_text import EXACT, json_text


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_beyond_2_to_53_comes_as_a_string_too(sign):
    """At any depth, right behind the integer; one of 2^53 and below stays alone."""
    large = sign * (EXACT + 1)
    about = {"a": large, "b": sign * EXACT, "parts": [{"c": large}], "of": {"d": large * 2**40}}
    found = json.loads(json_text(about))
    assert found == {
        "a": large, "a_str": str(large), "b": sign * EXACT,
        "parts": [{"c": large, "c_str": str(large)}],
        "of": {"d": large * 2**40, "d_str": str(large * 2**40)},
    }  # fmt: skip
    assert list(found) == ["a", "a_str", "b", "parts", "of"]


def test_what_is_small_is_as_json_writes_it():
    """Tuples, None, booleans and floats, however large; two spaces deep, one newline at the end."""
    about = {"x": [1, 2.5, None, True], "y": {}, "large": 1e300, "text": "µ"}
    assert json_text(about) == json.dumps(about, indent=2) + "\n"
    assert json_text((1, 2)) == "[\n  1,\n  2\n]\n"


def test_what_json_does_not_have_comes_as_a_string():
    """Infinities and NaN."""
    found = json_text({"a": [math.inf, -math.inf], "b": math.nan})
    assert json.loads(found) == {"a": ["Infinity", "-Infinity"], "b": "NaN"}


def test_a_large_integer_without_a_name_is_refused():
    """In a list there is no place for the string."""
    with pytest.raises(ValueError, match="that has no name"):
        json_text({"value": [EXACT + 1]})
