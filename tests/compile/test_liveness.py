"""compile.liveness: places by who is alive when."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from backspike.compile.liveness import Life, place_lives
from backspike.drive.machines import find_machine
from backspike.ir.learning import Learning
from tests.support.layered import Layer, Network, compile_network


@st.composite
def lives(draw) -> list[Life]:
    """Some that live one after the other, some at the same time."""
    count = draw(st.integers(1, 12))
    found = []
    for n in range(count):
        born = draw(st.integers(0, 6))
        found.append(Life(f"life{n}", draw(st.integers(1, 9)), born, draw(st.integers(born, 7))))
    return found


@given(lives(), st.integers(0, 120))
def test_the_living_do_not_meet(found, capacity):
    """Who is alive with another has another place; whose place is taken is dead, and named."""
    places = place_lives(found, capacity)
    assert places.keys() == {life.name for life in found}
    for one, other in combinations(found, 2):
        a, b = places[one.name], places[other.name]
        overlap = a.first < b.end(other) and b.first < a.end(one)
        together = one.born <= other.dies and other.born <= one.dies
        assert not (overlap and together)
        named = one.name in b.after or other.name in a.after
        assert named == overlap
        for early, late, place in ((one, other, b), (other, one, a)):
            if early.name in place.after:
                assert early.dies < late.born
    if sum(life.units for life in found) <= capacity:
        assert not any(place.after for place in places.values())
        assert max(places[life.name].end(life) for life in found) <= capacity


def test_a_chain_of_sixteen_equal_layers_needs_two():
    """A layer's gradients are dead when those below are made and its weights updated: of 16 layers
    of 32 units two are alive, and 63 units are too few."""
    network = Network(inputs=16, steps=4, layers=tuple(Layer(size=16) for _ in range(16)))
    memories = "units=512,spike_units=1024,weight_rows=4096,layers=16,tasks=1024"

    def needs(units: int) -> int:
        machine = find_machine(f"tiny,{memories},gradient_units={units}")
        plan = compile_network(network, Learning(batch=16), machine)
        (use,) = (use for use in plan.uses if use.memory == "gradient memory")
        assert use.needs <= use.has == units
        return use.needs

    assert needs(512) == 16 * 32
    assert needs(511) == needs(64) == 2 * 32
