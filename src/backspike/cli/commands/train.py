"""`backspike train`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from backspike.cli import options
from backspike.ir.checks import nearest_half
from backspike.ir.errors import UserError
from backspike.ir.learning import Learning
from backspike.ir.network import Network
from backspike.system import files
from backspike.train.words import plural

if TYPE_CHECKING:
    from backspike.train.checkpoint import Checkpoint

EPOCHS = 10

EPILOG = """\
examples:
  backspike train --epochs 2
      digits on the simulated RTL, every tensor compared with PyTorch
  backspike train --backend golden --rule mpd-ed --loss mse
      in PyTorch alone, bit for bit the same, and faster
  backspike train --layers 784,128,10 --data mnist/ --limit 2000 --machine wide
      a folder with train-images-idx3-ubyte.gz and its three siblings
  backspike train --backend serial:/dev/ttyUSB0 --save run.safetensors
      on a board; --no-check brings only samples, labels and logits over the line
  backspike train --save run.safetensors --plots out/
  backspike train --resume run.safetensors --epochs 20 --save run.safetensors
      goes on where the run stopped and on what it ran, bit for bit as if it never had
  backspike train --backend rtl --limit 64 --epochs 1 --trace wave.vcd --trace-batch 2
      waves of the third batch

Ctrl-C stops between two batches and saves the checkpoint (with --save); a second one stops at once.
A board that is unplugged leaves the last checkpoint whole, which is half a minute old at the most.
exit codes: 0, 1 (backend and golden differ), 2 (bad input), 130 (Ctrl-C); others as in
backspike --help.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network, on the simulated RTL or in PyTorch",
        description="Train a spiking network by back-propagation. The same options give the same "
        "bits on every backend and machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_network(parser)
    options.add_learning(parser)
    parser.add_argument(
        "--epochs",
        type=options.integer,
        metavar="N",
        help=f"passes over the data, those of a resumed run included ({EPOCHS})",
    )
    options.add_data(parser)
    options.add_backend(parser, "with --resume, the checkpoint's")
    group = parser.add_argument_group("files")
    group.add_argument("--json", metavar="FILE", help="write the result as JSON; -: to stdout")
    group.add_argument("--plots", metavar="DIR", help="draw loss, accuracy, spikes, utilisation")
    group.add_argument(
        "--save",
        metavar="FILE",
        help="checkpoint (.safetensors), every half minute and epoch",
    )
    group.add_argument("--resume", metavar="FILE", help="go on from a checkpoint, on its backend")
    group.add_argument("--trace", metavar="FILE.vcd", help="waves of one batch (rtl)")
    group.add_argument(
        "--trace-batch",
        type=options.integer,
        metavar="N",
        help="which batch, counted from 0 as mismatches are (0)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify everything, then train; returns the exit code."""
    args.save, args.trace = files.straight(args.save), files.straight(args.trace)
    for option in ("json", "save", "trace"):
        files.check_file(f"--{option}", getattr(args, option))
    files.check_folder("--plots", args.plots)
    options.check_asked(args)
    if args.trace_batch is not None and (args.trace is None or args.trace_batch < 0):
        raise UserError(f"trace-batch is {args.trace_batch}, must be 0 or more, and beside --trace")
    if args.epochs is not None and args.epochs < 1:
        raise UserError(f"epochs is {args.epochs}, must be 1 or more")
    checkpoint = _resumed(args)
    machine = options.settle_backend(args, checkpoint)
    if args.trace is not None and args.backend != "rtl":
        raise UserError(
            f"trace is {args.trace} on backend {args.backend}, must be on rtl: no other has waves"
        )
    if checkpoint is not None:
        _tell(
            f"resumed {args.resume} after {plural(checkpoint.progress.updates, 'batch', 'es')}, "
            f"{options.place_of(args)}"
        )
    from backspike.train.data import load

    if checkpoint is None:
        network, learning = options.network_of(args), options.learning_of(args)
        epochs = EPOCHS if args.epochs is None else args.epochs
        data = load("digits" if args.data is None else args.data).limited(args.limit)
        if args.layers is None:
            network = data.fitted(network)
        data.check_fits(network)
    else:
        network, learning = checkpoint.network, checkpoint.learning
        epochs = checkpoint.epochs if args.epochs is None else args.epochs
        data = load(args.data or checkpoint.data).limited(checkpoint.limit)
        data.check_fits(network)
        if data.digest() != checkpoint.digest:
            raise UserError(
                f"data {data.source} is not what the checkpoint {args.resume} was trained with, "
                "must have the same training samples"
            )
        done = len(checkpoint.progress.history)
        if done >= epochs:
            raise UserError(
                f"epochs is {epochs}, must be {done + 1} or more: the checkpoint {args.resume} has "
                f"trained {done} already"
            )
    return _train(args, machine, network, learning, data, epochs, checkpoint)


def _for_table(args: argparse.Namespace) -> TextIO:
    """Standard output, unless a file that was asked for goes there."""
    taken = any(files.is_stdout(path) for path in (args.json, args.save, args.trace))
    return sys.stderr if taken else sys.stdout


def _train(args, machine, network: Network, learning: Learning, data, epochs, checkpoint) -> int:
    from backspike.train.report import table
    from backspike.train.trainer import Trainer

    def on_epoch(epoch: dict) -> None:
        _tell(
            f"epoch {epoch['epoch']}/{epochs}: loss {epoch['loss']:.4f}, "
            f"train {epoch['train']:.1%}, test {epoch['test']:.1%}"
        )
        warn()

    told: set[str] = set()

    def warn() -> None:
        """Say early what would make the rest of the run worthless, and everything at the end."""
        for kind, warning in trainer.health.warnings().items():
            if kind not in told:
                told.add(kind)
                _tell(f"backspike: warning: {warning}")

    with Trainer(
        network,
        machine,
        args.backend,
        learning=learning,
        check=args.check,
        trace=None if args.trace is None else Path(args.trace),
        trace_batch=args.trace_batch or 0,
    ) as trainer:
        _tell(
            f"data {data.source}: {len(data.train)} samples to train with, {len(data.test)} to "
            f"test; pixels {data.scaling}"
        )
        if checkpoint is not None:
            trainer.resume(checkpoint)
        save = None if args.save is None else Path(args.save)
        result = trainer.train(data, epochs, save=save, bar=True, on_epoch=on_epoch)
        warn()
        sample = trainer.watch(data.test.x[0]) if args.plots else None
    if args.json is not None:
        files.write_json(args.json, result.to_json())
    if sample is not None:
        from backspike.train.plots import draw

        for path in draw(result, sample, int(data.test.y[0]), Path(args.plots)):
            _tell(f"drew {path}")
    print(table(result), end="", file=_for_table(args))
    return 0


def _resumed(args: argparse.Namespace) -> "Checkpoint | None":
    """The checkpoint of --resume; options given beside it must say what it says."""
    if args.resume is None:
        return None
    from backspike.train.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(args.resume)
    network, learning = checkpoint.network, checkpoint.learning
    kept: dict[str, object] = {
        "layers": ",".join(map(str, network.sizes)),
        "steps": network.steps,
        "limit": checkpoint.limit,
    }
    for name in ("batch", "loss", "rate", "alpha", "rounding", "seed"):
        kept[name] = getattr(learning, name)
    for name in ("rule", "temporal", "leak", "threshold", "reset", "bias"):
        kept[name] = getattr(network.layers[0], name)
    for name, value in kept.items():
        given = getattr(args, name)
        if given is not None and _as_kept(name, given) != value:
            kept_so = "left out" if value is None else value
            raise UserError(
                f"{name} is {given}, must be {kept_so}, as in the checkpoint {args.resume}"
            )
    surrogate = network.layers[0].surrogate
    if args.surrogate is not None and options.surrogate_of(args.surrogate) != surrogate:
        raise UserError(
            f"surrogate is {args.surrogate}, must be the {surrogate.name} with edges "
            f"{surrogate.edges} and values {surrogate.values}, as in the checkpoint {args.resume}"
        )
    return checkpoint


def _as_kept(name: str, given: object) -> object:
    """What an option's value becomes in a network or learning."""
    if isinstance(given, float):
        return nearest_half(name, given)
    return given.replace(" ", "") if name == "layers" and isinstance(given, str) else given


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
