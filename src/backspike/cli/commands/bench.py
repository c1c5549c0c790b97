"""`backspike bench`."""

import argparse
import textwrap

from backspike.system import files


def add(commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the figures of merit",
        description="Measure the figures of merit, and print each beside its goal and how it was "
        "measured: those of the training core, about twenty minutes, or with --spectral "
        "those of the spectral unit, about ten minutes; or with --learning those of longer "
        "trainings, two hours; or with --boards those of netlists, bitstreams, link and "
        "proofs, which takes longer: a core is placed and routed three times; or with --house "
        "those of the checkout itself. The exit code is 1 if bits differ, and 3 if another "
        "figure is not met.",
        epilog=textwrap.dedent("""\
            groups of figures:
              lockstep    mismatches of RTL and golden; overlap of the engines; cycles a sample
              efficiency  busy / bound of each engine alone, 128-128, densities 0.05 to 1.0
              shapes      likewise, with drain slots: 16 to 512 neurons, T 1 to 100; one sample
              prediction  busy cycles and bounds of random graphs, predicted from their densities
              conv        busy / bound of each engine alone, 3x3 kernels; blocks with shortcuts;
                          overlap of the engines on a network of convolutions; golden's speed
              speed       the RTL backend's cycles a second beside a bare loop's
              accuracy    digits after 10 epochs, 3 seeds, both rules, beside float32 autograd
            with --learning:
              conv-epoch  a network of convolutions: minutes of an epoch on the RTL
              samples     trained a second by `default`, beside PyTorch on one core
              mnist       784-128-10 on mnist5k, 3 seeds, both rules, beside float32 autograd
              rows        digits row by row, recurrent, LIF and CUBA-LIF, 5 seeds, Adam, likewise
              deep        digits, 3, 6 and 11 convolutions, residual, both rules, 3 seeds, likewise
              images      mnist5k, 3 convolutions, rate-coded and direct-coded, 3 seeds, likewise
            with --spectral:
              images      mismatches of RTL and golden: images of all kinds in all sizes to 32 x 32
              cycles      of a pair of images over 2 H W, 128 x 128 to 256 x 256
              inverse     of forward, 128 x 128: every value's error over its bound
              sqnr        of the 2-D transform of photographs, 256 x 256
              fft         the 256-point transform alone: SQNR; size and speed on an LFE5U-85F,
                          if the tools of `backspike build` are installed
              fsds        of pairs of photographs on the RTL beside float64, 128 and 256 square
              sizes       mismatches on units of 8, 16, 64 and 512
            with --boards:
              netlist     mismatches of tiny and spectral-32 as Yosys' cells, ECP5 and iCE40
              link        10,000 requests on a line that damages 1 % of the bytes; a batch's split
              proofs      all of `make proofs`
              spectral    spectral-128 on an LFE5U-85F: size, clock
              training    default on an LFE5U-85F: size, lanes, clock, samples a second
            with --house (in a checkout):
              sources     lines, longest function, delays counted by hand, conditions on engines
              bits        runs whose bits were recorded once, and must not change
              demo        cycles of `make demo`

            examples:
              backspike bench --only lockstep,speed --json -
              backspike bench --learning --only mnist
              backspike bench --spectral
              backspike bench --boards --only netlist,link
            """),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument(
        "--spectral",
        dest="subject",
        action="store_const",
        const="spectral",
        default="core",
        help="measure the spectral unit, not the training core",
    )
    subject.add_argument(
        "--learning", dest="subject", action="store_const", const="learning",
        help="measure longer trainings: accuracy beside float32, samples a second beside PyTorch",
    )  # fmt: skip
    subject.add_argument(
        "--boards", dest="subject", action="store_const", const="boards",
        help="measure what goes onto boards: netlists, bitstreams, link, proofs",
    )  # fmt: skip
    subject.add_argument(
        "--house", dest="subject", action="store_const", const="house",
        help="measure the checkout: what must not change, and how its sources are written",
    )  # fmt: skip
    parser.add_argument(
        "--only", metavar="GROUP[,GROUP…]", help="measure these groups of figures (default: all)"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write {figure, value, goal, met, how} of each; -: to stdout"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    files.check_file("--json", args.json)
    from backspike.bench import bench

    only = None if args.only is None else args.only.split(",")
    return bench(args.json, only, args.subject)
