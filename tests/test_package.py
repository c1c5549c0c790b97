"""The package's public surface."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import backspike

SOURCE = ast.parse(Path(backspike.__file__).read_text())
HOME = {alias.name: node.module for node in ast.walk(SOURCE)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("backspike.")
        for alias in node.names}  # fmt: skip
"""Where a type checker finds each public name."""


@pytest.mark.parametrize("name", backspike.__all__)
def test_every_name_is_there(name):
    """A public name is the same object at run time as a type checker finds."""
    assert getattr(backspike, name) is getattr(import_module(HOME[name]), name)


def test_no_name_is_hidden():
    """Every name that a type checker finds is public."""
    assert sorted(backspike.__all__) == sorted(HOME)


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
