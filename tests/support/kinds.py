"""Engines as machines without windows have them, which most tests are about."""

from backspike.gen.core.engines import KINDS as ANY
from backspike.gen.machine import MACHINES

KINDS = {name: kind.on(MACHINES["tiny"]) for name, kind in ANY.items()}
"""By name, in queue order."""
