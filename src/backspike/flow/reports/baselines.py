"""Reports of builds that are kept in the repository, and how far a build may be from them."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from backspike.flow.reports.report import SHOWN, Report, from_json
from backspike.ir.errors import Missed, UserError
from backspike.system.files import write_file

FOLDER = Path(__file__).parent / "baselines"
PAIRS = (
    ("ulx3s-85f", "spectral-32"),
    ("ulx3s-25f", "tiny"),
    ("ulx3s-85f", "spectral-128"),
    ("ulx3s-85f", "default"),
    ("icebreaker", "tiny"),
    ("tang-nano-20k", "tiny"),
    ("tang-nano-20k", "spectral-64"),
)
"""Board and machine of every baseline."""
SMALLEST = PAIRS[0]
"""The one that builds soonest of those that fit: the tests build it."""
TOLERANCES = {
    # The same tools give the same netlist every time; other versions differ by a percent or two.
    "lut4": 0.02,
    "carry": 0.02,
    "ram": 0.02,
    "ffs": 0.02,
    # What the generator asks for.
    "memories": 0.0,
    "dsps": 0.0,
    # Another seed or another version moves a clock by 10 to 20 %.
    "mhz": 0.15,
    # What the RTL takes, with the same data.
    "cycles": 0.0,
}
"""By how much of itself each figure may change, either way."""
RENEW = "if that is meant to be so, `backspike build --renew` keeps it"


@dataclass(frozen=True)
class Baseline:
    """report: what a build gave, its components of SHOWN and more. tolerances: by figure."""

    report: Report
    tolerances: dict[str, float]

    def compare(self, report: Report) -> None:
        """Raise Missed at the first figure of the report that is too far away, or if one of the
        two has a bitstream and the other has none. Figures that one has not are not compared.
        """
        want = self.report
        name = f"build {want.board}-{want.machine}"
        if (want.problem is None) != (report.problem is None):
            raise Missed(
                f"{name}: got {report.problem or 'a bitstream'}, want "
                f"{want.problem or 'a bitstream'}; {RENEW}"
            )
        got, kept = figures(report), figures(want)
        for figure, tolerance in self.tolerances.items():
            if figure in got and figure in kept:
                far = abs(got[figure] - kept[figure])
                if far > tolerance * abs(kept[figure]):
                    raise Missed(
                        f"{name}: {figure}, got {got[figure]:,.10g}, want {kept[figure]:,.10g} "
                        f"within {tolerance:.0%}; {RENEW}"
                    )


def figures(report: Report) -> dict[str, float]:
    """What of a report is compared, by name."""
    found: dict[str, float] = asdict(report.area)
    if report.mhz is not None:
        found["mhz"] = report.mhz
    if report.throughput is not None:
        found["cycles"] = report.throughput.cycles
    return found


def baseline(report: Report) -> Baseline:
    """The report as a baseline."""
    least = SHOWN * report.area.lut4
    shown = tuple(each for each in report.components if each.area.lut4 >= least)
    return Baseline(replace(report, components=shown), TOLERANCES)


def load(board: str, machine: str, folder: Path = FOLDER) -> Baseline:
    """Raises UserError if there is none."""
    path = folder / f"{board}-{machine}.json"
    if not path.exists():
        raise UserError(
            f"machine {machine!r} has no baseline on {board}: `backspike build --renew` makes one"
        )
    about = json.loads(path.read_text())
    return Baseline(from_json(json.dumps(about["report"])), about["tolerances"])


def save(kept: Baseline, folder: Path = FOLDER) -> Path:
    """Write or replace it; returns its path."""
    path = folder / f"{kept.report.board}-{kept.report.machine}.json"
    about = {"tolerances": kept.tolerances, "report": json.loads(kept.report.to_json())}
    write_file(path, (json.dumps(about, indent=2) + "\n").encode())
    return path
