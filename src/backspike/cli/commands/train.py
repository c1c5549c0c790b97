"""`backspike train`."""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from backspike.cli import described, options
from backspike.ir.connection import Conv2d
from backspike.ir.constants import ceil_div
from backspike.ir.errors import UserError
from backspike.system import files
from backspike.train.notes import RunNotes, run_notes
from backspike.train.thresholds import RATE
from backspike.train.words import plural

if TYPE_CHECKING:
    from backspike.gen.machine import Machine
    from backspike.train.checkpoint import Checkpoint
    from backspike.train.data import CodedSplit, Dataset
    from backspike.train.plots import Sample
    from backspike.train.trainer import Trainer

EPOCHS = 10

EPILOG = """\
examples:
  backspike train --epochs 2
      digits on the simulated RTL, every tensor compared with PyTorch
  backspike train --backend golden --rule mpd-ed --loss mse
      in PyTorch alone, bit for bit the same, and faster
  backspike train --layers 64,48r,10 --neuron CubaLIF --loss ce-every --optimizer adam
      a recurrent layer, an error in every step, and weights updated by the host
  backspike train --network mine.toml --data spikes.npz --backend golden
      any network, and spikes (samples, T, inputs) as they are
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
    parser.add_argument(
        "--falling",
        action="store_true",
        help="let the rate of sgd or momentum fall to 0 in a straight line over the epochs "
        "(default: it stays)",
    )
    parser.add_argument(
        "--gain",
        type=options.number,
        metavar="G",
        help="of first weights, of deviation G / sqrt(sources) (2; 2.4 if more than six layers "
        "of neurons follow each other)",
    )
    parser.add_argument(
        "--threshold-rate",
        type=options.number,
        metavar="R",
        help="move the threshold of each hidden layer after each batch, so that a share R of its "
        f"neurons spikes in a step ({RATE:g} keeps deep networks alive that learn by mpd-ed; "
        "default: thresholds stay)",
    )
    options.add_data(parser)
    options.add_backend(parser, "with --resume, the checkpoint's")
    group = parser.add_argument_group("files")
    group.add_argument("--json", metavar="FILE", help="write the result as JSON; -: to stdout")
    group.add_argument(
        "--plots", metavar="DIR", help="draw loss, accuracy, spikes, classes, utilisation"
    )
    group.add_argument(
        "--force", action="store_true", help="--plots: draw over figures that are there"
    )
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
    if args.plots is not None and not args.force:
        from backspike.train.plots import check_free

        check_free(Path(args.plots))
    options.check_asked(args)
    if args.trace_batch is not None and (args.trace is None or args.trace_batch < 0):
        raise UserError(f"trace-batch is {args.trace_batch}, must be 0 or more, and beside --trace")
    if args.epochs is not None and args.epochs < 1:
        raise UserError(f"epochs is {args.epochs}, must be 1 or more")
    if args.gain is not None and args.resume is not None:
        raise UserError(f"gain is {args.gain} beside --resume, must be left out: it has weights")
    if args.falling and args.optimizer == "adam":
        raise UserError("falling is given beside optimizer adam, must be beside one on the core")
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
        return _resume(args, machine, checkpoint)
    return _begin(args, machine)


def _begin(args: argparse.Namespace, machine: "Machine") -> int:
    from backspike.train.data import load
    from backspike.train.optimizers import OnChip
    from backspike.train.trainer import Trainer

    described.loss_of(args)
    optimizer, thresholds = described.optimizer_of(args), described.thresholds_of(args)
    if args.layers is not None or args.network is not None:
        described.network_of(args)  # what is wrong with it is said before data is read
    described.neuron_of(args)
    data = load("digits" if args.data is None else args.data).limited(args.limit)
    epochs = EPOCHS if args.epochs is None else args.epochs
    if args.falling and isinstance(optimizer, OnChip):
        batches = ceil_div(len(data.train), 16 if args.batch is None else max(1, args.batch))
        optimizer = replace(optimizer, falling=epochs * batches)
    graph, steps = described.network_of(args, data), described.steps_of(args, data)
    data.check_fits(graph, steps)
    given = {
        name: getattr(args, name)
        for name in ("batch", "seed", "gain")
        if getattr(args, name) is not None
    }
    with Trainer(
        graph, machine, args.backend,
        steps=steps, check=args.check, trace=args.trace, trace_batch=args.trace_batch or 0,
        loss=described.losses_of(args, graph), optimizer=optimizer, thresholds=thresholds, **given,
    ) as trainer:  # fmt: skip
        return _train(args, trainer, data, epochs)


def _resume(args: argparse.Namespace, machine: "Machine", checkpoint: "Checkpoint") -> int:
    from backspike.train.data import load
    from backspike.train.trainer import Trainer

    notes = run_notes(args.resume, checkpoint.notes)
    if notes is None:
        raise UserError(
            f"the checkpoint {args.resume} says nothing of data, must be of `backspike train`"
        )
    epochs = notes.epochs if args.epochs is None else args.epochs
    data = load(args.data or notes.data).limited(notes.limit)
    data.check_fits(checkpoint.graph, options.steps_of(checkpoint))
    if data.digest() != notes.digest:
        raise UserError(
            f"data {data.source} is not what the checkpoint {args.resume} was trained with, must "
            "have the same training samples"
        )
    done = len(checkpoint.progress.history)
    if done >= epochs:
        raise UserError(
            f"epochs is {epochs}, must be {done + 1} or more: the checkpoint {args.resume} has "
            f"trained {done} already"
        )
    falling = checkpoint.optimizer["values"].get("falling")
    if args.falling and falling is None:
        raise UserError(f"falling is given, must be left out, as in the checkpoint {args.resume}")
    batches = ceil_div(len(data.train), checkpoint.batch)
    if falling is not None and epochs * batches > falling:
        raise UserError(
            f"epochs is {epochs}, must be up to {falling // batches}: the rate falls to 0 in these"
        )
    with Trainer.load(
        checkpoint, machine=machine, backend=args.backend, check=args.check, trace=args.trace,
        trace_batch=args.trace_batch or 0,
    ) as trainer:  # fmt: skip
        return _train(args, trainer, data, epochs)


def _for_table(args: argparse.Namespace) -> TextIO:
    """Standard output, unless a file that was asked for goes there."""
    taken = any(files.is_stdout(path) for path in (args.json, args.save, args.trace))
    return sys.stderr if taken else sys.stdout


def _train(args: argparse.Namespace, trainer: "Trainer", data: "Dataset", epochs: int) -> int:
    from tqdm import tqdm

    from backspike.train.health import TRAINING
    from backspike.train.report import table
    from backspike.train.results import result_of

    def on_epoch(epoch: dict) -> None:
        _tell(
            f"epoch {epoch['epoch']}/{epochs}: loss {epoch['loss']:.4f}, "
            f"train {epoch['accuracy']:.1%}, test {epoch['test']:.1%}"
        )
        warn()

    told: set[str] = set()

    def warn() -> None:
        """Say early what would make the rest of the run worthless, and everything at the end."""
        for kind, warning in trainer.health.warnings().items():
            if kind not in told:
                told.add(kind)
                tqdm.write(f"backspike: warning: {warning}", file=sys.stderr)  # above a bar

    steps = trainer.steps or 0
    train, test = (part.coded(trainer.graph, steps) for part in (data.train, data.test))
    _tell(
        f"data {data.source}: {len(data.train)} samples to train with, {len(data.test)} to "
        f"test; {'' if data.steps else 'pixels '}{data.scaling}"
    )
    notes = RunNotes(epochs=epochs, data=data.source, limit=data.limit, digest=data.digest())
    trainer.fit(
        train, epochs - len(trainer.history), [on_epoch], test=test, bar=True,
        save=None if args.save is None else Path(args.save), notes=notes.to_json(), watch=warn,
    )  # fmt: skip
    shares = {"train": trainer.score(train, TRAINING), "test": trainer.history[-1]["test"]}
    warn()
    result = result_of(trainer, data, shares)
    folder = None if args.plots is None else Path(args.plots)
    drawn = None if folder is None else _drawn(trainer, data, test)
    if args.json is not None:
        files.write_json(args.json, result.to_json())
    if folder is not None and drawn is not None:
        from backspike.train.plots import draw

        for path in draw(result, drawn, folder):
            _tell(f"drew {path}")
    print(table(result), end="", file=_for_table(args))
    return 0


def _drawn(trainer: "Trainer", data: "Dataset", test: "CodedSplit") -> "Sample":
    """What plots show of the test samples."""
    import numpy as np

    from backspike.train.health import TEST
    from backspike.train.plots import Sample
    from backspike.train.prediction import Prediction

    first = test.spikes(np.arange(1))
    spikes = {"input": first.reshape(1, trainer.steps or 0, -1)[0]} | {
        name: found["spikes"].reshape(1, trainer.steps or 0, -1)[0]
        for name, found in trainer.record(first).items()
        if "spikes" in found
    }
    prediction = Prediction(trainer.predict(test, TEST), data.test.y)
    graph = trainer.graph
    names = {p.name: "input" if p.role == "input" else p.name for p in graph.populations}
    planes = {
        names[p.name]: p.shape
        for p in graph.populations
        if names[p.name] in spikes and math.prod(p.shape[1:]) > 1
    }
    first_conv = next((c.name for c in graph.connections if isinstance(c.kind, Conv2d)), None)
    kernels = None if first_conv is None else (first_conv, trainer.weights[first_conv])
    label = int(data.test.y[0])
    return Sample(spikes, label, prediction.confusion, planes, kernels)


def _resumed(args: argparse.Namespace) -> "Checkpoint | None":
    """The checkpoint of --resume; options given beside it must say what it says."""
    if args.resume is None:
        return None
    from backspike.train.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(args.resume)
    described.check_kept(args, checkpoint)
    return checkpoint


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
