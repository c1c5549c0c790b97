"""Delays (see `backspike.gen.pipeline` for what takes their place)."""

from amaranth.hdl import Module

from backspike.gen.pipeline import delay


def later(m: Module, value, cycles: int, name: str):
    """`value` as it was `cycles` ago."""
    return delay(m, value, cycles, name)
