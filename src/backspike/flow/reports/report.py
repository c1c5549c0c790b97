"""The report of a build: JSON for machines, a table for people."""

import json
from dataclasses import asdict, dataclass
from statistics import median

from backspike.flow.reports.area import Area, Component
from backspike.flow.throughput import Throughput
from backspike.flow.toolchain.place import Placement, Resource
from backspike.system.json_text import json_text

SHOWN = 0.01
"""A component is in the table from this share of all LUT4 on; JSON has all of them."""


@dataclass(frozen=True)
class Report:
    """A machine on a board. clock: MHz that the core gets. problem: why there is no bitstream, in
    one sentence; None if there is. placements: a seed each; empty if nothing was placed.
    throughput: None where it was not measured. bitstream: its file's name; seed: what it is of.
    """

    board: str
    machine: str
    device: str
    speed: str
    package: str
    tools: dict[str, str]
    clock: float
    area: Area
    resources: tuple[Resource, ...]
    components: tuple[Component, ...]
    placements: tuple[Placement, ...] = ()
    throughput: Throughput | None = None
    problem: str | None = None
    bitstream: str | None = None
    seed: int | None = None

    @property
    def fits(self) -> bool:
        return all(each.used <= each.available for each in self.resources)

    @property
    def lacking(self) -> str:
        """What the part has too little of, and by how much; empty if it fits."""
        return ", ".join(
            f"{each.used:,} {each.name} of {each.available:,}"
            for each in self.resources
            if each.used > each.available
        )

    @property
    def mhz(self) -> float | None:
        """The median over the seeds of what the core's clock reaches."""
        return median(each.mhz for each in self.placements) if self.placements else None

    @property
    def rate(self) -> float | None:
        """Samples, or pairs of images, a second at the board's clock, once it runs at that."""
        if self.throughput is None or self.problem is not None:
            return None
        return self.throughput.per_second(self.clock)

    def component(self, end: str) -> Component:
        """The component whose path ends so. Raises KeyError."""
        for each in self.components:
            if each.path == end or each.path.endswith(f".{end}"):
                return each
        raise KeyError(end)

    def to_json(self) -> str:
        """All of it, and besides what follows: fits, mhz, rate."""
        derived = {"fits": self.fits, "mhz": self.mhz, "rate": self.rate}
        return json_text(asdict(self) | derived)


def from_json(text: str) -> Report:
    """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    about = json.loads(text)
    for name in ("fits", "mhz", "rate"):
        del about[name]
    for name, kind in (("resources", Resource), ("placements", Placement)):
        about[name] = tuple(kind(**each) for each in about[name])
    about["area"] = Area(**about["area"])
    about["components"] = tuple(
        Component(**each | {"area": Area(**each["area"])}) for each in about["components"]
    )
    if about["throughput"] is not None:
        about["throughput"] = Throughput(**about["throughput"])
    return Report(**about)


def table(report: Report) -> str:
    """Sizes, clock and throughput as aligned text."""
    lines = [
        f"{report.machine} on {report.board}: {report.device}, speed grade {report.speed}, "
        f"{report.package}",
        ", ".join(f"{tool} {version}" for tool, version in report.tools.items()),
        "",
        f"{'part':<16}{'needed':>10}{'there':>10}{'share':>9}",
        *(
            f"{each.name:<16}{each.used:>10,}{each.available:>10,}{each.share:>9.1%}"
            for each in report.resources
        ),
        "",
        *_components(report),
        "",
        *_timing(report),
    ]
    return "\n".join(lines) + "\n"


def _components(report: Report) -> list[str]:
    least = SHOWN * report.area.lut4
    shown = [each for each in report.components if each.area.lut4 >= least]
    rows = [(_name(each), each) for each in shown]
    width = max(len(name) for name, _ in rows) + 2
    head = f"{'component':<{width}}{'LUT4':>8}{'each':>8}{'carry':>8}{'RAM':>7}{'FF':>8}"
    lines = [f"{head}{'blocks':>8}{'DSP':>6}"]
    for name, each in rows:
        a, one = each.area, f"{each.each:,.0f}" if each.count > 1 else ""
        lines.append(
            f"{name:<{width}}{a.lut4:>8,}{one:>8}{a.carry:>8,}{a.ram:>7,}{a.ffs:>8,}"
            f"{a.memories:>8}{a.dsps:>6}"
        )
    lines.append(f"LUT4 of the netlist, of which carry and RAM; components of {SHOWN:.0%} and more")
    return lines


def _name(component: Component) -> str:
    if not component.path:
        return "all"
    parts = component.path.split(".")
    alike = f" ({component.count})" if component.count > 1 else ""
    return f"{'  ' * len(parts)}{parts[-1]}{alike}"


def _timing(report: Report) -> list[str]:
    lines = []
    if report.mhz is not None:
        spread = ", ".join(f"{mhz:.1f}" for mhz in sorted(each.mhz for each in report.placements))
        seeds = len(report.placements)
        lines.append(
            f"clock        {report.mhz:.1f} MHz, median of {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'} ({spread}); {report.clock:g} MHz wanted"
        )
    if report.throughput is not None:
        found, mhz = report.throughput, report.clock
        rate = "" if report.rate is None else f"{report.rate:,.0f} {found.units}/s at {mhz:g} MHz, "
        lines.append(f"throughput   {rate}{found.cycles:,.1f} cycles for each of the {found.units}")
        lines.append(f"             {found.how}")
    if report.problem is not None:
        lines.append(f"no bitstream {report.problem}")
    else:
        lines.append(f"bitstream    {report.bitstream}, seed {report.seed}")
    return lines
