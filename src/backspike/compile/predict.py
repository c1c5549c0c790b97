"""How many cycles a batch should take, from a compiled network and assumed densities."""

from dataclasses import dataclass

from backspike.compile.compiler import Plan


@dataclass(frozen=True, kw_only=True)
class Densities:
    """Shares 0..1 of spikes in the input, of spikes and of nonzero gradients in hidden layers.

    By default what digits have after some epochs. The read-out's gradients are never zero.
    """

    input: float = 0.32
    spikes: float = 0.09
    gradients: float = 0.15


@dataclass(frozen=True)
class LayerCycles:
    """Expected cycles of the three engines for one layer and batch: the bounds that they count."""

    fp: float
    bp: float
    wg: float


def predict(plan: Plan, densities: Densities) -> list[LayerCycles]:
    """The bound of every engine for every layer of `plan`, expected if spikes and gradients fall
    independently (real ones cluster, so fewer tiles are touched and less is needed).

    With K sources, N neurons, D = batch x steps, P lanes and ⌈N/P⌉ tiles:
    fp adds one row tile an event, Σ nnz(S) ⌈N/P⌉; bp (for the gradients of the layer) one column
    tile for every nonzero gradient of the next layer, in those of D where any neuron of a tile
    lets errors through; wg one row tile of G that is not empty for every spike, but at least two
    cycles for each of the K ⌈N/P⌉ tiles that it updates.
    """
    entries = plan.learning.batch * plan.steps
    lanes = plan.machine.lanes
    last = len(plan.layers) - 1
    cycles = []
    for n, at in enumerate(plan.layers):
        density = densities.input if n == 0 else densities.spikes
        spikes = entries * (at.sources * density + at.bias)
        touched = 1.0 if n == last else _touched(at.size, lanes, densities.gradients)
        bp = 0.0
        if n < last:
            after = plan.layers[n + 1].size * (1.0 if n + 1 == last else densities.gradients)
            bp = entries * after * at.tiles * touched
        wg = max(spikes * at.tiles * touched, 2 * at.rows)
        cycles.append(LayerCycles(spikes * at.tiles, bp, wg))
    return cycles


def _touched(size: int, lanes: int, density: float) -> float:
    """The expected share of a layer's tiles in which one neuron or more is not zero."""
    full, remainder = divmod(size, lanes)
    touched = full * (1 - (1 - density) ** lanes) + (1 - (1 - density) ** remainder)
    return touched / (full + (remainder > 0))
