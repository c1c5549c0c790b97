"""`backspike predict`."""

import argparse
import sys
from typing import TYPE_CHECKING

from backspike.cli import options
from backspike.ir.checks import whole
from backspike.ir.errors import UserError
from backspike.system import files
from backspike.system.json_text import json_text

if TYPE_CHECKING:
    import numpy as np

    from backspike.ir.graph import Graph
    from backspike.train.data import CodedSplit

PARTS = ("test", "train")
EPILOG = """\
examples:
  backspike predict run.safetensors
      the test samples that it was trained beside, on the backend and machine that it was trained on
  backspike predict run.safetensors --data mine.npz --backend golden --json -
      where mine.npz has x, numbers of samples; with y, too, every fifth sample is of the test

A sample's class is the output with the largest logit, the first of equal ones.

JSON: samples, a list of label (null if there is none), predicted and logits; accuracy, and
confusion, a list of rows by label of counts by predicted class (both null without labels);
saturated, diverged and warnings as `backspike evaluate --json` has them.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "predict",
        help="what a trained network says of samples",
        description="Run a trained network on samples: label, class and logits of each, and a "
        "confusion matrix if labels are known.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_checkpoint(parser)
    parser.add_argument(
        "--part", metavar="PART", default="test", help="of data with labels: test (default), train"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify everything, then predict; returns the exit code."""
    files.check_file("--json", args.json)
    options.check_asked(args)
    if args.part not in PARTS:
        raise UserError(f"part is {args.part!r}, must be {' or '.join(PARTS)}")
    from backspike.train.checkpoint import load_checkpoint
    from backspike.train.prediction import Prediction

    checkpoint = load_checkpoint(args.checkpoint)
    options.settle_backend(args, checkpoint)
    machine = options.settle_machine(args, checkpoint.graph, checkpoint)
    source, limit = options.source_of(args, checkpoint)
    steps = options.steps_of(checkpoint)
    samples, labels = _samples(source, args.part, limit, checkpoint.graph, steps)
    print(f"predicting {len(samples)} samples {options.place_of(args)}", file=sys.stderr)
    with options.opened(args, checkpoint, machine) as trainer:
        result = Prediction(_logits(trainer.predict(samples)), labels)
        check, found = trainer.checked(), trainer.health.found()
    if args.json is not None:
        about = {"backend": args.backend, "machine": machine.name, "data": source}
        about["part"] = None if labels is None else args.part
        files.write_json(args.json, json_text(about | result.to_json() | {"check": check} | found))
    if not files.is_stdout(args.json):
        print(result.table(), end="")
    return 0


def _logits(found: "np.ndarray | dict[str, np.ndarray]") -> "np.ndarray":
    """Of the first read-out that has a loss."""
    return next(iter(found.values())) if isinstance(found, dict) else found


def _samples(
    source: str, part: str, limit: int | None, graph: "Graph", steps: int
) -> "tuple[CodedSplit, np.ndarray | None]":
    """Samples, and labels if there are any, told on stderr how they were scaled."""
    import numpy as np

    from backspike.train.data import Dataset, Split, load, load_unlabelled

    unlabelled = load_unlabelled(source)
    if unlabelled is None:
        data = load(source).limited(limit)
        data.check_fits(graph, steps)
        chosen = data.test if part == "test" else data.train
        print(f"data {source}: {'' if data.steps else 'pixels '}{data.scaling}", file=sys.stderr)
        return chosen.coded(graph, steps), chosen.y
    x, scaling = unlabelled
    if limit is not None:
        whole("limit", limit)
    split = Split(x[:limit], np.zeros(len(x[:limit]), np.int64))
    data = Dataset(source=source, train=split, test=split, scaling=scaling)
    data.check_fits(graph, steps)
    print(f"data {source}: {'' if data.steps else 'pixels '}{scaling}, no labels", file=sys.stderr)
    return split.coded(graph, steps), None
