"""gen.boards.status_leds: what the two lights show."""

import numpy as np
import pytest

from backspike.gen.boards.status_leds import StatusLeds
from backspike.sim.bench.array_bench import ArrayBench

CLOCK = 80
EIGHTH = CLOCK // 8
SECONDS = 4


@pytest.fixture
def life():
    """From its reset."""
    lights = ArrayBench(StatusLeds(CLOCK), "life_bench")
    lights(rst=np.ones(2, np.uint8))
    return lights


def run(life, **inputs) -> tuple[np.ndarray, np.ndarray]:
    found = life(**{name: np.asarray(value, np.uint8) for name, value in inputs.items()})
    return found["alive"], found["error"]


def quiet(seconds: int = SECONDS) -> np.ndarray:
    return np.zeros(seconds * CLOCK, np.uint8)


@pytest.mark.verilator
def test_at_rest_it_blinks_once_a_second(life):
    """At rest the first light blinks once a second and the second is dark."""
    alive, error = run(life, running=quiet())
    edges = np.flatnonzero(np.diff(alive.astype(int)))
    assert (np.diff(edges) == CLOCK // 2).all()
    assert len(edges) in (2 * SECONDS - 1, 2 * SECONDS)
    assert not error.any()


@pytest.mark.verilator
def test_short_runs_one_after_another_are_a_steady_light(life):
    """A cycle of running every eighth of a second, whenever in it."""
    rng = np.random.default_rng(0)
    running = quiet()
    for begin in range(0, running.size, EIGHTH):
        running[begin + rng.integers(EIGHTH)] = 1
    alive, error = run(life, running=running)
    assert alive[2 * EIGHTH :].all()
    assert not error.any()
    alive, _ = run(life, running=quiet())
    assert not alive.all()
    assert alive[-CLOCK:].sum() == CLOCK // 2


@pytest.mark.verilator
@pytest.mark.parametrize("at", range(0, EIGHTH, 3))
def test_a_damaged_frame_is_a_flash(life, at):
    """A damaged frame lights the error for one to two eighths of a second."""
    trouble = quiet(1)
    trouble[at] = 1
    _, error = run(life, trouble=trouble)
    lit = np.flatnonzero(error)
    assert lit[0] == at + 1
    assert EIGHTH <= lit.size <= 2 * EIGHTH
    assert (np.diff(lit) == 1).all()


@pytest.mark.verilator
def test_a_fault_is_lit_while_it_stands(life):
    """A fault is lit in exactly the cycles in which it stands."""
    fault = quiet()
    fault[3 : 2 * CLOCK] = 1
    _, error = run(life, fault=fault)
    assert error.tolist() == fault.tolist()


@pytest.mark.verilator
def test_reset_begins_anew(life):
    """In the middle of a run and a flash."""
    run(life, running=np.ones(7 * EIGHTH), trouble=np.ones(7 * EIGHTH))
    run(life, rst=np.ones(1))
    alive, error = run(life, running=quiet(1))
    assert not error.any()
    assert alive.tolist() == [0] * (CLOCK // 2) + [1] * (CLOCK // 2)
