"""Which component of the hierarchy each cell of a flattened netlist belongs to."""

import bisect
import re
from collections import Counter
from collections.abc import Iterable

MODULE = re.compile(r"^\s*module +\\?(\S+?) *[(;]")
SCOPE = "$scopeinfo"
"""What Yosys leaves of an instance that it has flattened: a cell of the instance's path."""
Path = str
"""Of an instance, as `core.fp.lanes`; empty for the top module itself."""


def attribute(module: dict, source: str) -> dict[str, Path]:
    """The path of the instance that owns each cell, by the cell's name.

    module: the flattened module, as Yosys writes JSON, before names were made up for what has none
    (`autoname`). source: the Verilog text that it was read from.

    Totals are exact, for every cell has one owner; where the border between two components lies is
    a rule, since synthesis mixes the logic of both sides:
    - a memory's cells bear their memory's name, which lies in an instance;
    - a cell with a place in the source (flip-flop, carry, multiplier) was written in the module
      that has this place, so it belongs to an instance of that module: to the one that has a name
      for what the cell drives, or else to the one that most of what it drives belongs to;
    - any other cell, a LUT above all, belongs where most of what it drives belongs. LUTs are
      settled from registers and memories backwards. Where two drive it alike, it belongs to the
      smallest component that holds both.
    """
    cells = {name: cell for name, cell in module["cells"].items() if cell["type"] != SCOPE}
    kinds = {
        name: cell["attributes"].get("module", "")
        for name, cell in module["cells"].items()
        if cell["type"] == SCOPE
    }
    instances = _Instances(kinds)
    places = _Places(source)
    names = _names(module, instances)
    sinks = _sinks(cells)
    settled: dict[str, Path] = {}
    open_cells: dict[str, set[str]] = {}  # the modules that a cell's source names, if any
    for name, cell in cells.items():
        modules = places.modules(cell["attributes"].get("src", ""))
        inside = {
            path
            for bit in _driven(cell)
            for path in names.get(bit, ())
            if instances.kinds.get(path) in modules
        }
        if len(inside) == 1:
            settled[name] = inside.pop()
        elif not modules and not name.startswith("$"):
            settled[name] = instances.of(name)
        else:
            open_cells[name] = modules
    _settle(open_cells, settled, cells, sinks, instances)
    return settled


def common(paths: Iterable[Path]) -> Path:
    """The smallest component that holds all of them."""
    first, *rest = [path.split(".") if path else [] for path in paths]
    for parts in rest:
        same = 0
        while same < min(len(first), len(parts)) and first[same] == parts[same]:
            same += 1
        first = first[:same]
    return ".".join(first)


class _Instances:
    """Paths of all instances with the modules that they are of."""

    def __init__(self, kinds: dict[Path, str]):
        self.kinds = kinds

    def of(self, name: str) -> Path:
        """The instance that a flattened name lies in: the longest path that begins it."""
        while name and name not in self.kinds:
            name = name.rpartition(".")[0]
        return name


class _Places:
    """The modules of a Verilog text by line."""

    def __init__(self, source: str):
        self._starts: list[int] = []
        self._modules: list[str] = []
        for number, line in enumerate(source.splitlines(), 1):
            if found := MODULE.match(line):
                self._starts.append(number)
                self._modules.append(found[1])

    def modules(self, src: str) -> set[str]:
        """What a `src` attribute names; places in Yosys' own files are none of ours."""
        found = set()
        for part in src.split("|"):
            file, _, place = part.rpartition(":")
            if file and "/" not in file:
                line = int(re.split(r"[.-]", place)[0])
                at = bisect.bisect_right(self._starts, line)
                if at:
                    found.add(self._modules[at - 1])
        return found


def _names(module: dict, instances: _Instances) -> dict[int, set[Path]]:
    """The instances that have a name for a net, by the net's number."""
    found: dict[int, set[Path]] = {}
    for name, net in module["netnames"].items():
        if not net["hide_name"]:
            path = instances.of(name)
            for bit in net["bits"]:
                if isinstance(bit, int):
                    found.setdefault(bit, set()).add(path)
    return found


def _driven(cell: dict) -> list[int]:
    """Nets that a cell drives."""
    ways = cell["port_directions"]
    return [
        bit
        for port, bits in cell["connections"].items()
        if ways[port] != "input"
        for bit in bits
        if isinstance(bit, int)
    ]


def _sinks(cells: dict[str, dict]) -> dict[int, list[str]]:
    """Cells that read a net, once for each pin."""
    found: dict[int, list[str]] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    if isinstance(bit, int):
                        found.setdefault(bit, []).append(name)
    return found


def _settle(open_cells, settled, cells, sinks, instances: _Instances) -> None:
    """Give each open cell the owner that most of its readers have, readers first."""
    readers = {
        name: [sink for bit in _driven(cells[name]) for sink in sinks.get(bit, ()) if sink != name]
        for name in open_cells
    }
    waiting = {name: len({r for r in readers[name] if r in open_cells}) for name in open_cells}
    feeds: dict[str, list[str]] = {}
    for name, them in readers.items():
        for reader in {r for r in them if r in open_cells}:
            feeds.setdefault(reader, []).append(name)
    ready = [name for name, count in waiting.items() if not count]
    left = dict.fromkeys(open_cells)
    while left:
        # A loop through open cells (a carry whose place is not told) is cut where it is met first.
        name = ready.pop() if ready else next(iter(left))
        if name not in left:
            continue
        del left[name]
        votes = Counter(settled[reader] for reader in readers[name] if reader in settled)
        if modules := open_cells[name]:
            own = {path: n for path, n in votes.items() if instances.kinds.get(path) in modules}
            candidates = [path for path, kind in instances.kinds.items() if kind in modules]
            if own:
                votes = Counter(own)
            elif candidates:
                votes = Counter({path: _nearness(path, votes) for path in candidates})
        most = max(votes.values(), default=0)
        settled[name] = common([path for path, n in votes.items() if n == most]) if votes else ""
        for feeder in feeds.get(name, ()):
            waiting[feeder] -= 1
            if not waiting[feeder]:
                ready.append(feeder)


def _nearness(path: Path, votes: Counter) -> int:
    """How much of their way from the top `path` shares with those who vote."""
    return sum(n * len(common([path, other]).split(".")) for other, n in votes.items())
