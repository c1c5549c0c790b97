"""Measures the figures of merit and prints each beside its goal."""

from backspike.bench.run import GROUPS, bench

__all__ = ["GROUPS", "bench"]
