import subprocess
import sys
from importlib.metadata import version

import pytest

import backspike

HOME = {name: module for module, names in backspike._HOMES.items() for name in names}


@pytest.mark.parametrize("name", backspike.__all__)
def test_every_name_is_there(name):
    assert getattr(backspike, name) is vars(sys.modules[HOME[name]])[name]


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'Colour'"):
        _ = backspike.Colour  # pyright: ignore[reportAttributeAccessIssue]


def test_version_is_the_distribution_s():
    assert backspike.__version__ == version("backspike")


def test_help_imports_no_pytorch():
    program = (
        "import sys; from backspike.cli.main import parser; parser(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"
