"""The serial backend: trains on a core behind a serial port, as on a board."""

from backspike.compile.compiler import compile_network
from backspike.drive.core_backend import CoreBackend
from backspike.drive.graph_core import GraphCore
from backspike.drive.link import PATIENCE, LinkPort
from backspike.drive.serial_line import SerialLine
from backspike.gen.core.map import core_map
from backspike.gen.machine import Machine
from backspike.ir.learning import Learning
from backspike.ir.network import Network


class SerialBackend(CoreBackend):
    """See `backspike.drive.backend.Backend`. `link`: the port, with its counts.

    port, baud: see `SerialLine`. patience: see `LinkPort`.
    Raises UserError if the network does not fit the machine, before the port is opened; if it
    cannot be opened, nobody answers, or another machine does; LinkError, which is one, if the link
    is lost later.
    """

    name = "serial"

    def __init__(
        self,
        network: Network,
        learning: Learning,
        machine: Machine,
        port: str,
        baud: int | None = None,
        *,
        patience: float = PATIENCE,
    ):
        plan = compile_network(network, learning, machine)
        line = SerialLine(port, baud)
        try:
            self.link = LinkPort(line, core_map(machine), patience=patience)
            super().__init__(network, GraphCore(plan, self.link))
        except BaseException:
            line.close()
            raise
