"""The link on a bad line: `python -m backspike.drive.link_torture`.

A small design behind bridge and UART, simulated by Verilator; bytes are changed, dropped and
doubled at random in both directions. Blocks are written, read and compared, and bells are rung,
which the design counts. Prints what happened.
"""

import argparse
import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backspike.drive.link import LinkPort
from backspike.gen.emit import emit
from backspike.gen.host.access import BusError
from backspike.gen.host.registers import BYTES
from backspike.gen.link.echo_design import DEPTH, MAP, EchoDesign
from backspike.gen.link.serial_core import SerialCore
from backspike.gen.link.uart import Rate
from backspike.ir.errors import UserError
from backspike.sim.noisy_line import NoisyLine
from backspike.sim.verilator.uart import Uart, UartLine, uart_library
from backspike.system.program import MISMATCH, run_program

LONGEST = 64
"""Words of a block at most: several frames on a bad line."""
RATE = Rate(clock=8_000_000, baud=1_000_000)


@dataclass
class Torture:
    """What happened. wrong: values read that were not those written; all others are counts."""

    requests: int = 0
    frames: int = 0
    failures: int = 0
    values: int = 0
    wrong: int = 0
    rung: int = 0
    counted: int = 0
    refused: int = 0
    cycles: int = 0
    damaged: dict[str, int] = field(default_factory=dict)


@functools.cache
def torture_library() -> Path:
    """The design, for `Uart` at RATE."""
    return uart_library(emit(SerialCore(EchoDesign(), RATE), "tortured"), "tortured")


def torture(requests: int, share: float, seed: int, *, skew: float = 0.0) -> Torture:
    """Has so many requests carried out on a line that damages that share of all bytes.

    skew: see `Uart`. Raises LinkError if the link gives up, BusTimeoutError never.
    """
    rng = np.random.default_rng(seed)
    uart = Uart(torture_library(), RATE, skew=skew)
    there, back = NoisyLine(share, seed + 1), NoisyLine(share, seed + 2)
    port = LinkPort(UartLine(uart, there, back), MAP)
    found = Torture()
    base = MAP.window("memory").base
    memory = rng.integers(0, 2**32, DEPTH, np.uint32)
    special = np.array([0x7E7D7E7D, 0, 0xFFFFFFFF, 0x7D7D7D7D, 0x7E7E7E7E, 0x5E5D5E5D], np.uint32)
    last = 0

    def compare(got: np.ndarray, want: np.ndarray) -> None:
        found.values += want.size
        found.wrong += int((got != want).sum())

    port.write_block(base, memory)
    while port.requests < requests:
        kind = rng.random()
        first = int(rng.integers(0, DEPTH))
        words = int(rng.integers(1, 1 + min(LONGEST, DEPTH - first)))
        block = slice(first, first + words)
        if kind < 0.3:
            last = int(rng.integers(0, 256))
            port.write("bell", last)
            found.rung += 1
        elif kind < 0.6:
            memory[block] = rng.integers(0, 2**32, words, np.uint32)
            memory[block][rng.random(words) < 0.2] = rng.choice(special)
            port.write_block(base + first * BYTES, memory[block])
        elif kind < 0.9:
            compare(port.read_block(base + first * BYTES, words), memory[block])
        elif kind < 0.95:
            compare(port.read_block("rung", 2), np.array([found.rung, last], np.uint32))
        else:
            try:
                port.write("bell", 0x100)  # a bit that the register does not use
            except BusError:
                found.refused += 1
            else:
                found.wrong += 1
    compare(port.read_block(base, DEPTH), memory)
    found.counted = port.read("rung")
    found.requests, found.frames, found.failures = port.requests, port.frames, port.failures
    found.cycles = uart.cycles
    found.damaged = {kind: there.counts[kind] + back.counts[kind] for kind in there.counts}
    port.close()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or MISMATCH if a value was wrong or a bell was rung too often or not at all."""
    parser = argparse.ArgumentParser(prog="python -m backspike.drive.link_torture")
    parser.add_argument("--requests", type=int, default=10_000, help="carried out (10000)")
    parser.add_argument("--share", type=float, default=0.01, help="of bytes damaged (0.01)")
    parser.add_argument("--skew", type=float, default=0.0, help="of the two clocks (0)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    begin = time.perf_counter()
    try:
        found = torture(options.requests, options.share, options.seed, skew=options.skew)
    except (UserError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    damaged = ", ".join(f"{n:,} {kind}" for kind, n in found.damaged.items())
    print(f"requests   {found.requests:,} carried out with {found.frames:,} frames")
    print(f"bytes      {damaged}: {found.failures:,} frames failed")
    print(
        f"values     {found.values:,} read, {found.wrong} wrong; {found.refused} refused in order"
    )
    print(f"bells      {found.rung:,} rung, {found.counted:,} heard")
    print(f"simulated  {found.cycles:,} cycles in {time.perf_counter() - begin:.1f} s")
    return MISMATCH if found.wrong or found.rung != found.counted else 0


if __name__ == "__main__":
    sys.exit(run_program(main))
