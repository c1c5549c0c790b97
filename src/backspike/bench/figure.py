"""A figure of merit, and the table and JSON that all of them make."""

from dataclasses import asdict, dataclass
from textwrap import wrap

from backspike.system.json_text import json_text

WIDTH = 96
INDENT = "    "


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    value: None where it was not measured. goal: what it should be, as text; None if it only
    informs. met: whether it is; None without value or goal. how: what was run and counted.
    """

    figure: str
    value: float | int | None
    goal: str | None
    met: bool | None
    how: str


def at_most(figure: str, value: float | int, goal: float | int, how: str) -> Figure:
    """A figure that is met up to `goal`."""
    return Figure(figure, value, f"<= {goal:g}", value <= goal, how)


def at_least(figure: str, value: float | int, goal: float | int, how: str) -> Figure:
    """A figure that is met from `goal` on."""
    return Figure(figure, value, f">= {goal:g}", value >= goal, how)


def below(figure: str, value: float | int, goal: float | int, how: str) -> Figure:
    """A figure that is met under `goal`, and not at it."""
    return Figure(figure, value, f"< {goal:g}", value < goal, how)


def above(figure: str, value: float | int, goal: float | int, how: str) -> Figure:
    """A figure that is met over `goal`, and not at it."""
    return Figure(figure, value, f"> {goal:g}", value > goal, how)


def to_json(figures: list[Figure]) -> str:
    """A list of {figure, value, goal, met, how}."""
    return json_text([asdict(figure) for figure in figures])


def table(figures: list[Figure]) -> str:
    """A line for each figure, and below it, indented, how it was measured."""
    head = ("figure", "value", "goal", "met")
    rows = [(f.figure, _number(f.value), f.goal or "-", _met(f.met)) for f in figures]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(row: tuple[str, ...]) -> str:
        name, value, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return "  ".join((name, value.strip().rjust(widths[1]), *rest)).rstrip()

    lines = [line(head)]
    for figure, row in zip(figures, rows, strict=True):
        lines += [
            line(row),
            *wrap(figure.how, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT),
        ]
    return "\n".join(lines) + "\n"


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _met(met: bool | None) -> str:
    return {None: "-", True: "yes", False: "NO"}[met]
