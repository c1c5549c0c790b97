"""What engines are told of populations and connections: fields of descriptors and records."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from backspike.compile.cut import Cut
from backspike.compile.placement import Placement, PopulationPlace, bias_of
from backspike.compile.windows import Axis, Table, Windows, bias_windows, windows_of
from backspike.gen.core.engines import BACKWARD, FORWARD, UPDATE
from backspike.gen.core.layout import CODES, CONNECTIONS, NEVER
from backspike.ir.errors import UserError
from backspike.ir.graph import Connection, Graph, Population
from backspike.ir.half_bits import half_bits, least_half
from backspike.ir.learning import Learning
from backspike.ir.neuron import LIF, CubaLIF

Fields = dict[str, int]


@dataclass(frozen=True)
class Descriptors:
    """Of one engine: of each layer (a population, or for wg a connection) by its name, in the order
    of their numbers; and the records of connections that they point to."""

    layers: Mapping[str, Fields]
    records: tuple[Fields, ...] = ()

    def number(self, name: str) -> int:
        """A layer's number."""
        return list(self.layers).index(name)


@dataclass(frozen=True)
class Describer:
    """Makes the descriptors of a graph that is placed."""

    graph: Graph
    learning: Learning
    places: Placement
    every: bool
    cut: Cut
    table: Table | None = None  # of windows, which grows, if the machine has one
    scale_down: int = 0  # the machine's

    def all(self) -> dict[str, Descriptors]:
        """By the engines' names."""
        order = [name for stage in self.graph.stages for name in stage]
        forward = [self.graph.by_name[n] for n in order if self.graph.by_name[n].role != "input"]
        return {
            FORWARD.name: self._forward_all(forward),
            BACKWARD.name: self._backward_all(forward),
            UPDATE.name: Descriptors(dict(self._updates())),
        }

    def _forward_all(self, populations: list[Population]) -> Descriptors:
        layers, records = {}, []
        for population in populations:
            into = self.graph.into(population.name)
            found = [self._forward_record(c) for c in into]
            found += [self._bias_record(c) for c in into if self._apart(c)]
            _few(population, "enter", len(found))
            layers[population.name] = self._forward(population, len(records), len(found))
            records += found
        return Descriptors(layers, tuple(records))

    def _backward_all(self, populations: list[Population]) -> Descriptors:
        layers, records = {}, []
        for population in populations:
            if population.name not in self.graph.learning:
                continue
            out = self.graph.errors_into(population.name)
            stepped = self.places.populations[population.name].errors is not None
            _few(population, "leave", len(out) + stepped)
            first = len(records)
            records += [self._backward_record(c) for c in out]
            if stepped:
                records.append(self._error_record(population))
            layers[population.name] = self._backward(population, first, len(records) - first)
        return Descriptors(layers, tuple(records))

    def _forward(self, population: Population, record: int, connections: int) -> Fields:
        place = self.places.populations[population.name]
        readout = not population.spikes
        neuron = population.neuron or LIF(leak=1.0)
        return {
            "tiles": place.tiles,
            "size": place.size,
            "record": record,
            "connections": connections,
            "output_base": place.base if place.logits is None else place.logits,
            "leak": half_bits(neuron.leak),
            **_current(neuron),
            "soft": int(neuron.reset == "soft"),
            "readout": int(readout),
            "every": int(readout and self.every),
            "spikes_only": int(neuron.rule == "mpd-ed"),
            "nonzero": sum(1 << c for c, value in enumerate(neuron.surrogate.values) if value),
            **threshold_fields(neuron),
        }

    def _forward_record(self, connection: Connection) -> Fields:
        place = self.places.connections[connection.name]
        return {
            "source_tiles": place.source_tiles,
            "sources": place.sources,
            "bias": int(place.bias and place.bias_block is None),
            "source_base": place.source_base,
            "weights": place.weights,
            "diagonal": int(place.diagonal),
            "delay": connection.delay,
            **self._told(lambda table: self._forward_windows(connection, table)),
        }

    def _apart(self, connection: Connection) -> bool:
        return self.places.connections[connection.name].bias_block is not None

    def _bias_record(self, connection: Connection) -> Fields:
        """Of a bias that has blocks of its own: a tile of sources that has nothing but a bias."""
        place = self.places.connections[connection.name]
        assert place.bias_block is not None
        return {
            **self._forward_record(connection),
            "source_tiles": 1,
            "sources": 0,
            "bias": 1,
            "weights": place.bias_block,
            "delay": 0,
            **self._told(lambda table: self._bias_windows(connection, table)),
        }

    def _bias_windows(self, connection: Connection, table: Table) -> int:
        windows = bias_windows(connection, self.places, self.cut, self.scale_down)
        return windows.forward(table, self._each(connection))

    def _each(self, connection: Connection) -> int:
        """Blocks of a pixel of the target; of logits of the last step sets."""
        logits = self.places.populations[connection.target].logits is not None
        return self.cut.sets if logits and not self.every else self.cut.blocks

    def _told(self, windows: Callable[[Table], int]) -> Fields:
        """Where the table tells of windows, if there is one."""
        return {} if self.table is None else {"windows": windows(self.table)}

    def _forward_windows(self, connection: Connection, table: Table) -> int:
        return self._windows(connection).forward(table, self._each(connection))

    def _windows(self, connection: Connection) -> Windows:
        return windows_of(self.graph, connection, self.places, self.cut, self.scale_down)

    def _backward(self, population: Population, record: int, connections: int) -> Fields:
        place = self.places.populations[population.name]
        neuron = population.neuron or LIF(leak=1.0)
        loss = not population.spikes and not self.every
        values = [*map(half_bits, neuron.surrogate.values)]
        return {
            "tiles": place.tiles,
            "size": place.size,
            "record": record,
            "connections": connections,
            "output_base": place.base,
            "gradient_base": place.gradients,
            "loss": int(loss),
            "squared": int(loss and self.learning.loss == "mse"),
            "logits": place.logits if loss and place.logits is not None else 0,
            "integrate": int(not population.spikes and not loss),
            "leak": half_bits(self.learning.alpha if loss else neuron.leak),
            **_current(neuron),
            "soft": int(neuron.reset == "soft"),
            "temporal": int(neuron.temporal),
            "spikes_only": int(neuron.rule == "mpd-ed"),
            **{f"h{c}": value for c, value in enumerate(values + [0] * (CODES - len(values)))},
        }

    def _backward_record(self, connection: Connection) -> Fields:
        place = self.places.connections[connection.name]
        return {
            "next_tiles": place.tiles,
            "next_base": place.gradient_base,
            "next_source_tiles": place.source_tiles,
            "next_weights": place.weights,
            "diagonal": int(place.diagonal),
            "delay": connection.delay,
            **self._told(self._windows(connection).backward),
        }

    def _error_record(self, population: Population) -> Fields:
        """Of the errors that the host writes: an identity that leads to them."""
        place = self.places.populations[population.name]
        assert place.errors is not None
        assert self.places.identity is not None
        return {
            "next_tiles": place.tiles,
            "next_base": place.errors,
            "next_source_tiles": place.tiles,
            "next_weights": self.places.identity,
            "diagonal": 1,
            "delay": 0,
            **self._told(lambda table: self._error_windows(place, table)),
        }

    def _error_windows(self, place: PopulationPlace, table: Table) -> int:
        rows, columns = (Axis(n, n) for n in place.plane)
        windows = Windows(
            (rows, columns), place.tiles, 1, self.cut.blocks, shared=True, places=self.scale_down
        )
        return windows.backward(table)

    def _updates(self) -> Iterator[tuple[str, Fields]]:
        for connection in self.graph.trained:
            yield connection.name, self._update(connection)
            place = self.places.connections[connection.name]
            if place.bias_block is not None:
                windows = bias_windows(connection, self.places, self.cut, self.scale_down)
                yield (
                    bias_of(connection.name),
                    {
                        **self._update(connection),
                        "source_tiles": 1,
                        "sources": 0,
                        "bias": 1,
                        "weights": place.bias_block,
                        "delay": 0,
                        **self._told(windows.update),
                    },
                )

    def _update(self, connection: Connection) -> Fields:
        """`key` changes every step."""
        place, learning = self.places.connections[connection.name], self.learning
        host = learning.updates == "host"
        return {
            "tiles": place.tiles,
            "source_tiles": place.source_tiles,
            "sources": place.sources,
            "bias": int(place.bias and place.bias_block is None),
            "source_base": place.source_base,
            "gradient_base": place.gradient_base,
            "weights": place.weights,
            "delay": connection.delay,
            **self._told(self._windows(connection).update),
            "rate": half_bits(-1.0 if host else learning.rate),
            "stochastic": int(learning.rounding == "stochastic" and not host),
            "all": int(host or learning.momentum > 0),
            "hand": int(host),
            "momentum": half_bits(0.0 if host else learning.momentum),
            "key": 0,
        }


def threshold_fields(neuron: LIF) -> Fields:
    """θ, and the least halves that are an edge of the surrogate above it."""
    theta = neuron.threshold
    edges = [least_half(theta, edge) for edge in neuron.surrogate.edges]
    edges += [NEVER] * (CODES - 1 - len(edges))
    return {"threshold": half_bits(theta), **{f"edge{i}": edge for i, edge in enumerate(edges)}}


def _current(neuron: LIF) -> Fields:
    current = isinstance(neuron, CubaLIF)
    return {
        "current": int(current),
        "synapse": half_bits(neuron.synapse) if isinstance(neuron, CubaLIF) else 0,
    }


def _few(population: Population, verb: str, connections: int) -> None:
    if connections > CONNECTIONS:
        raise UserError(
            f"{connections} connections {verb} population {population.name}, must be up to "
            f"{CONNECTIONS} on a core"
        )
