"""Memory by liveness: what is dead gives its place to what comes after it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Life:
    """Units of a memory that are needed from one moment to another, both included."""

    name: str
    units: int
    born: int
    dies: int


@dataclass(frozen=True)
class Place:
    """first: unit. after: those whose place it takes, and must wait for."""

    first: int
    after: frozenset[str] = frozenset()

    def end(self, life: Life) -> int:
        """The unit after the last."""
        return self.first + life.units


def place_lives(lives: Sequence[Life], capacity: int) -> dict[str, Place]:
    """A place for each, in the order of their births.

    As long as there is room nothing takes another's place, so nothing has to wait. Else each gets
    the first place in which all are dead when it is born. It may end beyond the capacity.
    """
    if sum(life.units for life in lives) <= capacity:
        places, unit = {}, 0
        for life in lives:
            places[life.name] = Place(unit)
            unit += life.units
        return places
    found: dict[str, Place] = {}
    before: list[Life] = []
    for life in sorted(lives, key=lambda life: life.born):
        alive = [other for other in before if other.dies >= life.born]
        spans = sorted((found[o.name].first, found[o.name].end(o)) for o in alive)
        first = 0
        for begin, end in spans:
            if first + life.units <= begin:
                break
            first = max(first, end)
        meets = {
            o.name
            for o in before
            if first < found[o.name].end(o) and found[o.name].first < first + life.units
        }
        found[life.name] = Place(first, frozenset(meets))
        before.append(life)
    return found
