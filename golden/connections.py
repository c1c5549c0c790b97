"""Kinds of connections, forward and back; they run in either arithmetic.

Shapes: K sources (a bias is the last one) and N targets of weights, S and M neurons of source and
target, before them samples and steps in any form. Tensors are float64; spikes are 0 or 1, those of
a graded input its values. Sums come as terms that the population adds and rounds.
"""

import torch

from backspike.golden.arithmetic import Arithmetic
from backspike.golden.exact import Terms
from backspike.golden.windows import backwards, from_pixels, gather, scatter, to_pixels
from backspike.ir.connection import Identity
from backspike.ir.graph import Connection, Graph


def current(
    a: Arithmetic, graph: Graph, c: Connection, weights: torch.Tensor | None, spikes: torch.Tensor
) -> Terms:
    """Σ_k w_kj s_k over each target's window, identity scale · s_j: terms of (..., M), from
    (..., S)."""
    if isinstance(c.kind, Identity):
        return (c.kind.scale * spikes,)
    assert weights is not None
    window = graph.windows[c.name]
    sums = a.gated_sum(gather(window, spikes), weights, _most(graph, c))
    return tuple(from_pixels(x) for x in sums)


def errors(
    a: Arithmetic,
    graph: Graph,
    c: Connection,
    weights: torch.Tensor | None,
    gradients: torch.Tensor,
) -> Terms:
    """Σ_j w_kj g_j over the windows that a source is in, identity scale · g_k: terms of (..., S)
    from (..., M)."""
    if isinstance(c.kind, Identity):
        return (c.kind.scale * gradients,)
    assert weights is not None
    window = graph.windows[c.name]
    g = to_pixels(window, gradients)
    sums = a.product_sum(g, backwards(window, weights), window.overlap)
    return tuple(scatter(window, x) for x in sums)


def weight_gradient(
    a: Arithmetic, graph: Graph, c: Connection, spikes: torch.Tensor, gradients: torch.Tensor
) -> torch.Tensor:
    """d_kj = round(Σ_b Σ_t Σ_pixels s_k,t g_j,t), (K, N), of a whole batch; (..., S or M) both."""
    window = graph.windows[c.name]
    s = gather(window, spikes).flatten(0, -2)
    g = to_pixels(window, gradients).flatten(0, -2)
    return a.round(*a.gated_sum(s.T, g, _most(graph, c)))


def _most(graph: Graph, c: Connection) -> int:
    """The largest number that `gather` gives, as a multiple of its least part: of a pool's pixels,
    and of a graded input's numbers, or of the bias beside them."""
    source = graph.by_name[c.source]
    return graph.windows[c.name].pool_size * max(source.most, round(1 / source.unit))
