"""How a program ends: with which exit code, and with which sentence on stderr.

Exit code 1 says that hardware and PyTorch differ, and nothing else does.
"""

import contextlib
import errno
import io
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
        code, text = _explanation(error)
        try:
            if code == FAULT:
                traceback.print_exception(error)
            print(f"{name}: {' '.join(text.split())}", file=sys.stderr, flush=True)
        except BrokenPipeError:  # nobody is left to tell
            _discard_output()
            return CLOSED_PIPE
        except OSError:  # stderr itself cannot be written: the code must say it
            _discard_output()
        return code


def _explanation(error: BaseException) -> tuple[int, str]:
    """The exit code of what ended the program, and the sentence for stderr."""
    if isinstance(error, Mismatch):
        return MISMATCH, f"mismatch: {error}"
    if isinstance(error, Missed):
        return MISSED, f"missed: {error}"
    if isinstance(error, UserError):
        return BAD_INPUT, str(error)
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, str(error) or "stopped"
    if isinstance(error, OSError):
        return BAD_INPUT, f"{_what(error)}: {reason(error)}"
    return FAULT, "this is a fault of the program: please report the lines above"


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
    try:
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except OSError:  # there is nowhere to say it: the code must
        _discard_output()


def _open_closed() -> None:
    """Give /dev/null to standard streams that are closed: else the next file opened takes their
    place, and what is printed goes there. Have those that are open take every character."""
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, mode))  # noqa: SIM115 -- until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # one that knows no ± or η gets \xb1 instead
            stream.reconfigure(errors="backslashreplace")


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
