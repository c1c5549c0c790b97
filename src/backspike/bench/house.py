"""Figures of the checkout itself: what must not change, and how its sources are written."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from backspike.bench.figure import Figure, at_most, below
from backspike.drive.comparison import Counts
from backspike.ir.constants import ENGINES
from backspike.ir.errors import UserError
from backspike.train.data import digits
from backspike.train.digits_run import STEPS, WHAT, network
from backspike.train.result import cycles_of
from backspike.train.trainer import Trainer

DEMO_CYCLES = 4_509_817
EPOCHS = 2
RTL_LINES, PYTHON_LINES, FUNCTION_LINES, CONDITIONS = 70_000, 27_000, 90, 2
DELAYS = "later"
"""What a pipeline helper replaces: a call that counts cycles by hand."""
NAMES = {*ENGINES, "forward", "backward", "update"}
"""How code may name an engine in a condition."""


def root() -> Path:
    """The checkout that this package is run from. Raises UserError if it is installed instead."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / "pyproject.toml").exists() or not (folder / "rtl").is_dir():
        raise UserError("the package is not run from a checkout: --house measures one")
    return folder


def tracked(folder: Path, *patterns: str) -> list[Path]:
    """Files below the checkout that git tracks. Raises UserError without git."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--", *patterns], cwd=folder, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise UserError("git is not found on PATH: --house asks it which files there are") from None
    if done.returncode:
        raise UserError(f"git ls-files fails in {folder}: {done.stderr.strip()}")
    names = [name for name in done.stdout.split("\0") if name]
    return [folder / name for name in names if (folder / name).is_file()]


def lines(paths: list[Path]) -> int:
    """Lines of these files."""
    return sum(len(path.read_bytes().splitlines()) for path in paths)


def functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(lines, name) of every function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, node.name


def delays(tree: ast.AST) -> int:
    """Calls of `later`."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sum(DELAYS in (getattr(f, "id", ""), getattr(f, "attr", "")) for f in calls)


def names_an_engine(node: ast.expr) -> bool:
    """Whether an operand of a comparison is an engine's name, or holds one."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(names_an_engine(element) for element in node.elts)
    if isinstance(node, ast.Attribute):
        return node.attr in {name.upper() for name in NAMES}
    return isinstance(node, ast.Constant) and node.value in NAMES


def conditions(tree: ast.AST) -> int:
    """Comparisons with an engine's name, and cases of a `match` that are one."""
    compared = [
        [node.left, *node.comparators] for node in ast.walk(tree) if isinstance(node, ast.Compare)
    ]
    matched = [[node.value] for node in ast.walk(tree) if isinstance(node, ast.MatchValue)]
    return sum(any(map(names_an_engine, operands)) for operands in compared + matched)


def sources(_: Counts) -> list[Figure]:
    """How much there is to read, and how it is written."""
    folder = root()
    python = [p for p in tracked(folder, "*.py") if (folder / "tests") not in p.parents]
    generator = tracked(folder, "gen/*.py")
    trees = {path: ast.parse(path.read_text()) for path in generator}
    size, name, where = max(
        (size, name, path) for path, tree in trees.items() for size, name in functions(tree)
    )
    rtl, emitted = tracked(folder, "rtl/*"), "emitted text, pages and sums that git tracks"
    return [
        at_most("lines under rtl/", lines(rtl), RTL_LINES, f"{len(rtl)} files: {emitted}"),
        below(
            "lines of Python outside tests",
            lines(python),
            PYTHON_LINES,
            f"{len(python)} files that git tracks",
        ),
        at_most(
            "lines of the longest function of gen",
            size,
            FUNCTION_LINES,
            f"{name} of {where.relative_to(folder)}",
        ),
        at_most(
            "calls of `later` in gen",
            sum(map(delays, trees.values())),
            0,
            f"in the syntax trees of {len(trees)} files",
        ),
        at_most(
            "conditions on an engine's name in gen",
            sum(map(conditions, trees.values())),
            CONDITIONS,
            f"comparisons with {', '.join(sorted(NAMES))} or a constant of that name",
        ),
    ]


def bits(_: Counts) -> list[Figure]:
    """Runs whose bits were recorded before the house was rebuilt."""
    folder = root()
    test = folder / "tests" / "test_same_bits.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    ends = done.stdout.strip().splitlines()[-1:] or done.stderr.strip().splitlines()[-1:]
    missed = 0 if done.returncode == 0 else max(1, done.stdout.count("\nFAILED"))
    how = f"`pytest tests/test_same_bits.py`: {' '.join(ends)}"
    return [at_most("recorded runs whose bits or cycles changed", missed, 0, how)]


def demo(counts: Counts) -> list[Figure]:
    """The run of `make demo`."""
    graph = network("bptt")
    with Trainer(graph, "default", "rtl", steps=STEPS) as trainer:
        trainer.fit(digits().train.coded(graph, STEPS), EPOCHS, bar=True)
        check, cycles = trainer.checked(), cycles_of(trainer.counters or {})
    counts.tensors += check["tensors"]
    counts.values += check["values"]
    return [
        at_most(
            "cycles of `make demo`",
            cycles["total"],
            DEMO_CYCLES,
            f"{WHAT}, machine default, {EPOCHS} epochs of training, compared with golden; "
            "evaluation and the host's transfers left out",
        )
    ]


GROUPS: dict[str, Callable[[Counts], list[Figure]]] = {
    "sources": sources,
    "bits": bits,
    "demo": demo,
}
"""Figures that are measured together, in this order."""
