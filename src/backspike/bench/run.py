"""`backspike bench`: which figures are measured, in which order, and what becomes of them."""

import sys
from collections.abc import Callable

from backspike.bench import accuracy, efficiency, lockstep, speed
from backspike.bench.figure import Figure, at_most, table, to_json
from backspike.check import Counts
from backspike.commands import outputs
from backspike.data import digits
from backspike.errors import Mismatch, UserError

GROUPS: dict[str, Callable[[Counts], list[Figure]]] = {
    "lockstep": lambda counts: lockstep.figures(digits(), counts),
    "efficiency": efficiency.figures,
    "speed": lambda _: speed.figures(digits()),
    "accuracy": lambda _: accuracy.figures(digits()),
}
"""Figures that are measured together, in this order: quick ones first."""
WALL = (("make demo", "6 min from nothing, 2 min again"), ("make test", "15 min"))
"""Goals on two cores that a running program cannot measure of itself: they are listed unmeasured,
with what measures them."""


def bench(json_path: str | None = None, only: list[str] | None = None) -> int:
    """Measure all figures or those of the groups `only`; print the table.

    json_path: also write `to_json` there; `-`: instead of the table, on standard output.
    Returns the exit code: 0 if every figure is met, 1 if one is not. Raises UserError.
    """
    chosen = list(GROUPS) if only is None else only
    for name in chosen:
        if name not in GROUPS:
            raise UserError(f"only is {name!r}: {', '.join(GROUPS)} is allowed")
    figures = measure({name: GROUPS[name] for name in GROUPS if name in chosen})
    if only is None:
        figures += [
            Figure(f"wall time of {command}, two cores", None, f"<= {goal}", None,
                   f"not measured here: `time {command}`")
            for command, goal in WALL
        ]  # fmt: skip
    if json_path is not None:
        outputs.write_json(json_path, to_json(figures))
    if json_path != outputs.STDOUT:
        print(table(figures), end="")
    return 1 if any(figure.met is False for figure in figures) else 0


def measure(groups: dict[str, Callable[[Counts], list[Figure]]]) -> list[Figure]:
    """The groups' figures; before them, if anything was compared, how much of it differed.

    A mismatch ends its group, whose other figures would mean nothing, and nothing else.
    """
    figures: list[Figure] = []
    counts, found = Counts(), []
    for name, group in groups.items():
        try:
            figures += group(counts)
        except Mismatch as mismatch:
            print(f"{name}: {mismatch}", file=sys.stderr)
            found.append(f"{name}: {mismatch}")
    if counts.tensors or found:
        how = (
            f"RTL against golden, every tensor of every batch of the runs below: "
            f"{counts.values:,} values in {counts.tensors:,} tensors"
        )
        figures.insert(0, at_most("mismatches", counts.mismatches, 0, "; ".join([how, *found])))
    return figures
