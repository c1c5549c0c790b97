"""What a proof consists of: a bench, and bugs that it must find."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from backspike.sim.proofs.bench import Bench

Load = Callable[[str], ModuleType]
"""Gives a bench the module of that name, in which a bug may have been planted."""


@dataclass(frozen=True)
class Bug:
    """A change of a module's text, after which the proof must fail.

    says: what is wrong then; module: its name below `backspike.gen`; old: a text that it has just
    once; new: what takes its place.
    """

    says: str
    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Proof:
    """A claim about a component.

    name; claim; bench: makes the bench out of modules that `Load` gives it; depth: cycles that the
    induction looks back; bugs; search: cycles in which covers, and bugs, have to show themselves;
    cut: Yosys' selection of cells whose outputs may have any value (more than they can have: what
    holds then holds).
    """

    name: str
    claim: str
    bench: Callable[[Load], Bench]
    depth: int
    bugs: tuple[Bug, ...]
    search: int = 20
    cut: str = ""

    def designs(self) -> dict[str, str]:
        """{task: its design}: `proof`, and `bug0`, `bug1` … with one bug each."""
        texts = {"proof": self.bench(sound).text()}
        for n, bug in enumerate(self.bugs):
            texts[f"bug{n}"] = self.bench(planted(bug)).text()
        return texts


def sound(module: str) -> ModuleType:
    """A copy of the module as it is, in which a bench may replace parts."""
    return _copy(module, lambda text: text)


def planted(bug: Bug) -> Load:
    """Copies of modules, of which one has the bug. ValueError if its text is not there once."""

    def change(text: str) -> str:
        if (times := text.count(bug.old)) != 1:
            raise ValueError(f"{bug.module} has {bug.old!r} {times} times, must have it once")
        return text.replace(bug.old, bug.new)

    return lambda module: _copy(module, change) if module == bug.module else sound(module)


def _copy(module: str, change: Callable[[str], str]) -> ModuleType:
    spec = importlib.util.find_spec(f"backspike.gen.{module}")
    assert spec is not None
    assert spec.origin is not None
    copy = importlib.util.module_from_spec(spec)
    text = change(Path(spec.origin).read_text())
    exec(compile(text, spec.origin, "exec"), copy.__dict__)
    return copy
