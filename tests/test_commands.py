"""Commands that the texts name are there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMAND = re.compile(r"python -m (backspike(?:\.\w+)*)")
TEXTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile")),
    *(ROOT / "docs").glob("*.md"),
    *(path for folder in ("src", "gen", "golden", "sim") for path in (ROOT / folder).rglob("*.py")),
]


def named() -> dict[str, str]:
    """A file that names each module as a command."""
    return {
        module: str(path.relative_to(ROOT))
        for path in TEXTS
        for module in COMMAND.findall(path.read_text())
    }


@pytest.mark.parametrize("module", sorted(named()))
def test_a_module_that_is_named_can_be_run(module):
    """`python -m` finds a module, or a package's `__main__`, and that does something."""
    where = f"{named()[module]} names python -m {module}"
    spec = find_spec(module)
    assert spec is not None, where
    if spec.submodule_search_locations is not None:
        spec = find_spec(f"{module}.__main__")
        assert spec is not None, where
    assert spec.origin is not None, where
    assert 'if __name__ == "__main__":' in Path(spec.origin).read_text(), where


def test_texts_name_commands():
    """What the search is for is found: an empty list of commands would show nothing."""
    assert {"backspike.sim.proofs", "backspike.flow.netlist"} <= set(named())


def test_nothing_is_installed_by_name():
    """No package index has backspike, so no text may say to install it from there."""
    for path in TEXTS:
        for line in path.read_text().splitlines():
            if "pip install" in line:
                assert not re.search(r"pip install (-\S+ )*['\"]?backspike(\[|\b(?!-))", line), path
