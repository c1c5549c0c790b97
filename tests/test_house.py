"""The rules of the house: who may import whom, and how long a file may be."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = 400
FOLDERS = ("gen", "golden", "sim", "src/backspike", "tests")


def files(*folders: str) -> list[Path]:
    """The Python files under these folders."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found
    return found


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter's verdict on the package in `folder`/src, by this project's contracts."""
    code = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports; "
    code += "sys.exit(lint_imports(no_cache=True))"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy(tmp_path):
    """The package's sources, links followed, and the contracts; to plant an import in."""
    shutil.copytree(ROOT / "src" / "backspike", tmp_path / "src" / "backspike",
                    ignore=shutil.ignore_patterns("__pycache__", "*.json", "*.v"))  # fmt: skip
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_go_down_the_layers_only(copy):
    """What `make lint` checks holds."""
    done = lint_imports(copy)
    assert not done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("ir/network.py", "import backspike.golden.half"),
        ("golden/rules.py", "from backspike.gen.machine import DEPTH"),
        ("gen/machine.py", "import torch"),
        ("ir/errors.py", "import amaranth"),
        ("drive/link.py", "    from backspike.train import trainer"),
        ("train/result.py", "from backspike.spectral import fsds"),
    ],
)
def test_an_import_against_the_layers_is_found(copy, where, line):
    """The check fails on a planted import, and names the file's module."""
    path = copy / "src" / "backspike" / where
    text = path.read_text()
    planted = f"def planted():\n{line}\n" if line.startswith(" ") else f"{line}\n"
    path.write_text(f"{text}\n\n{planted}")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"backspike.{where[:-3].replace('/', '.')}" in done.stdout


def test_no_import_is_relative():
    """Modules are named in full, so a file can move without a change to its own imports."""
    for path in files(*FOLDERS):
        for node in ast.walk(ast.parse(path.read_text())):
            relative = isinstance(node, ast.ImportFrom) and node.level
            assert not relative, f"{path.relative_to(ROOT)} has a relative import"


def test_files_hold_one_concept():
    """No file is too long to be taken in."""
    for path in files(*FOLDERS):
        lines = len(path.read_text().splitlines())
        assert lines <= LINES, f"{path.relative_to(ROOT)} has {lines} lines"


@pytest.mark.parametrize("folder", ["golden", "ir"])
def test_every_test_says_what_it_checks(folder):
    """In a docstring of its own."""
    for path in files(f"tests/{folder}"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path.relative_to(ROOT)}: {node.name}"


@pytest.mark.parametrize("folder", ["compile", "golden", "ir", "train"])
def test_no_private_name_is_tested(folder):
    """Neither imported nor taken from an object: `self` is the test's own."""
    for path in files(f"tests/{folder}"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Attribute):
                own = isinstance(node.value, ast.Name) and node.value.id == "self"
                names = [] if own else [node.attr]
            private = [n for n in names if n.startswith("_") and not n.startswith("__")]
            assert not private, f"{path.relative_to(ROOT)} uses {private[0]}"
