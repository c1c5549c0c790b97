"""Deep convolutional networks without normalisation: accuracy beside float32 autograd.

All learn on the core: SGD whose rate falls to 0, cross-entropy of the last step. What is said of
each network is a command of its own, too: `Recipe.command`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from backspike.bench import learning
from backspike.bench.figure import Figure
from backspike.ir.constants import ceil_div
from backspike.ir.graph import Graph, Population
from backspike.ir.neuron import LIF, Rule
from backspike.ir.surrogate import rectangle
from backspike.train.data import Dataset, Split
from backspike.train.encode import direct, rate
from backspike.train.layers import chain, parse_layers
from backspike.train.optimizers import SGD
from backspike.train.thresholds import RATE, AdaptiveThreshold

STEPS = 4
SEEDS = (0, 1, 2)
SIX = "1x8x8,16c3,16c3,32c3s2,32c3,64c3s2,64c3,10"
RESIDUAL = "1x8x8,16c3,16c3,16c3,+,16c3,16c3,+,32c3s2,32c3,+,32c3,32c3,+,32c3,32c3,+,10"
MNIST = "1x28x28,16c5s2,32c3s2,32c3,10"


@dataclass(frozen=True)
class Recipe:
    """A network and how it learns. height: of the rectangle, whose width is 1, for mpd-ed 2.

    adaptive: whether thresholds are. bits: of a directly coded input; 1: rate-coded. goal: percent;
    distance: to float32, in points.
    """

    name: str
    layers: str
    eta: float
    epochs: int
    goal: float
    distance: float
    rule: Rule = "bptt"
    height: float = 1.0
    adaptive: bool = False
    bits: int = 1

    @property
    def surrogate(self) -> tuple[float, float]:
        """Width and height of the rectangle."""
        return (1.0 if self.rule == "bptt" else 2.0), self.height

    def graph(self) -> Graph:
        """The network."""
        neuron = LIF(rule=self.rule, surrogate=rectangle(*self.surrogate))
        graph = chain(parse_layers(self.layers), neuron)
        return replace(graph, populations=tuple(map(self._graded, graph.populations)))

    def _graded(self, population: Population) -> Population:
        given = population.role == "input" and self.bits > 1
        return replace(population, bits=self.bits, fraction=None) if given else population

    def coded(self, split: Split) -> learning.Samples:
        """Spikes or numbers (samples, T, planes), and labels."""
        pixels = split.x.reshape(len(split), *self.graph().populations[0].shape)
        if self.bits > 1:
            return direct(pixels, STEPS, bits=self.bits), split.y
        return rate(pixels, STEPS), split.y

    def command(self, data: str) -> str:
        """Of rate-coded ones, what trains with the seed 0; of others nothing does in a line."""
        if self.bits > 1:
            return f"the same network with {self.bits} bits of input"
        width, height = self.surrogate
        more = "" if self.rule == "bptt" else f" --rule {self.rule}"
        more += "" if height * width == 1 else f" --surrogate rectangle:{width:g}:{height:g}"
        more += f" --threshold-rate {RATE:g}" if self.adaptive else ""
        return (
            f"backspike train --backend golden --data {data} --layers {self.layers} "
            f"--rate {self.eta:g} --falling --epochs {self.epochs}{more}"
        )


DIGITS = (
    Recipe("3 convolutions", "1x8x8,16c3,32c3s2,32c3,10", 2.0**-7, 15, 97.0, 0.5),
    Recipe("6 convolutions bptt", SIX, 2.0**-7, 15, 96.5, 1.0),
    Recipe(
        "6 convolutions mpd-ed", SIX, 2.0**-8, 15, 95.5, 1.0,
        rule="mpd-ed", height=1.5, adaptive=True,
    ),
    Recipe("residual, 11 convolutions", RESIDUAL, 2.0**-8, 15, 96.5, 1.0),
)  # fmt: skip
"""Of digits."""
IMAGES = (
    Recipe("mnist rate-coded", MNIST, 2.0**-7, 10, 96.3, 0.5),
    Recipe("mnist direct-coded", MNIST, 2.0**-7, 10, 96.3, 0.5, bits=4),
)
"""Of 5,000 digits of MNIST."""


def figures(
    data: Dataset, recipes: Iterable[Recipe], seeds: tuple[int, ...] = SEEDS
) -> list[Figure]:
    """Mean accuracy over the seeds and its distance to float32's, of each recipe."""
    made = []
    for recipe in recipes:
        what = f"{recipe.layers}, {STEPS} steps, batch {learning.BATCH}, {data.source}: " + (
            recipe.command(data.source)
        )
        found = case(data, recipe)
        made += learning.compared(recipe.name, found, seeds, recipe.goal, recipe.distance, what)
    return made


def case(data: Dataset, recipe: Recipe) -> learning.Case:
    """A recipe on some data."""
    updates = recipe.epochs * ceil_div(len(data.train), learning.BATCH)
    return learning.Case(
        graph=recipe.graph(),
        train=recipe.coded(data.train),
        test=recipe.coded(data.test),
        optimizer=SGD(recipe.eta, falling=updates),
        epochs=recipe.epochs,
        thresholds=AdaptiveThreshold() if recipe.adaptive else None,
    )
