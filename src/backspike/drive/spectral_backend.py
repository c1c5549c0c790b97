"""The spectral unit as software sees it, simulated by Verilator from compiled code."""

from backspike.drive.spectral_driver import Matrix, SpectralDriver
from backspike.gen.spectral.machine import SMALLEST, SpectralMachine
from backspike.golden.spectral import Samples, Sums
from backspike.ir.errors import UserError
from backspike.sim.verilator.machine_model import machine_library
from backspike.sim.verilator.simulator import Simulator


class SpectralRTL:
    """Golden's `sums(samples(…))` and `transform`, computed by the RTL.

    Matrices are (H, W), powers of two from 8 to the machine's size. `cycles`: of the last run.
    Raises UserError for what the unit does not take.
    """

    def __init__(self, machine: SpectralMachine):
        self.machine = machine
        self.simulator = Simulator(machine_library(machine), machine.map())
        self.driver = SpectralDriver(self.simulator, machine)
        self.cycles = 0
        self._size = (SMALLEST, SMALLEST)

    def sums(self, image: Matrix, reference: Matrix) -> Sums:
        """Spectral and pixel sums of two images, integers 0 … 2^pixel_bits - 1."""
        self.driver.write_pixels(image, reference)
        self._run(*image.shape, pair=True)
        return self.driver.sums()

    def transform(self, samples: Samples, *, back: bool = False) -> Samples:
        """2-D transform of samples whose exponents are all 0 (`back`: H W times the inverse)."""
        if samples.exponent.any():
            raise UserError(
                f"samples have exponents up to {int(samples.exponent.max())}, must be 0: "
                "`onward` continues on a result"
            )
        self.driver.write_samples(samples.re, samples.im)
        return self._transformed(*samples.re.shape, back=back)

    def onward(self, *, back: bool = False) -> Samples:
        """2-D transform of what the last `transform` or `onward` gave."""
        return self._transformed(*self._size, back=back, continues=True)

    def close(self) -> None:
        self.simulator.close()

    def _transformed(self, height: int, width: int, **request: bool) -> Samples:
        self._run(height, width, **request)
        return self.driver.read_samples(height, width)

    def _run(self, height: int, width: int, **request: bool) -> None:
        self.driver.run(height, width, **request)
        self.cycles, self._size = self.driver.cycles(), (height, width)
