"""The rules of the house: who may import whom, and how long a file may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "golden": ("backspike.gen", "backspike.sim"),
    "gen": ("backspike.golden", "backspike.sim", "torch"),
}
LINES = 400


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_go_one_way(folder):
    for path in files(folder):
        for name in imported(path):
            for forbidden in FORBIDDEN[folder]:
                inside = name == forbidden or name.startswith(f"{forbidden}.")
                assert not inside, f"{path.relative_to(ROOT)} imports {name}"


def test_files_hold_one_concept():
    for path in files("gen", "golden", "sim", "src/backspike", "tests"):
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
