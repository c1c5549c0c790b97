"""A training run in words: the table that ends it."""

from collections.abc import Mapping

from backspike.ir.constants import ENGINES
from backspike.train.losses import CrossEntropy, Loss
from backspike.train.result import Result
from backspike.train.words import plural

NAMES = {"fp": "forward", "bp": "backward", "wg": "weight gradient"}


def loss_name(losses: Mapping[str, Loss]) -> str:
    """`ce`, `ce-every` or `mse`, as the command line has them; of several, by read-out."""
    names = {name: _loss_name(loss) for name, loss in losses.items()}
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return "+".join(f"{name}:{loss}" for name, loss in names.items())


def _loss_name(loss: Loss) -> str:
    if not isinstance(loss, CrossEntropy):
        return "mse"
    return "ce-every" if loss.every_step else "ce"


def headline(result: Result) -> str:
    """Network, options and data of a run, in a line."""
    return (
        f"{result.words}, {plural(result.steps, 'step')}, batch {result.batch}, {result.rule}, "
        f"{result.loss}, seed {result.seed}: {plural(result.epochs, 'epoch')} on {_where(result)}"
    )


def table(result: Result) -> str:
    """A few aligned lines: accuracy, comparison, cycles against their bound, speed."""
    accuracy, check = result.accuracy, result.check
    lines = [
        headline(result),
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
