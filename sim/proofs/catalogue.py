"""All proofs, in the order of docs/proofs.md."""

from backspike.sim.proofs import (
    axi,
    blocks,
    bus,
    group_walks,
    lines,
    link,
    loops,
    plane_groups,
    plane_walks,
    queues,
    scanning,
    streams,
    sums,
    tables,
    walks,
    windows,
)
from backspike.sim.proofs.proof import Proof

PROOFS: tuple[Proof, ...] = (
    *axi.PROOFS,
    *bus.PROOFS,
    *link.PROOFS,
    *queues.PROOFS,
    *loops.PROOFS,
    *streams.PROOFS,
    *blocks.PROOFS,
    *windows.PROOFS,
    *tables.PROOFS,
    *walks.PROOFS,
    *plane_walks.PROOFS,
    *group_walks.PROOFS,
    *plane_groups.PROOFS,
    *scanning.PROOFS,
    *lines.PROOFS,
    *sums.PROOFS,
)
