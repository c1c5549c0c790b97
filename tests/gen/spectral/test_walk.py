"""gen.spectral.walk: lines and places in the orders of the passes."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from backspike.gen.spectral.walk import Walk
from backspike.sim.bench.array_bench import ArrayBench

LOG_SIZE = 5
SHOWN = ("line", "place", "first", "ends", "last")


class Both(wiring.Component):
    """A walk in natural order, and one with places reversed, side by side."""

    def __init__(self):
        self._walks = {
            "natural": Walk(log_size=LOG_SIZE, reverse=False),
            "reversed": Walk(log_size=LOG_SIZE, reverse=True),
        }
        ports = self._walks["natural"].signature.members
        self._inputs = {name: port for name, port in ports.items() if name not in SHOWN}
        super().__init__(
            {
                **self._inputs,
                **{f"{walk}_{name}": ports[name] for walk in self._walks for name in SHOWN},
            }
        )

    def elaborate(self, platform):
        m = Module()
        for name, walk in self._walks.items():
            m.submodules[name] = walk
            m.d.comb += [getattr(walk, port).eq(getattr(self, port)) for port in self._inputs]
            m.d.comb += [getattr(self, f"{name}_{port}").eq(getattr(walk, port)) for port in SHOWN]
        return m


def mirrored(lines: int) -> list[int]:
    """0, 1, L-1, 2, L-2 … L/2."""
    order = [0]
    for k in range(1, lines // 2):
        order += [k, lines - k]
    return [*order, lines // 2]


def backwards(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2)


@pytest.mark.verilator
def test_orders():
    """Lines and places come in natural, reversed and mirrored order for every size, with pauses."""
    rng = np.random.default_rng(1)
    run = ArrayBench(Both(), "walks")
    for log_points in range(3, LOG_SIZE + 1):
        for log_lines in range(3, LOG_SIZE + 1):
            for mirror in (0, 1):
                points, lines = 1 << log_points, 1 << log_lines
                step = rng.random(2 * points * lines) < 0.8
                step[0] = rng.random() < 0.5
                start = np.zeros(len(step), np.int64)
                start[0] = 1
                found = run(
                    start=start,
                    step=step.astype(np.int64),
                    log_points=np.full(len(step), log_points),
                    log_lines=np.full(len(step), log_lines),
                    mirrored=np.full(len(step), mirror),
                )
                at = np.concatenate([[0], step[1:-1].cumsum()])
                assert at[-1] >= points * lines, "the walk was not run to its end"
                order = np.array(mirrored(lines) if mirror else range(lines))
                shown = np.flatnonzero(at < points * lines) + 1
                line, place = np.divmod(at[shown - 1], points)
                natural = np.arange(points)
                turned = np.array([backwards(n, log_points) for n in natural])
                for name, places in (("natural", natural), ("reversed", turned)):
                    got = {port: found[f"{name}_{port}"][shown].astype(int) for port in SHOWN}
                    np.testing.assert_array_equal(got["line"], order[line])
                    np.testing.assert_array_equal(got["place"], places[place])
                    np.testing.assert_array_equal(got["first"], place == 0)
                    np.testing.assert_array_equal(got["ends"], place == points - 1)
                    np.testing.assert_array_equal(
                        got["last"], (place == points - 1) & (line == lines - 1)
                    )
