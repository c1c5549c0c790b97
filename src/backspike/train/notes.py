"""What `backspike train` keeps in its checkpoints, besides what a trainer does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from backspike.ir.checks import whole
from backspike.ir.errors import UserError
from backspike.system.files import check_name


@dataclass(frozen=True, kw_only=True)
class RunNotes:
    """epochs: the goal of the run. data: what `data.load` was given; limit: samples used at most;
    digest: `Dataset.digest()`. Raises UserError for values of the wrong kind."""

    epochs: int
    data: str
    limit: int | None
    digest: str

    def __post_init__(self) -> None:
        whole("epochs", self.epochs)
        if self.limit is not None:
            whole("limit", self.limit)
        for name in ("data", "digest"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise UserError(f"{name} is {value!r}, must be a string")
            check_name(name, value)

    def to_json(self) -> dict[str, Any]:
        """As checkpoints keep it."""
        return asdict(self)


def run_notes(where: str, notes: Mapping[str, Any]) -> RunNotes | None:
    """Those of a checkpoint, which an error calls `where`; None if it is not of such a run."""
    if not notes.keys() >= set(RunNotes.__dataclass_fields__):
        return None
    try:
        return RunNotes(**{name: notes[name] for name in RunNotes.__dataclass_fields__})
    except UserError as error:
        raise UserError(f"checkpoint {where}: {error}") from None
