import subprocess
import sys
from importlib.metadata import version

import pytest

import backspike

HOME = {name: module for module, names in backspike._HOMES.items() for name in names}


@pytest.mark.parametrize("name", backspike.__all__)
def test_every_name_is_there(name):
    """Every public name is the object of its home module."""
    assert getattr(backspike, name) is vars(sys.modules[HOME[name]])[name]


def test_unknown_name():
    """A name that the package lacks is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="no attribute 'Colour'"):
        _ = backspike.Colour  # pyright: ignore[reportAttributeAccessIssue]


def test_version_is_the_distribution_s():
    """The package's version is the installed distribution's."""
    assert backspike.__version__ == version("backspike")


def test_help_imports_no_pytorch():
    """Building the command line's parser imports no PyTorch."""
    program = (
        "import sys; from backspike.cli.main import parser; parser(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"
