"""Fixtures of any test."""

from tests.support.coroutines import simulated

__all__ = ["simulated"]
