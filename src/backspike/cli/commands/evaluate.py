"""`backspike evaluate`."""

import argparse
import sys

from backspike.cli import options
from backspike.system import files
from backspike.system.json_text import json_text
from backspike.train.words import plural

EPILOG = """\
examples:
  backspike evaluate run.safetensors
      on the backend and machine that it was trained on
  backspike evaluate run.safetensors --backend golden --data other.npz --json -
  backspike evaluate run.safetensors --backend rtl --machine tiny
      on the simulated RTL, compared with PyTorch

JSON: saturated and diverged are of the checkpoint's run, as `backspike train --json` has them, what
is evaluated included.
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="accuracy of a checkpoint",
        description="Run a trained network on training and test samples, without learning.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_checkpoint(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    files.check_file("--json", args.json)
    options.check_asked(args)
    from backspike.train.checkpoint import load_checkpoint
    from backspike.train.data import load
    from backspike.train.health import TEST, TRAINING

    checkpoint = load_checkpoint(args.checkpoint)
    options.settle_backend(args, checkpoint)
    machine = options.settle_machine(args, checkpoint.graph, checkpoint)
    source, limit = options.source_of(args, checkpoint)
    data = load(source).limited(limit)
    steps = options.steps_of(checkpoint)
    data.check_fits(checkpoint.graph, steps)
    print(f"evaluating {args.checkpoint} {options.place_of(args)}", file=sys.stderr)
    with options.opened(args, checkpoint, machine) as trainer:
        shares = {
            "train": trainer.score(data.train.coded(trainer.graph, steps), TRAINING),
            "test": trainer.score(data.test.coded(trainer.graph, steps), TEST),
        }
        check, found = trainer.checked(), trainer.health.found()
    if args.json is not None:
        about = {"backend": args.backend, "machine": machine.name, "data": data.source}
        result = about | {"accuracy": shares, "check": check} | found
        files.write_json(args.json, json_text(result))
    if not files.is_stdout(args.json):
        print(f"accuracy  train {shares['train']:.1%}, test {shares['test']:.1%}")
        if check["tensors"]:
            mismatches = plural(check["mismatches"], "mismatch", "es")
            print(f"compared  {plural(check['values'], 'value')}, {mismatches}")
    return 0
