"""The host link: what a damaging line does to it, and how a batch divides into line and core."""

from backspike.bench.figure import Figure, at_least, at_most
from backspike.compile.compiler import compile_graph
from backspike.drive.core_backend import CoreBackend
from backspike.drive.link import LinkPort
from backspike.drive.link_torture import torture
from backspike.gen.emit import emit
from backspike.gen.link.serial_core import SerialCore
from backspike.gen.link.uart import Rate
from backspike.gen.machine import MACHINES
from backspike.golden.initial import initial_weights
from backspike.sim.verilator.machine_model import emitted
from backspike.sim.verilator.uart import Uart, UartLine, uart_library
from backspike.train.data import Dataset
from backspike.train.digits_run import SIZES, STEPS, batches, errors_of, learning, network

MACHINE = "default"
"""The split is of it, with the network SIZES."""
REQUESTS, SHARE, SEED = 10_000, 0.01, 3
"""Of the torture: requests carried out, share of bytes damaged."""
RATE = Rate(clock=4_000_000, baud=1_000_000)
"""The fewest cycles a bit, because each is simulated; bytes do not depend on it."""
BATCHES = 4
BITS = 10
"""Of a byte on the line: start, eight, stop."""


def damage() -> list[Figure]:
    """Requests on a line that changes, drops and doubles bytes in both directions."""
    found = torture(REQUESTS, SHARE, SEED)
    how = (
        f"`python -m backspike.drive.link_torture --seed {SEED}`: {found.requests:,} requests on a "
        f"line that damages {SHARE:.0%} of the bytes either way; "
        + ", ".join(f"{n:,} bytes {kind}" for kind, n in found.damaged.items())
        + f"; {found.failures:,} frames failed; {found.values:,} values read"
    )
    return [
        at_least("damaged link: frames", found.frames, 10_000, how),
        at_most("damaged link: wrong values accepted", found.wrong, 0, "the same run"),
        at_most(
            "damaged link: doorbells lost or rung twice",
            abs(found.rung - found.counted),
            0,
            f"the same run: {found.rung:,} rung, {found.counted:,} counted by the design",
        ),
    ]


def split(data: Dataset, clock: float) -> list[Figure]:
    """What a batch takes on the line and in the core, at the core's `clock` in Hz."""
    machine, how = MACHINES[MACHINE], learning(0, "ce")
    net = network("bptt", SIZES)
    text = emitted(
        f"{MACHINE}-linked",
        (machine, RATE),
        "linked",
        lambda: emit(SerialCore(machine.component(), RATE), "linked"),
    )
    uart = Uart(uart_library(text, "linked"), RATE)
    link = LinkPort(UartLine(uart), machine.map())
    backend = CoreBackend(compile_graph(net, STEPS, how, machine), link)
    backend.load_weights(initial_weights(net, how.seed))
    taken = [batch for batch, _ in zip(batches(data.train, how, 0), range(BATCHES), strict=False)]
    logits, last = backend.forward(taken[0].inputs), taken[0]
    bytes_before, requests_before = link.bytes, link.requests
    cycles_before = backend.counters()["total"]
    for step, batch in enumerate(taken[1:]):
        logits = backend.update_forward(errors_of(logits, last), step, batch.inputs)
        last = batch
    runs = len(taken) - 1
    crossed = (link.bytes - bytes_before) / runs
    requests = (link.requests - requests_before) / runs
    cycles = (backend.counters()["total"] - cycles_before) / runs
    uart.close()
    core = cycles / clock
    lines = {baud: crossed * BITS / baud for baud in (1_000_000, 3_000_000)}
    split_up = ", ".join(f"{s * 1e3:.1f} ms at {baud // 10**6} Mbaud" for baud, s in lines.items())
    return [
        Figure(
            "link and compute: share of a batch's time in the core, at 3 Mbaud",
            round(core / (core + lines[3_000_000]), 4),
            None,
            None,
            f"{'-'.join(map(str, SIZES))}, {STEPS} steps, batch {how.batch}, digits, ce, machine "
            f"{MACHINE}, weights staying on the chip, mean of {runs} batches: "
            f"{crossed:,.0f} bytes in {requests:.0f} requests, {split_up}; the core {cycles:,.0f} "
            f"cycles, {core * 1e3:.2f} ms at {clock / 1e6:.0f} MHz. A system's delays between "
            "requests are not in it",
        )
    ]
