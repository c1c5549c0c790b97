"""A spectral unit behind a serial line, as on a board."""

from backspike.drive.link import PATIENCE, LinkPort
from backspike.drive.serial_line import Line, SerialLine
from backspike.drive.spectral_driver import Matrix, SpectralDriver
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.map import spectral_map
from backspike.golden.spectral import Sums


class SerialSpectral:
    """See `backspike.spectral.fsds.Unit`. `link`: the port, with its counts.

    patience: see `LinkPort`. Raises LinkError if nobody answers on the line or it is lost later,
    UserError if something else than the machine's unit does. The line is closed with the unit, and
    if there is none.
    """

    def __init__(self, line: Line, machine: SpectralMachine, *, patience: float = PATIENCE):
        self.machine = machine
        self.cycles = 0
        try:
            self.link = LinkPort(line, spectral_map(machine), patience=patience)
            self._driver = SpectralDriver(self.link, machine)
        except BaseException:
            line.close()
            raise

    def sums(self, image: Matrix, reference: Matrix) -> Sums:
        """Spectral and pixel sums of two images, integers 0 … 2^pixel_bits - 1."""
        self._driver.write_pixels(image, reference)
        self._driver.run(*image.shape, pair=True)
        self.cycles = self._driver.cycles()
        return self._driver.sums()

    def close(self) -> None:
        self.link.close()


def serial_unit(machine: SpectralMachine, port: str, baud: int | None = None) -> SerialSpectral:
    """The unit at a serial port of this computer: see SerialLine and SerialSpectral, and what these
    raise.
    """
    return SerialSpectral(SerialLine(port, baud), machine, patience=PATIENCE)
