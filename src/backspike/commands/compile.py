"""`backspike compile`."""

import argparse

from backspike.backends import find_machine
from backspike.commands import options

EPILOG = """\
examples:
  backspike compile --layers 64,128,10
  backspike compile --layers 784,128,10 --machine wide --batch 4
"""


def add(commands) -> None:
    parser = commands.add_parser(
        "compile",
        help="show how a network is laid out on a machine",
        description="Compile a network for a machine and print its layers, tiles, use of memory "
        "and predicted cycles; or say what does not fit.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    options.add_network(parser)
    options.add_learning(parser)
    options.add_machine(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    machine = find_machine(args.machine)
    network, learning = options.network_of(args), options.learning_of(args)
    from backspike.compiler import compile_network

    print(compile_network(network, learning, machine))
    return 0
