"""How a program ends: with which exit code, and with which sentence on stderr.

Exit code 1 says that hardware and PyTorch differ, and nothing else does.
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable

from backspike.ir.errors import Mismatch, Missed, UserError
from backspike.system.files import reason

MISMATCH, BAD_INPUT, MISSED, FAULT, STOPPED, CLOSED_PIPE = 1, 2, 3, 70, 130, 141
CODES = """\
exit codes:
  0    done
  1    hardware and PyTorch differ
  2    bad input, or something that the system refused: said in one sentence
  3    a figure, a baseline or a proof is missed
  70   a fault of the program itself: its traceback is printed
  130  stopped by Ctrl-C
  141  whoever read the output has gone
"""


def run_program(run: Callable[[], int], name: str = "backspike") -> int:
    """Call `run` and return the program's exit code, whatever happens in it.

    name: stands before the sentence on stderr. A closed stdout or stderr is like /dev/null.
    """
    _open_closed()
    try:
        try:
            code = run()
        except SystemExit as stopped:  # argparse has printed what there is to say
            code = stopped.code if isinstance(stopped.code, int) else BAD_INPUT * bool(stopped.code)
        _flush_output()  # here, where it can still be said if that fails
        return code
    except BrokenPipeError:
        _discard_output()
        return CLOSED_PIPE
    except BaseException as error:
        try:
            return _explain(name, error)
        except BrokenPipeError:  # nobody is left to tell
            _discard_output()
            return CLOSED_PIPE


def _explain(name: str, error: BaseException) -> int:
    """Say on stderr what ended the program; its exit code."""
    if isinstance(error, Mismatch):
        code, text = MISMATCH, f"mismatch: {error}"
    elif isinstance(error, Missed):
        code, text = MISSED, f"missed: {error}"
    elif isinstance(error, UserError):
        code, text = BAD_INPUT, str(error)
    elif isinstance(error, KeyboardInterrupt):
        code, text = STOPPED, str(error) or "stopped"
    elif isinstance(error, OSError):
        code, text = BAD_INPUT, f"{_what(error)}: {reason(error)}"
    else:
        code, text = FAULT, "this is a fault of the program: please report the lines above"
        traceback.print_exception(error)
    print(f"{name}: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return code


def _what(error: OSError) -> str:
    """What the system refused to read or write."""
    if error.filename is not None:
        return str(error.filename)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "output cannot be written" if full else "the system refused"


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise UserError(f"output cannot be written: {reason(error)}") from None


def _open_closed() -> None:
    """Give /dev/null to standard streams that are closed: else the next file opened takes their
    place, and what is printed goes there."""
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, mode))  # noqa: SIM115 -- until the end


def _discard_output() -> None:
    """So that Python's own flush at its end does not fail once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):  # one that has no descriptor
                os.dup2(null, stream.fileno())
    os.close(null)
