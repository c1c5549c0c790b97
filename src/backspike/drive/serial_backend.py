"""A graph on a core behind a serial port, as on a board."""

from backspike.compile.compiler import Plan
from backspike.drive.core_backend import CoreBackend
from backspike.drive.link import PATIENCE, LinkPort
from backspike.drive.serial_line import SerialLine
from backspike.gen.core.map import core_map


class SerialBackend(CoreBackend):
    """See `CoreBackend`. `link`: the port, with its counts.

    port, baud: see `SerialLine`. patience: see `LinkPort`.
    Raises UserError if the port cannot be opened, nobody answers, or another machine does;
    LinkError, which is one, if the link is lost later.
    """

    name = "serial"

    def __init__(
        self, plan: Plan, port: str, baud: int | None = None, *, patience: float = PATIENCE
    ):
        line = SerialLine(port, baud)
        try:
            self.link = LinkPort(line, core_map(plan.machine), patience=patience)
            super().__init__(plan, self.link)
        except BaseException:
            line.close()
            raise
