"""The programs that builds run: one way to run them, and one sentence when they fail."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from backspike.ir.errors import UserError
from backspike.system.cache import keep_log

FROM_CHECKOUT = "pip install -e '.[boards]' in the checkout installs it"
"""Where what is missing comes from: backspike itself is in no package index."""
CAUSE = re.compile(r"\berror\b(?!: ld returned)|No space left|cannot find", re.IGNORECASE)
"""What the line of a tool's output has that tells why it failed."""
LONGEST = 300
"""Characters of such a line that a message quotes."""
Watch = Callable[[str], None]
"""Takes each line that a tool prints, while it runs."""


class ToolFailed(UserError):
    """A tool has ended with an error: one sentence with the cause, and the path of its log.

    cause: the line that tells why. said: all that the tool printed.
    """

    def __init__(self, message: str, *, cause: str = "", said: str = ""):
        super().__init__(message)
        self.cause, self.said = cause, said


def find(tool: str) -> str:
    """The path of a tool beside this Python, or on PATH. UserError if it is not installed."""
    beside = Path(sys.executable).parent / tool
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        raise UserError(f"{tool} is not found: {FROM_CHECKOUT}")
    return found


def run(tool: str, *arguments: str, folder: Path, watch: Watch = lambda line: None) -> str:
    """Run a tool that `find` finds in `folder`, and return all that it printed.

    Files are to be named relative to `folder`: WebAssembly sees no others. Raises UserError if the
    tool is not installed, ToolFailed if it fails.
    """
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": beside}  # tools call each other by name
    return run_program([find(tool), *arguments], folder, environment, watch)


def run_program(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    watch: Watch = lambda line: None,
    *,
    name: str | None = None,
) -> str:
    """Run a program in `folder`; see `run`. name: what messages call it, by default its file."""
    said = [f"$ {' '.join(command)}\n"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                watch(line.rstrip("\n"))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise failure(name or Path(command[0]).name, process.returncode, "".join(said))
    return "".join(said[1:])


def failure(tool: str, status: int, said: str) -> ToolFailed:
    """What is raised if a tool ends with an exit code, or minus a signal, after it said so much."""
    lines = [line.strip() for line in said.splitlines()[1:] if line.strip()]
    causes = [line for line in lines if CAUSE.search(line)] or lines[-1:] or ["it said nothing"]
    cause = causes[0][:LONGEST]
    log = keep_log(tool, said)
    where = "its log could not be kept" if log is None else f"its log is {log}"
    ended = f"was ended by signal {-status}" if status < 0 else f"failed with exit code {status}"
    return ToolFailed(f"{tool} {ended}: {cause}; {where}", cause=cause, said=said)
