"""The command line: `backspike train | evaluate | predict | compile | emit | machines | build |
boards | program | fsds | hyra | bench`.

Results go to stdout, progress and errors to stderr. Exit codes: `system.program.CODES`.
"""

import argparse
import sys
from importlib.metadata import version
from typing import NoReturn

from backspike.system.program import CODES, run_program

EPILOG = f"""\
Start with

  backspike train --epochs 2        train on handwritten digits, RTL against PyTorch
  backspike compile                 see how that network lies in the machine
  backspike COMMAND --help          options and examples

{CODES}"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    # Here, so that Ctrl-C and a package that is missing end as they do within a command.
    from backspike.cli.commands import (
        bench,
        boards,
        build,
        compile,
        emit,
        evaluate,
        fsds,
        hyra,
        machines,
        predict,
        program,
        train,
    )

    top = Parser(
        prog="backspike",
        description="Train spiking neural networks on generated hardware whose every number equals "
        "PyTorch's, bit for bit.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"backspike {version('backspike')}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in (train, evaluate, predict, compile, emit, machines, build, boards, program,
                    fsds, hyra, bench):  # fmt: skip
        command.add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code."""

    def run() -> int:
        args = parser().parse_args(arguments)
        return args.run(args)

    return run_program(run)


if __name__ == "__main__":
    sys.exit(main())
