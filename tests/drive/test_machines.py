"""Machines by a preset's name, with changes, or from a file; and what is refused."""

import re

import pytest

from backspike.drive.machines import (
    find_any_machine,
    find_machine,
    find_spectral_machine,
    is_machine,
)
from backspike.gen.machine import MACHINES, top_name
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.ir.errors import UserError


def test_a_preset_with_changes():
    """Its name tells what is changed, in the order of the parameters, and finds it again."""
    machine = find_machine("default, wg_reuse=4,lanes=4 ,tasks=256")
    assert (machine.lanes, machine.wg_reuse, machine.units) == (4, 4, MACHINES["default"].units)
    assert machine.name == "default,lanes=4,wg_reuse=4"
    assert find_machine(machine.name) == machine
    assert top_name(machine) == "backspike_default_lanes_4_wg_reuse_4"
    assert find_machine("tiny,lanes=2") is MACHINES["tiny"]
    unit = find_any_machine("spectral-32,pixel_bits=16")
    assert isinstance(unit, SpectralMachine)
    assert unit == find_spectral_machine("spectral-32,pixel_bits=16")
    assert (unit.size, unit.pixel_bits) == (32, 16)


def test_a_file(tmp_path):
    """A preset, `default` unless `base` is another, and its other parameters."""
    path = tmp_path / "mine.toml"
    path.write_text('base = "tiny"\nunits = 64  # less\n')
    assert find_machine(str(path)) == find_machine("tiny,units=64")
    path.write_text("lanes = 4\n")
    assert find_machine(str(path)) == find_any_machine(str(path)) == find_machine("default,lanes=4")
    path.write_text("pixel_bits = 16\n")
    assert find_spectral_machine(str(path)) == find_any_machine("spectral-128,pixel_bits=16")
    path.write_text('base = "spectral-32"\n')
    assert find_any_machine(str(path)) is SPECTRAL_MACHINES["spectral-32"]
    path.write_text("")
    assert find_machine(str(path)) is MACHINES["default"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "huge",
            "machine is 'huge', must be one of tiny, four, default, mnist, conv, mnist-conv, wide; "
            "or NAME,PARAM",
        ),
        ("huge,lanes=2", "machine is 'huge', must be one of tiny,"),
        ("spectral-32", "machine is 'spectral-32', must be one of tiny,"),
        ("", "machine is '', must be one of tiny,"),
        ("tiny,lane=2", "machine tiny,lane=2: there is no parameter 'lane', must be one of lanes,"),
        ("tiny,name=2", "there is no parameter 'name'"),
        ("tiny,lanes", "machine 'tiny,lanes' has the part 'lanes', must have PARAMETER=VALUE"),
        ("tiny,lanes=", "has the part 'lanes=', must have PARAMETER=VALUE"),
        ("tiny,lanes=2.0", "has the part 'lanes=2.0', must have"),
        ("tiny,", "has the part '', must have"),
        ("tiny,lanes=4,lanes=8", "machine 'tiny,lanes=4,lanes=8' has lanes twice, must have it"),
        ("tiny,lanes=3", "machine tiny,lanes=3: lanes is 3, must be 2, 4, 8 or 16"),
        ("tiny,units=256,spike_units=128", "units 256, spike_units 128, each must be at most"),
        ("none.toml", "machine none.toml cannot be read: No such file"),
    ],
)
def test_what_is_refused(text, message):
    """A sentence that names the part that is wrong."""
    with pytest.raises(UserError, match=re.escape(message)):
        find_machine(text)
    assert not is_machine(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lanes = ", "is no TOML: "),
        ("lanes = true", "lanes is True, must be a whole number"),
        ("lanes = '4'", "lanes is '4', must be a whole number"),
        ("[core]\nlanes = 4", "there is no parameter 'core', must be one of lanes"),
        ("base = 'big'", "is 'big', must be one of tiny, four"),
        ("base = 4", "is 4, must be one of tiny, four"),
        ("lanes = 4\nlanes = 8", "is no TOML: "),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, message):
    """The message has the file's path."""
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        find_machine(str(path))
    assert str(path) in str(raised.value)


def test_bytes_that_are_no_text(tmp_path):
    """A file that is no text at all."""
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no TOML: "):
        find_machine(str(path))
