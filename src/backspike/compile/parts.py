"""Batches that are larger than what a machine has room for: they come in parts."""

from dataclasses import replace

from backspike.compile.compiler import Plan, compile_graph
from backspike.gen.machine import Machine
from backspike.ir.constants import ceil_div
from backspike.ir.errors import UserError
from backspike.ir.graph import Graph
from backspike.ir.learning import Learning
from backspike.ir.validation import check_terms


def compile_batch(
    graph: Graph,
    steps: int,
    learning: Learning,
    machine: Machine,
    *,
    every: bool = False,
    stateful: bool = False,
) -> Plan:
    """As `compile_graph`; but if the batch does not fit a machine with a memory of partial sums,
    of as few parts as it takes, which are as equal as can be: the batch of the plan's `learning` is
    then the largest of them.

    UserError if not even one sample fits, or so many terms are not exact; or if batches go on from
    each other, as what neurons keep is there for one part only.
    """

    def fitting(batch: int) -> Plan:
        of_part = replace(learning, batch=batch)
        return compile_graph(graph, steps, of_part, machine, every=every, stateful=stateful)

    try:
        return fitting(learning.batch)
    except UserError:
        if not machine.parts or stateful:
            raise
        check_terms(graph, learning.batch, steps)
        most = _most(fitting, learning.batch)
        if not most:
            raise
    return fitting(ceil_div(learning.batch, ceil_div(learning.batch, most)))


def _most(fitting, batch: int) -> int:
    """The largest number of samples below `batch`, which does not fit, that fits; fewer always do,
    since they need no more of any memory."""
    fits, fails = 0, batch
    while fails - fits > 1:
        middle = (fits + fails) // 2
        try:
            fitting(middle)
            fits = middle
        except UserError:
            fails = middle
    return fits
