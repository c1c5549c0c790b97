"""Run the proofs, and see that each finds the bugs planted for it:

python -m backspike.sim.proofs [NAME ...]
"""

import argparse
import sys
from pathlib import Path

from backspike.ir.errors import UserError
from backspike.sim.proofs.catalogue import PROOFS
from backspike.sim.proofs.check import check


def run(names: list[str], out: Path) -> int:
    """Run the proofs of these names, or all; 0, or 1 if one fails."""
    known = {proof.name: proof for proof in PROOFS}
    for name in names:
        if name not in known:
            raise UserError(f"proof is {name!r}, must be one of {', '.join(known)}")
    chosen = [known[name] for name in names or known]
    outcomes = []
    for n, proof in enumerate(chosen):
        print(f"{n + 1}/{len(chosen)} {proof.name}: {proof.claim}", file=sys.stderr, flush=True)
        outcomes.append(outcome := check(proof, out))
        verdict = "holds" if outcome.passed else "FAILS"
        print(
            f"{proof.name:<18}{verdict}   {outcome.found} of {outcome.bugs} planted bugs found"
            f"   {outcome.seconds:.1f} s",
            flush=True,
        )
        for failure in outcome.failures:
            print(f"    {failure} (see {outcome.folder})", flush=True)
    passed = sum(outcome.passed for outcome in outcomes)
    found, bugs = sum(o.found for o in outcomes), sum(o.bugs for o in outcomes)
    seconds = sum(o.seconds for o in outcomes)
    print(
        f"proofs: {passed} of {len(outcomes)} hold; {found} of {bugs} planted bugs found; "
        f"{seconds:.0f} s"
    )
    return 0 if passed == len(outcomes) else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m backspike.sim.proofs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of proofs (all)")
    parser.add_argument("--list", action="store_true", help="say what there is to prove, and stop")
    parser.add_argument(
        "--out", type=Path, default=Path("build/proofs"), help="for traces (build/proofs)"
    )
    options = parser.parse_args(arguments)
    if options.list:
        for proof in PROOFS:
            print(f"{proof.name:<18}{proof.claim}")
            for bug in proof.bugs:
                print(f"{'':<18}  bug: {bug.says}")
        return 0
    try:
        return run(options.names, options.out)
    except (UserError, OSError) as error:
        print(f"backspike: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
