"""What a proof consists of: a bench, and bugs that it must find."""

import importlib
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
    induction looks back, and that a bug has to show itself in; bugs; long: takes more than some
    seconds, so that `make test` leaves it to `make proofs`.
    """

    name: str
    claim: str
    bench: Callable[[Load], Bench]
    depth: int
    bugs: tuple[Bug, ...]
    search: int = 20
    long: bool = False

    def designs(self) -> dict[str, str]:
        """{task: its design}: `proof`, and `bug0`, `bug1` … with one bug each."""
        texts = {"proof": self.bench(sound).text()}
        for n, bug in enumerate(self.bugs):
            texts[f"bug{n}"] = self.bench(planted(bug)).text()
        return texts


def sound(module: str) -> ModuleType:
    """The module as it is."""
    return importlib.import_module(f"backspike.gen.{module}")


def planted(bug: Bug) -> Load:
    """Modules of which one has the bug. ValueError if its text is not there, or not once."""
    spec = importlib.util.find_spec(f"backspike.gen.{bug.module}")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text()
    if (times := text.count(bug.old)) != 1:
        raise ValueError(f"{bug.module} has {bug.old!r} {times} times: once is allowed")
    changed = importlib.util.module_from_spec(spec)
    exec(compile(text.replace(bug.old, bug.new), spec.origin, "exec"), changed.__dict__)
    return lambda module: changed if module == bug.module else sound(module)
