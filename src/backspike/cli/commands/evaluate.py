"""`backspike evaluate`."""

import argparse
import sys

from backspike.cli import options
from backspike.system import files
from backspike.system.json_text import json_text

EPILOG = """\
examples:
  backspike evaluate run.safetensors
      on the simulated RTL, compared with PyTorch
  backspike evaluate run.safetensors --backend golden --data other.npz --json -
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
    parser.add_argument("checkpoint", metavar="FILE", help="written by `backspike train --save`")
    options.add_data(parser)
    options.add_backend(parser, "rtl")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON; -: to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    files.check_file("--json", args.json)
    from backspike.drive.machines import find_machine
    from backspike.train.checkpoint import load_checkpoint
    from backspike.train.data import load
    from backspike.train.trainer import Trainer

    machine = find_machine(args.machine)
    checkpoint = load_checkpoint(args.checkpoint)
    limit = checkpoint.limit if args.limit is None and args.data is None else args.limit
    data = load(args.data or checkpoint.data).limited(limit)
    data.check_fits(checkpoint.network)
    with Trainer(
        checkpoint.network,
        machine,
        args.backend,
        learning=checkpoint.learning,
        check=args.check,
    ) as trainer:
        trainer.resume(checkpoint)
        shares = {part: trainer.evaluate(getattr(data, part)) for part in ("train", "test")}
        check = trainer.checked()
        saturated, warnings = trainer.backend.saturated(), [*trainer.health.warnings().values()]
    for warning in warnings:
        print(f"backspike: warning: {warning}", file=sys.stderr)
    if args.json is not None:
        about = {"backend": args.backend, "machine": machine.name, "data": data.source}
        result = about | {"accuracy": shares, "check": check}
        result |= {"saturated": saturated, "warnings": warnings}
        files.write_json(args.json, json_text(result))
    if not files.is_stdout(args.json):
        print(f"accuracy  train {shares['train']:.1%}, test {shares['test']:.1%}")
        if check["tensors"]:
            print(f"compared  {check['values']:,} values, {check['mismatches']} mismatches")
    return 0
