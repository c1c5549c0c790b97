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
NAMED_TUPLE = {"_replace", "_asdict", "_fields", "_make"}
"""Private by their look only."""
ELSEWHERE = {
    "spectral/test_example.py": "the pictures of docs/spectral.md",
    "test_commands.py": "what the texts name",
    "test_house.py": "the rules of all folders",
    "test_package.py": "the package's own names",
    "test_same_bits.py": "runs of everything",
    "cli/test_failed_builds.py": "every command that builds",
    "compile/test_predict_planes.py": "predict, of networks in planes",
    "drive/test_planes.py": "networks in planes, against golden",
    "gen/core/shared/test_group_walk_planes.py": "group_walk, through planes",
    "gen/core/shared/test_walk_planes.py": "walk, through planes",
    "train/test_graded.py": "graded inputs, from data to results",
    "golden/test_planes.py": "graph, of networks in planes",
    "gen/boards/test_spectral.py": "top, with a spectral unit in it",
    "gen/link/test_frames.py": "framer and deframer, each against drive.frames",
}
"""Tests that are no module's, and why."""


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
        ("ir/graph.py", "import backspike.golden.half"),
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


# ------------------------------------------------------------------------------- the tests


def modules_of_tests() -> list[Path]:
    """The modules of tests."""
    return [path for path in files("tests") if path.name.startswith("test_")]


def is_coroutine(node: ast.AST) -> bool:
    """Whether this is a test that cocotb runs: `@cocotb.test()`."""
    decorators = getattr(node, "decorator_list", [])
    return any(ast.unparse(each).startswith("cocotb.test") for each in decorators)


def checks(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those that pytest or cocotb runs."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.name.startswith("test_") or is_coroutine(node))
    ]


def silent(source: str) -> list[str]:
    """Names of tests that do not say what they check."""
    found = checks(ast.parse(source))
    return [node.name for node in found if not ast.get_docstring(node)]


def private(source: str) -> list[str]:
    """Private names that this module takes from another one."""
    nodes = list(ast.walk(ast.parse(source)))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    own |= NAMED_TUPLE
    used = [alias.name for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names]
    used += [n.attr for n in nodes if isinstance(n, ast.Attribute) and n.attr not in own]
    return [name for name in used if name.startswith("_") and not name.startswith("__")]


def idle(sources: dict[str, str]) -> list[str]:
    """Coroutines, by module, that no call of `each_coroutine` or of a bench runs."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    run: set[tuple[str, str]] = set()
    for module, tree in trees.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            args = [module if ast.unparse(a) == "__name__" else literal(a) for a in call.args]
            match ast.unparse(call.func), args:
                case "each_coroutine", [of, *names]:
                    run |= {(of, name) for name in names or ["*"]}
                case "run_bench" | "simulate_bench", [_, _, of]:
                    chosen = [k.value for k in call.keywords if k.arg == "testcase"]
                    names = [literal(node) for each in chosen for node in ast.walk(each)]
                    run |= {(of, name) for name in names or ["*"]}
    return [
        f"{module}: {node.name}"
        for module, tree in trees.items()
        for node in checks(tree)
        if is_coroutine(node) and not {(module, node.name), (module, "*")} & run
    ]


def literal(node: ast.AST) -> str:
    """A string that is written out, or nothing."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def has_module(test: Path, package: Path) -> bool:
    """Whether `test`, relative to the tests, stands where its module does in the package.

    tests/x/test_y.py is of x/y.py (or another file of that name), or of the folder x/y; where a
    module has several files of tests, they are in a folder of its name.
    """
    name = test.stem.removeprefix("test_")
    folder = package / test.parent
    places = [*folder.glob(f"{name}.*"), folder / name, folder.with_suffix(".py")]
    return test.parent != Path() and any(place.exists() for place in places)


def test_every_test_says_what_it_checks():
    """Every test function and every coroutine has a docstring."""
    found = {path: silent(path.read_text()) for path in files("tests")}
    assert {str(path): names for path, names in found.items() if names} == {}


def test_no_private_name_is_tested():
    """Tests and what they share use public names only."""
    found = {path: private(path.read_text()) for path in files("tests")}
    assert {str(path): names for path, names in found.items() if names} == {}


def test_every_coroutine_has_an_id():
    """No cocotb test is left out by the pytest functions that run them."""
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
        for path in files("tests")
    }
    assert idle(sources) == []


def test_tests_mirror_the_package():
    """A module's tests are found where the module is; what is elsewhere has its reason."""
    folder, package = ROOT / "tests", ROOT / "src" / "backspike"
    names = {str(path.relative_to(folder)) for path in modules_of_tests()}
    elsewhere = {name for name in names if not has_module(Path(name), package)}
    assert sorted(elsewhere) == sorted(ELSEWHERE)


def test_a_silent_test_is_found():
    """A function and a coroutine without a docstring are found; one with it is not."""
    source = "def test_a():\n    pass\n\n@cocotb.test()\nasync def b(dut):\n    pass\n"
    assert silent(source + 'def test_c():\n    """Says."""\ndef helper():\n    pass\n') == [
        "test_a",
        "b",
    ]


def test_a_private_name_is_found():
    """Imported, of a module, of an object, of a base class; not a name of the test's own."""
    source = "from a import _b\nc._d\n\nclass E:\n    def __init__(self):\n        self._f = 1\n"
    source += "    def g(self):\n        return self._f, self._h, x._replace(y=1), z.__name__\n"
    assert private(source) == ["_b", "_d", "_h"]


def test_an_idle_coroutine_is_found():
    """Of two coroutines and one name, the other is found; without a name none is."""
    one = "@cocotb.test()\nasync def a(dut): ...\n@cocotb.test()\nasync def b(dut): ...\n"
    assert idle({"m": one + 'each_coroutine(__name__, "a")'}) == ["m: b"]
    assert idle({"m": one + "each_coroutine(__name__)"}) == []
    assert idle({"m": one, "n": 'each_coroutine("m", "b")'}) == ["m: a"]
    assert idle({"m": one + 'run_bench(C(), "c", __name__, testcase="b")'}) == ["m: a"]


def test_a_test_elsewhere_is_found(tmp_path):
    """A test without a module of its name, or in another folder than it, is found."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y.py").touch()
    assert has_module(Path("x/test_y.py"), tmp_path)
    assert has_module(Path("x/y/test_stalls.py"), tmp_path)
    assert not has_module(Path("x/test_z.py"), tmp_path)
    assert not has_module(Path("test_y.py"), tmp_path)


@pytest.mark.xdist_group("groups")
def test_groups_reach_the_workers(request):
    """Ids of one simulation run in one worker, or each worker would simulate them all.

    pytest-xdist hands a group on in a test's id, which some versions of pytest do not let it write.
    """
    if not request.config.getoption("loadgroup", False):
        pytest.skip("not run in groups")
    assert request.node.nodeid.endswith("@groups")
