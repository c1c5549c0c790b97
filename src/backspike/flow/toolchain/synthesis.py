"""Verilog becomes a flattened netlist of a family's cells."""

import functools
import inspect
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from backspike.flow.reports.attribution import SCOPE
from backspike.flow.toolchain.family import FAMILIES, NETLIST
from backspike.system.cache import cached
from backspike.system.progress import SILENT, Progress
from backspike.system.tools import ToolFailed
from backspike.system.toolset import WASM, YOSYS, Toolset

SOURCE = "source.v"
PASS = re.compile(r"^(\d+\.\d+)\. Executing (\S+)")
"""What Yosys says when a pass begins."""
FINISHING = {
    name: [inspect.getsource(sys.modules[step.__module__]) for step in family.finish]
    for name, family in FAMILIES.items()
}
"""The texts, as they were imported, of what finishes a family's netlists."""
CONFLICT = "Driver-driver conflict"
"""What Yosys warns of where two passes disagree on a wire, before it lets one of them win."""


@dataclass(frozen=True)
class Netlist:
    """A flattened netlist: `path`, Yosys' JSON, as place and route reads it; `top`, its module;
    `source`, the Verilog that it was made of.
    """

    path: Path
    top: str
    source: str

    @functools.cached_property
    def module(self) -> dict:
        """The top module of the JSON."""
        return json.loads(self.path.read_text())["modules"][self.top]

    @functools.cached_property
    def cells(self) -> Counter[str]:
        """How many there are of each type of cell."""
        types = (cell["type"] for cell in self.module["cells"].values())
        return Counter(kind for kind in types if kind != SCOPE)


def synthesise(
    text: str,
    family: str,
    top: str = "top",
    tools: Toolset = WASM,
    progress: Progress = SILENT,
) -> Netlist:
    """The netlist of a module of a Verilog text, made once for each text and version of Yosys.

    Cells and nets keep the names of the text or have none: the pass that makes names up for the
    others is left out, so that `attribute` is not misled. Raises UserError if Yosys is not
    installed, ToolFailed if it refuses the text, or has tied two drivers together.
    """
    commands = script(family, top)

    def watch(line: str) -> None:
        if found := PASS.match(line):
            progress.at("Yosys", f"pass {found[1]}, {found[2]}")

    def build(folder: Path) -> None:
        (folder / SOURCE).write_text(text)
        said = tools.run(YOSYS, "-p", commands, folder=folder, watch=watch)
        conflicts = [line for line in said.splitlines() if CONFLICT in line]
        if conflicts:
            raise ToolFailed(f"{YOSYS} made a wrong netlist: {conflicts[0]}", said=said)

    finish = FAMILIES[family].finish
    parts = [tools.version(YOSYS), commands, text]
    folder = cached(f"netlist-{family}", parts, build)
    if finish:

        def complete(entry: Path) -> None:
            netlist = json.loads((folder / NETLIST).read_text())
            for step in finish:
                step(netlist["modules"][top])
            (entry / NETLIST).write_text(json.dumps(netlist))

        folder = cached(f"finished-{family}", [*parts, top, *FINISHING[family]], complete)
    return Netlist(folder / NETLIST, top, text)


def script(family: str, top: str) -> str:
    """Yosys' commands from SOURCE to NETLIST."""
    # Yosys refuses a memory that asks for LUTs where these cannot be memories.
    anywhere = (
        () if FAMILIES[family].rams else ("setattr -unset ram_style a:ram_style=distributed",)
    )
    prepare = FAMILIES[family].prepare
    steps = (
        f"read_verilog {SOURCE}",
        *anywhere,
        *((prepare.format(top=top),) if prepare else ()),
        f"{FAMILIES[family].synthesis} -top {top} -run begin:check",
        "hierarchy -check",
        "blackbox =A:whitebox",
        f"write_json {NETLIST}",
    )
    return "; ".join(steps)
