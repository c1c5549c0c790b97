"""Fixtures of any test."""

import os

# Every process of a run has a core of its own. Threads that wait for a core that another process
# has make torch's work on small tensors ten times slower. (Before torch is imported.)
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.support.coroutines import simulated

__all__ = ["simulated"]
