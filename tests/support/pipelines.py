"""Pipelines that move by steps: driving them with pauses, and complex numbers that are hard."""

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from backspike.sim.bench.array_bench import ArrayBench


class Together(wiring.Component):
    """Pipelines in one simulation, which is built faster than several; they share `step`.

    The port `i` of the pipeline `a` is called `a_i`.
    """

    def __init__(self, pipelines: dict[str, wiring.Component]):
        self._pipelines = pipelines
        ports = {
            f"{name}_{port}": member
            for name, pipeline in pipelines.items()
            for port, member in pipeline.signature.members.items()
            if port != "step"
        }
        super().__init__({"step": In(1, init=1), **ports})

    def elaborate(self, platform):
        m = Module()
        for name, pipeline in self._pipelines.items():
            m.submodules[name] = pipeline
            for port, member in pipeline.signature.members.items():
                inner = getattr(pipeline, port)
                outer = self.step if port == "step" else getattr(self, f"{name}_{port}")
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m


def stepped(run: ArrayBench, latency: int, pause: float, rng, **inputs: np.ndarray):
    """Every output beside the inputs that it belongs to, of a pipeline with a port `step`.

    Cycles without a step come with probability `pause`, with noise at the inputs; what is in the
    pipeline at the end is pushed out with noise, too. An output may change only after a step.
    """
    count = len(next(iter(inputs.values())))
    cycles = int((count + latency) / (1 - pause) * 1.1) + 100
    step = rng.random(cycles) >= pause
    at = np.flatnonzero(step)[: count + latency]
    assert len(at) == count + latency
    arrays = {"step": step.astype(np.uint64)}
    for name, values in inputs.items():
        width = run.inputs[name]
        noise = rng.integers(0, 1 << 64, (cycles, *values.shape[1:]), np.uint64)
        arrays[name] = noise >> np.uint64(64 - width)
        arrays[name][at[:count]] = values
    outputs = run(**arrays)
    still = np.flatnonzero(~step[:-1])
    for name, values in outputs.items():
        moved = np.flatnonzero(values[still] != values[still + 1])
        assert not len(moved), f"{name} changes after cycle {still[moved[0]]}, without a step"
    return {name: values[at[latency:]] for name, values in outputs.items()}


def hard_integers(rng, count: int, width: int) -> np.ndarray:
    """int64 (count,) of `width` bits: of every length; a third end in 00…0, 01…1, 10…0 or 11…1."""
    numbers = rng.integers(-(1 << width - 1), 1 << width - 1, count) >> rng.integers(
        0, width, count
    )
    end = rng.integers(1, width, count)
    top = 1 << end - 1
    ending = np.choose(rng.integers(0, 4, count), [0 * top, top - 1, top, 2 * top - 1])
    return np.where(rng.random(count) < 0.33, numbers >> end << end | ending, numbers)


def fields(**parts: tuple[np.ndarray, int]) -> np.ndarray:
    """Integers (count,) and their widths, lowest first, as one port's uint64 (count,)."""
    packed, offset = np.zeros(len(next(iter(parts.values()))[0]), np.uint64), 0
    for values, width in parts.values():
        bits = values.astype(np.int64).view(np.uint64) & np.uint64((1 << width) - 1)
        packed, offset = packed | bits << np.uint64(offset), offset + width
    assert offset <= 64
    return packed


def signed_field(packed: np.ndarray, offset: int, width: int) -> np.ndarray:
    """The signed field of `width` bits from `offset` on: int64 (count,)."""
    left = 64 - offset - width
    return (packed << np.uint64(left)).view(np.int64) >> (64 - width)


def check(name: str, got: np.ndarray, want: np.ndarray, *of: np.ndarray) -> None:
    """Equal integers; the first difference is named, with what it is of."""
    wrong = np.flatnonzero(got != want)
    assert got.shape == want.shape
    assert not len(wrong), (
        f"{name}: {len(wrong)} of {len(want)} differ, the first at {wrong[0]}: got "
        f"{int(got[wrong[0]])}, want {int(want[wrong[0]])} of {[int(x[wrong[0]]) for x in of]}"
    )
