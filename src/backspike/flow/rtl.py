"""The folder rtl/ of a checkout: `python -m backspike.flow.rtl`.

It holds the sums of every preset's files, every preset's registers, and the Verilog of SHOWN.
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

from backspike.flow.emit import PAGE, machine_files, write_files
from backspike.gen.machine import MACHINES, Accelerator
from backspike.gen.spectral.machine import SPECTRAL_MACHINES

PRESETS: dict[str, Accelerator] = {**MACHINES, **SPECTRAL_MACHINES}
SHOWN = ("default", "spectral-128")
"""Presets whose Verilog lies in rtl/, to look at without running anything."""
SUMS = "SHA256SUMS"
README = "README.md"


def sums_line(text: str, path: str) -> str:
    """A line as sha256sum writes it."""
    return f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n"


def rtl_files() -> dict[str, str]:
    """Text of every generated file of rtl/, by its path there."""
    files, sums = {}, []
    for name, machine in PRESETS.items():
        for file, text in machine_files(machine).items():
            path = f"{name}/{file}"
            sums.append(sums_line(text, path))
            if name in SHOWN or file == PAGE:
                files[path] = text
    files[SUMS] = "".join(sums)
    return files


def refresh(folder: Path) -> None:
    """Make `folder` hold what it should, and nothing else; README.md stays."""
    files = rtl_files()
    for entry in folder.iterdir() if folder.exists() else ():
        if entry.is_dir():
            shutil.rmtree(entry)
    write_files(files, folder)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m backspike.flow.rtl", description="Write the folder rtl/ of a checkout."
    )
    parser.add_argument("--out", type=Path, default=Path("rtl"), help="where to (rtl)")
    refresh(parser.parse_args(arguments).out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
