"""The spectral unit: passes over a frame store, the analysis of a pair, and the host port."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.axi4lite import AXI4LiteSignature
from backspike.gen.host.host_port import HostPort
from backspike.gen.spectral.analysis import ENERGIES, TOTALS, Analysis
from backspike.gen.spectral.control import REQUEST, Fault, SpectralControl
from backspike.gen.spectral.machine import SpectralMachine
from backspike.gen.spectral.map import IDENT, VERSION, spectral_map
from backspike.gen.spectral.passes import Passes
from backspike.gen.spectral.pixel_sums import PixelSums
from backspike.gen.spectral.store import FrameStore
from backspike.gen.spectral.sums_window import SUMS, SumsWindow
from backspike.ir.spectral_constants import GUARD, MANTISSA


class SpectralUnit(wiring.Component):
    """The spectral unit of a machine: golden `transform` and `sums`.

    A transform takes `passes.run_cycles` cycles, a pair up to 3 H + `Analysis.latency` more, and
    either a few for the start.

    Ports: axi, the host port (AXI4-Lite subordinate; see rtl/MACHINE/registers.md); running, a
    doorbell is being obeyed; fault, the last one was refused.
    """

    def __init__(self, machine: SpectralMachine):
        self.machine = machine
        self.map = spectral_map(machine)
        super().__init__(
            {
                "axi": In(AXI4LiteSignature(self.map.addr_width)),
                "running": Out(1),
                "fault": Out(1),
            }
        )

    def _identification(self) -> dict:
        """The registers that say which machine this is."""
        machine = self.machine
        return {
            "ident": IDENT,
            "version": VERSION,
            "machine": {
                "log_size": machine.log_size,
                "pixel_bits": machine.pixel_bits,
                "mantissa": MANTISSA,
                "guard": GUARD,
            },
        }

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        m.submodules.host = registers = HostPort(self.map, self._identification())
        m.submodules.control = control = SpectralControl(machine)
        m.submodules.store = store = FrameStore(machine)
        m.submodules.engine = passes = Passes(machine)
        m.submodules.analysis = analysis = Analysis(machine)
        m.submodules.pixel_sums = pixel_sums = PixelSums(machine)
        m.submodules.sums_window = sums_window = SumsWindow()
        wiring.connect(m, wiring.flipped(self.axi), registers.axi)
        wiring.connect(m, registers.pixels, store.pixels)
        wiring.connect(m, registers.samples, store.samples)
        wiring.connect(m, registers.sums, sums_window.host)
        wiring.connect(m, passes.read, store.read)
        wiring.connect(m, passes.write, store.write)
        wiring.connect(m, passes.columns, analysis.i)
        wiring.connect(m, passes.taps, pixel_sums.taps)

        m.d.comb += [
            store.rest.eq(~control.busy),
            registers.lock.eq(control.busy),
            registers.status.running.eq(control.busy),
            registers.status.transforming.eq(passes.busy),
            registers.status.analysing.eq(analysis.busy),
            registers.status.fault.eq(control.fault),
            registers.status.content.eq(control.content),
            registers.status.passes.eq(control.passes),
            registers.cycles.eq(control.cycles),
            self.running.eq(control.busy),
            self.fault.eq(control.fault != Fault.NONE),
            control.doorbell.eq(registers.start.valid),
            *(control.request[name].eq(registers.start.data[name]) for name, _ in REQUEST),
            control.written.eq(store.written),
            control.working.eq(passes.busy | analysis.busy),
            passes.start.eq(control.go),
            passes.command.pair.eq(control.accepted.pair),
            passes.command.back.eq(control.accepted.back),
            passes.command.fresh.eq(~control.accepted.continues),
            # The last pair's sums stay until the next pair begins.
            analysis.clear.eq(control.go & control.accepted.pair),
            pixel_sums.clear.eq(control.go & control.accepted.pair),
        ]
        for part in (control, passes, analysis):
            m.d.comb += [
                part.log_height.eq(registers.size.log_height),
                part.log_width.eq(registers.size.log_width),
            ]
        for name in SUMS:
            found = analysis if name in ENERGIES + TOTALS else pixel_sums
            m.d.comb += getattr(sums_window, name).eq(getattr(found, name))
        return m
