"""Fixtures of any test."""

import os

# Every process of a run has a core of its own. Threads that wait for a core that another process
# has make torch's work on small tensors ten times slower. (Before torch is imported.)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.support.coroutines import simulated

__all__ = ["simulated"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file that needs simulations throughout runs in one worker: what its tests have in common
    is built by the first of them, and the other worker need not wait for it.
    """
    for item in items:
        marks = getattr(getattr(item, "module", None), "pytestmark", [])
        names = {mark.name for mark in (marks if isinstance(marks, list) else [marks])}
        if "verilator" in names and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
