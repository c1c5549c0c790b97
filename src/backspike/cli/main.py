"""The command line: `backspike train | evaluate | compile | emit | machines | build | boards |
program | fsds | hyra | bench`.

Results go to stdout, progress and errors to stderr. Exit codes: 0; 1 if the RTL and golden
differ; 2 for bad input, said in one sentence; 130 after Ctrl-C.
"""

import argparse
import os
import sys
from importlib.metadata import version
from typing import NoReturn

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
    program,
    train,
)
from backspike.ir.errors import Mismatch, UserError

EPILOG = """\
Start with

  backspike train --epochs 2        train on handwritten digits, RTL against PyTorch
  backspike compile                 see how that network lies in the machine
  backspike COMMAND --help          options and examples
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
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
    for command in (train, evaluate, compile, emit, machines, build, boards, program, fsds, hyra,
                    bench):  # fmt: skip
        command.add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code."""
    args = parser().parse_args(arguments)
    try:
        code = args.run(args)
        sys.stdout.flush()  # here, where a closed pipe can still be handled
        return code
    except Mismatch as error:
        return _fail(1, f"mismatch: {error}")
    except UserError as error:
        return _fail(2, str(error))
    except KeyboardInterrupt as error:
        return _fail(130, str(error) or "stopped")
    except BrokenPipeError:
        # Whoever read us has gone, so nobody is left to tell; Python's own flush at exit must not.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(2, str(error))


def _fail(code: int, message: str) -> int:
    print(f"backspike: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
