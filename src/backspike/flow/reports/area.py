"""The resources of a part that a netlist takes, in total and by component."""

import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass

from backspike.flow.reports.attribution import attribute
from backspike.flow.toolchain.family import Family
from backspike.flow.toolchain.synthesis import Netlist

NUMBER = re.compile(r"\d+(?=\.|$)")
"""By which instances that are alike differ: lane0, lane1."""


@dataclass(frozen=True)
class Area:
    """lut4: LUT4s and what takes the place of LUT4s, of which `carry` and `ram` (distributed
    memory). ffs: flip-flops. memories: block RAMs. dsps: multipliers.
    """

    lut4: int = 0
    carry: int = 0
    ram: int = 0
    ffs: int = 0
    memories: int = 0
    dsps: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(*(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(asdict(self).values())


def area(cells: Counter[str], family: Family) -> Area:
    """Of so many cells of each type."""

    def luts(types) -> int:
        return sum(cells[kind] * family.luts[kind] for kind in types)

    return Area(
        lut4=luts(family.luts),
        carry=luts(family.carries),
        ram=luts(family.rams),
        ffs=sum(count for kind, count in cells.items() if kind.startswith(family.ffs)),
        memories=sum(cells[kind] for kind in family.memories),
        dsps=sum(cells[kind] for kind in family.dsps),
    )


@dataclass(frozen=True)
class Component:
    """A component of the hierarchy with all that is in it; or `count` alike, taken together.

    path: as `serial.core.fp.lanes`, empty for all; with `*` for the number of those that are alike.
    largest: LUT4 of the one of them that takes most.
    """

    path: str
    count: int
    largest: int
    area: Area

    @property
    def each(self) -> float:
        """LUT4 of one, on the average."""
        return self.area.lut4 / self.count


def components(netlist: Netlist, family: Family) -> list[Component]:
    """All components that take anything, each before those in it; the first is the whole."""
    cells = netlist.module["cells"]
    own: dict[str, Counter[str]] = defaultdict(Counter)
    for name, path in attribute(netlist.module, netlist.source).items():
        own[path][cells[name]["type"]] += 1
    whole: dict[str, Area] = defaultdict(Area)
    for path, counts in own.items():
        taken = area(counts, family)
        for above in _upwards(path):
            whole[above] += taken
    alike: dict[str, list[Area]] = defaultdict(list)
    names: dict[str, str] = {}
    for path in sorted(whole, key=lambda path: path.split(".")):
        pattern = NUMBER.sub("*", path)
        names[pattern] = path if pattern not in names else pattern
        alike[pattern].append(whole[path])
    return [
        Component(names[pattern], len(areas), max(a.lut4 for a in areas), sum(areas, Area()))
        for pattern, areas in alike.items()
        if any(sum(areas, Area()).counts)
    ]


def _upwards(path: str) -> list[str]:
    """The path, and those of all that it lies in."""
    parts = path.split(".") if path else []
    return [".".join(parts[:n]) for n in range(len(parts), -1, -1)]
