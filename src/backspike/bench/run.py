"""`backspike bench`: which figures are measured, in which order, and what becomes of them."""

import sys
from collections.abc import Callable

from backspike.bench import (
    accuracy,
    boards,
    conv_net,
    convolutions,
    deep,
    efficiency,
    house,
    lockstep,
    mnist,
    prediction,
    rows,
    samples,
    shapes,
    spectral,
    speed,
)
from backspike.bench.figure import Figure, at_most, table, to_json
from backspike.drive.comparison import Counts
from backspike.ir.errors import Mismatch, UserError
from backspike.system import files
from backspike.system.program import MISMATCH, MISSED
from backspike.train.data import digits, mnist5k

GROUPS: dict[str, Callable[[Counts], list[Figure]]] = {
    "lockstep": lambda counts: lockstep.figures(digits(), counts),
    "efficiency": efficiency.figures,
    "shapes": shapes.figures,
    "prediction": prediction.figures,
    "conv": lambda counts: convolutions.figures(counts) + conv_net.figures(digits(), counts),
    "speed": lambda _: speed.figures(digits()),
    "accuracy": lambda _: accuracy.figures(digits()),
}
"""Figures of the training core that are measured together, in this order: quick ones first."""
LEARNING: dict[str, Callable[[Counts], list[Figure]]] = {
    "conv-epoch": lambda counts: conv_net.epoch(digits(), counts),
    "samples": lambda _: samples.figures(digits()),
    "mnist": lambda _: mnist.figures(mnist5k()),
    "rows": lambda counts: rows.figures(digits(), counts),
    "deep": lambda _: deep.figures(digits(), deep.DIGITS),
    "images": lambda _: deep.figures(mnist5k(), deep.IMAGES),
}
"""Figures of what it learns and how soon, which take longer; in this order: quick ones first."""
SUBJECTS = {
    "core": GROUPS,
    "learning": LEARNING,
    "spectral": spectral.GROUPS,
    "boards": boards.GROUPS,
    "house": house.GROUPS,
}
"""Groups of figures: of the training core, of what it learns, of the spectral unit, of what goes
onto a board, of the checkout itself."""
MISMATCHES = "mismatches"
"""In the name of a figure that counts values in which hardware and golden differ."""
WALL = (
    ("make demo", "6 min from nothing, 2 min again"),
    ("make test", "15 min"),
    ("bash .ci/run", "25 min"),
)
"""Goals on two cores that a running program cannot measure of itself: they are listed unmeasured,
with what measures them."""


def bench(
    json_path: str | None = None, only: list[str] | None = None, subject: str = "core"
) -> int:
    """Measure all figures of one of SUBJECTS, or those of the groups `only` of it; print the table.

    json_path: also write `to_json` there; `-`: instead of the table, on standard output.
    Returns the exit code: 0 if every figure is met, MISMATCH if bits differ, MISSED if another
    figure is not met. Raises UserError.
    """
    groups = SUBJECTS[subject]
    chosen = list(groups) if only is None else only
    for name in chosen:
        if name not in groups:
            raise UserError(f"only is {name!r}, must be of {', '.join(groups)}")
    figures = measure({name: groups[name] for name in groups if name in chosen})
    if only is None and subject == "core":
        figures += [
            Figure(f"wall time of {command}, two cores", None, f"<= {goal}", None,
                   f"not measured here: `time {command}`")
            for command, goal in WALL
        ]  # fmt: skip
    if json_path is not None:
        files.write_json(json_path, to_json(figures))
    if not files.is_stdout(json_path):
        print(table(figures), end="")
    missed = [figure for figure in figures if figure.met is False]
    if any(MISMATCHES in figure.figure for figure in missed):
        return MISMATCH
    return MISSED if missed else 0


def measure(groups: dict[str, Callable[[Counts], list[Figure]]]) -> list[Figure]:
    """The groups' figures; before them, if anything was compared, how much of it differed.

    A mismatch ends its group, whose other figures would mean nothing, and nothing else. It is one,
    whether its group counts what it compares or not.
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
            f"RTL against golden, every tensor of all runs below: "
            f"{counts.values:,} values in {counts.tensors:,} tensors"
        )
        differ = max(counts.mismatches, len(found))
        figures.insert(0, at_most(MISMATCHES, differ, 0, "; ".join([how, *found])))
    return figures
