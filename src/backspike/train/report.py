"""The table that ends a training run."""

from backspike.ir.constants import ENGINES
from backspike.train.result import Result
from backspike.train.words import plural

NAMES = {"fp": "forward", "bp": "backward", "wg": "weight gradient"}


def table(result: Result) -> str:
    """A few aligned lines: accuracy, comparison, cycles against their bound, speed."""
    accuracy, check = result.accuracy, result.check
    lines = [
        f"{'-'.join(map(str, result.layers))}, {plural(result.steps, 'step')}, batch "
        f"{result.batch}, {result.rule}, {result.loss}, seed {result.seed}: "
        f"{plural(result.epochs, 'epoch')} on {_where(result)}",
        "",
        f"{'accuracy':<17}train {accuracy['train']:.1%}, test {accuracy['test']:.1%}",
        f"{'density':<17}" + ", ".join(f"{k} {_share(v)}" for k, v in result.density.items()),
    ]
    if check["tensors"]:
        lines.append(
            f"{'compared':<17}{check['values']:,} values in {check['tensors']:,} tensors, "
            f"{plural(check['mismatches'], 'mismatch', 'es')}"
        )
    else:
        lines.append(f"{'compared':<17}nothing")
    if result.saturated:
        lines.append(
            f"{'saturated':<17}yes: a sum was cut off at ±65504, first in batch "
            f"{result.saturated_batch}"
        )
    if result.diverged:
        lines.append(
            f"{'diverged':<17}yes: the loss is too large, first in batch {result.diverged_batch}"
        )
    if result.cycles:
        lines += ["", *_engines(result.cycles)]
    if result.simulation:
        run = result.simulation
        lines += [
            "",
            f"{'simulated':<17}{run['cycles']:,} cycles in {run['seconds']:.1f} s: "
            f"{run['cycles_per_second']:,.0f} cycles/s",
        ]
    return "\n".join(lines) + "\n"


def _engines(cycles: dict) -> list[str]:
    lines = [f"{'cycles':<17}{'busy':>14}{'bound':>14}{'busy / bound':>14}"]
    for engine in ENGINES:
        busy, bound = cycles[engine]["busy"], cycles[engine]["bound"]
        ratio = f"{busy / bound:.2f}" if bound else "-"
        lines.append(f"  {NAMES[engine]:<15}{busy:>14,}{bound:>14,}{ratio:>14}")
    busy = sum(cycles[engine]["busy"] for engine in ENGINES)
    gain = f", {cycles['total'] / busy:.2f} of the engines' busy cycles" if busy else ""
    return [*lines, f"  {'in all':<15}{cycles['total']:>14,}{gain}"]


def _where(result: Result) -> str:
    return result.backend if result.backend == "golden" else f"{result.backend} {result.machine}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
