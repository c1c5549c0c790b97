"""gen.pipeline: values in the cycle that was asked for, registers shared, errors in words."""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import data
from amaranth.sim import Simulator

from backspike.gen.pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


def play(m: Module, inputs: list[tuple], output) -> list[int]:
    """`output` cycle by cycle, with signals driven as `inputs` say."""
    found = []
    m.domains.sync = ClockDomain()

    async def bench(ctx):
        for given in inputs:
            for signal, value in given:
                ctx.set(signal, value)
            found.append(ctx.get(output))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def registers(m: Module) -> set[str]:
    """Names of the registers of `m`, which end with a cycle."""
    return set(re.findall(r"wire width \d+ \\(\w+_\d)$", rtlil.convert(m, ports=[]), re.M))


@pytest.mark.parametrize("at", [2, 3, 7])
def test_a_value_arrives_in_the_cycle_that_is_asked_for(at):
    """A value that exists in cycle 2 is there then, and later through registers."""
    m, i = Module(), Signal(8)
    pipeline = Pipeline(m)
    pipeline.put("i", i, at=2)
    o = Signal(8)
    m.d.comb += o.eq(pipeline.get("i", at=at))
    given = list(range(1, 12))
    assert play(m, [((i, x),) for x in given], o) == [0] * (at - 2) + given[: len(given) - (at - 2)]


def test_a_register_takes_the_value_of_the_cycle_before():
    """A register at cycle 1 holds what was worked out in cycle 0."""
    m, i, o = Module(), Signal(8), Signal(9)
    pipeline = Pipeline(m)
    pipeline.put("i", i, at=0)
    pipeline.register("twice", i << 1, at=1)
    m.d.comb += o.eq(pipeline.get("twice", at=3) - (pipeline.get("i", at=3) << 1))
    assert not any(play(m, [((i, x),) for x in range(1, 9)], o))
    assert registers(m) == {"i_1", "i_2", "i_3", "twice_1", "twice_2", "twice_3"}


def test_registers_are_made_once_and_shared():
    """Asking again, or for an earlier cycle, makes no register."""
    m = Module()
    pipeline = Pipeline(m)
    pipeline.put("i", Signal(8), at=0)
    late = pipeline.get("i", at=3)
    assert pipeline.get("i", at=3) is late
    pipeline.get("i", at=1)
    assert registers(m) == {"i_1", "i_2", "i_3"}


def test_a_struct_stays_a_struct():
    """Delayed structs keep their fields."""
    m = Module()
    pipeline = Pipeline(m)
    layout = data.StructLayout({"valid": 1, "entry": 4})
    pipeline.put("slot", Signal(layout), at=0)
    assert pipeline.get("slot", at=2).shape() == layout


def test_a_pipeline_moves_only_when_enabled():
    """With `enable` values move in enabled cycles alone."""
    m, i, go, o = Module(), Signal(8), Signal(), Signal(8)
    pipeline = Pipeline(m, enable=go)
    pipeline.put("i", i, at=0)
    m.d.comb += o.eq(pipeline.get("i", at=2))
    given = [((i, n + 1), (go, n % 2)) for n in range(8)]
    assert play(m, given, o) == [0, 0, 0, 0, 2, 2, 4, 4]


@pytest.mark.parametrize("reset", [False, True])
def test_a_reset_clears_only_what_was_put_so(reset):
    """Registers have a reset, to zero, where `put` says so, and nowhere else."""
    m = Module()
    pipeline = Pipeline(m)
    pipeline.put("i", Signal(init=1), at=0, reset=reset)
    register = pipeline.get("i", at=1)
    assert register.reset_less is not reset
    assert not (reset and register.init)


def test_a_value_that_is_needed_too_early_is_an_error():
    """The message names the value and both cycles."""
    pipeline = Pipeline(Module())
    pipeline.put("u", Signal(), at=5)
    with pytest.raises(ValueError, match=r"^u is needed in cycle 4, must be 5 or later$"):
        pipeline.get("u", at=4)


def test_a_value_that_nobody_put_is_an_error():
    """The message names the value."""
    with pytest.raises(ValueError, match=r"^u is needed in cycle 4, must be put before that$"):
        Pipeline(Module()).get("u", at=4)


def test_a_value_that_is_put_twice_is_an_error():
    """A name stands for one value."""
    pipeline = Pipeline(Module())
    pipeline.put("u", Signal(), at=5)
    with pytest.raises(ValueError, match=r"^u is put twice, must be put once$"):
        pipeline.register("u", Signal(), at=6)


def test_registers_under_a_condition_are_an_error():
    """A first `get` inside an `m.If` would make registers that only move then."""
    m = Module()
    pipeline = Pipeline(m)
    pipeline.put("u", Signal(), at=0)
    with (
        m.If(Signal()),
        pytest.raises(ValueError, match=r"^u_1 is made under a condition, must be"),
    ):
        pipeline.get("u", at=1)
