"""A whole board in simulation: `python -m backspike.flow.board_run --board ulx3s-25f`.

The very `top.v` that becomes a bitstream, at the board's own clock and rate, behind a
pseudo-terminal; the driver opens it as any port and trains, every tensor compared with PyTorch.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backspike.compile.compiler import compile_graph
from backspike.drive.lockstep import Lockstep
from backspike.drive.machines import find_machine
from backspike.drive.serial_backend import SerialBackend
from backspike.gen.boards.board import BOARDS, Board
from backspike.gen.boards.files import TOP
from backspike.gen.machine import Machine
from backspike.golden.backend import GoldenBackend
from backspike.ir.builder import Input, Sequential
from backspike.ir.connection import Dense
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF
from backspike.sim.noisy_line import NoisyLine
from backspike.sim.verilator.board import BoardUart, Lights, board_library, cached_files
from backspike.sim.verilator.serial_board import SerialBoard
from backspike.system.program import run_program
from backspike.train.fuzz_training import train

NETWORK = Sequential(Input(6), Dense(4, bias=True), LIF(), Dense(3))
STEPS = 3
LEARNING = Learning(batch=4, loss="mse", rate=2.0**-5, rounding="stochastic", seed=3)
BATCHES = 3
PATIENCE = 20.0
"""Seconds that the simulation may lag behind a board."""


@dataclass(frozen=True)
class Found:
    """values: compared with PyTorch, all equal; frames: that crossed the line, failures: of these;
    damaged: bytes, by kind and both ways; lights: at the end; cycles: simulated."""

    values: int
    frames: int
    failures: int
    damaged: dict[str, int]
    lights: Lights
    cycles: int


def run_board(
    board: Board, machine: Machine, batches: int = BATCHES, share: float = 0.0, seed: int = 0
) -> Found:
    """Train NETWORK so many random batches on a line that damages that share of the bytes.

    Raises Mismatch at the first bit that differs, LinkError if the link gives up.
    """
    library = board_library(board, cached_files(board, machine)[f"{TOP}.v"])
    there, back = NoisyLine(share, seed), NoisyLine(share, seed + 1)
    rng = np.random.default_rng(seed)
    uart = BoardUart(library, board)
    with SerialBoard(uart, there, back) as pins:
        # NoisyLine is noticed by silence: then patience is time lost.
        patience = 1.0 if share else PATIENCE
        plan = compile_graph(NETWORK, STEPS, LEARNING, machine)
        backend = SerialBackend(plan, pins.path, board.baud, patience=patience)
        lockstep = Lockstep(backend, GoldenBackend(NETWORK, LEARNING, every=False))
        train(lockstep, STEPS, [LEARNING.batch] * batches, rng)
        link = backend.link
        backend.close()
        pins.unplug()
        return Found(
            values=lockstep.counts.values,
            frames=link.frames,
            failures=link.failures,
            damaged={kind: there.counts[kind] + back.counts[kind] for kind in there.counts},
            lights=uart.lights,
            cycles=uart.cycles,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Raises Mismatch if a bit differs, UserError if the board cannot be reached or is unknown."""
    parser = argparse.ArgumentParser(prog="python -m backspike.flow.board_run", description=__doc__)
    parser.add_argument("--board", required=True, choices=BOARDS)
    parser.add_argument("--machine", default="tiny", help="a training core (tiny)")
    parser.add_argument("--batches", type=int, default=BATCHES, help=f"to train ({BATCHES})")
    parser.add_argument("--share", type=float, default=0.0, help="of bytes damaged (0)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    board, begin = BOARDS[given.board], time.perf_counter()
    machine = find_machine(given.machine)
    found = run_board(board, machine, given.batches, given.share, given.seed)
    print(f"board      {board.title}: {board.clock / 1e6:g} MHz, {board.baud} baud, {machine.name}")
    print(f"compared   {found.values:,} values, 0 mismatches, in {given.batches} batches")
    damaged = ", ".join(f"{n} {kind}" for kind, n in found.damaged.items())
    print(f"link       {found.frames:,} frames, {found.failures} failed; bytes {damaged}")
    lit = [name for name, lit in found.lights._asdict().items() if lit]
    print(f"lights     {' and '.join(lit) or 'none'} lit")
    print(f"simulated  {found.cycles:,} cycles in {time.perf_counter() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
