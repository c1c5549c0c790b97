"""A picture of a report: what each component takes, and how full the part is."""

import io
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from backspike.flow.reports.area import Component
from backspike.flow.reports.report import Report
from backspike.system.plot_style import BLUE, GREEN, ORANGE, SOFT, STYLE

BARS = 18
"""Parts at the most."""
SMALL = 0.01
"""Share of all LUT4 below which a part does not count."""
KINDS = {"logic": BLUE, "carry": GREEN, "distributed memory": ORANGE}


@dataclass(frozen=True)
class Part:
    """A bar: LUT4 of logic, carries and distributed memory. path: the component's, if it is one."""

    name: str
    path: str | None
    logic: int
    carry: int
    ram: int

    @property
    def kinds(self) -> tuple[int, int, int]:
        return self.logic, self.carry, self.ram

    @property
    def lut4(self) -> int:
        return sum(self.kinds)


def picture(report: Report) -> bytes:
    """A PNG: LUT4 by component, and the shares of the part that are taken."""
    with matplotlib.rc_context(STYLE):
        figure, content = draw(report), io.BytesIO()
        figure.savefig(content, format="png")
    return content.getvalue()


def draw(report: Report) -> Figure:
    bars = parts(report)
    figure = Figure(figsize=(8.5, 1.2 + 0.22 * len(bars)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    for row, part in enumerate(reversed(bars)):
        begin = 0
        for count, (label, colour) in zip(part.kinds, KINDS.items(), strict=True):
            left.barh(row, count, 0.7, begin, color=colour, label=None if row else label)
            begin += count
        left.text(begin, row, f" {begin:,}", va="center", fontsize=7.5)
    left.set_yticks(range(len(bars)), [part.name for part in reversed(bars)])
    left.set(xlabel="LUT4", title=f"LUT4 by component: {report.area.lut4:,} in all")
    left.tick_params(axis="y", length=0)
    left.margins(x=0.12)
    left.legend(loc="lower right")
    for row, each in enumerate(reversed(report.resources)):
        colour = SOFT if each.used <= each.available else ORANGE
        right.barh(row, each.share, 0.5, color=colour)
        right.text(0, row + 0.36, f"{each.used:,} of {each.available:,}", fontsize=7.5)
    right.set_yticks(
        range(len(report.resources)), [each.name for each in reversed(report.resources)]
    )
    right.set_xlim(0, max(1, *(each.share for each in report.resources)))
    right.set_title(report.device)
    right.set_ylim(None, len(report.resources) - 0.4)
    right.xaxis.set_major_formatter(PercentFormatter(1))
    right.tick_params(axis="y", length=0)
    clock = "" if report.mhz is None else f", {report.mhz:.1f} MHz"
    figure.suptitle(f"{report.machine} on {report.board}{clock}", x=0.01, ha="left", fontsize=11)
    return figure


def parts(report: Report) -> list[Part]:
    """The whole, divided where it is largest, largest part first; they do not overlap, so their
    sum is the report's. Small ones come last, as one. `rest` is what of a component is in none of
    the components in it.
    """
    rows = {each.path: each for each in report.components}
    found = [_part(rows[""])]
    least = SMALL * report.area.lut4
    while sum(part.lut4 >= least for part in found) < BARS:
        divisible = [part for part in found if _inside(part, rows)]
        if not divisible:
            break
        largest = max(divisible, key=lambda part: part.lut4)
        inside = [_part(each) for each in _inside(largest, rows)]
        rest = Part(
            f"{largest.name} (rest)",
            None,
            largest.logic - sum(part.logic for part in inside),
            largest.carry - sum(part.carry for part in inside),
            largest.ram - sum(part.ram for part in inside),
        )
        found.remove(largest)
        found += [part for part in (*inside, rest) if part.lut4]
    found.sort(key=lambda part: -part.lut4)
    shown, small = found[: BARS - 1], found[BARS - 1 :]
    if small:
        sums = (sum(values) for values in zip(*(p.kinds for p in small), strict=True))
        shown.append(Part(f"{len(small)} smaller ones", None, *sums))
    return shown


def _part(component: Component) -> Part:
    area = component.area
    alike = f" ({component.count})" if component.count > 1 else ""
    name = component.path.removeprefix("serial.").removeprefix("core.") or "all"
    return Part(
        f"{name}{alike}", component.path, area.lut4 - area.carry - area.ram, area.carry, area.ram
    )


def _inside(part: Part, rows: dict[str, Component]) -> list[Component]:
    """Components directly in a part; none in what is left over of one."""
    if part.path is None:
        return []
    return [each for path, each in rows.items() if path and _above(path) == part.path]


def _above(path: str) -> str:
    return path.rpartition(".")[0]
