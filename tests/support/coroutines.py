"""One pytest id for each cocotb coroutine, though a module's coroutines share a simulation.

    @each_coroutine(__name__)
    def test_walk(simulated):
        simulated(lambda: (WALK, "walk_bench"))

A simulation takes seconds to start. So the first id simulates all coroutines that are selected
beside it (one, if one id is asked for), and every id looks at its own result.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from amaranth.lib import wiring

from backspike.sim.bench.cocotb_bench import BenchRun, simulate_bench

Made = tuple[wiring.Component, str] | tuple[wiring.Component, str, dict]
"""A component, its top module's name, and parameters for the coroutines."""
RUNS = pytest.StashKey[dict[tuple, BenchRun | AssertionError]]()


@dataclass(frozen=True)
class Coroutine:
    """One case of a module's coroutines: `walks/stall=0.5`."""

    module: str
    name: str


def cases(module: str, *names: str) -> list[Coroutine]:
    """What cocotb would run of these coroutines, or of all, in a module's order."""
    found = []
    for value in vars(importlib.import_module(module)).values():
        if hasattr(value, "generate_tests") and value.name in (names or (value.name,)):
            found += [Coroutine(module, test.name) for test in value.generate_tests()]
    assert found, f"module {module} has no coroutine {names}"
    return found


def each_coroutine(module: str, *names: str) -> Callable:
    """Decorates a test that asks for `simulated`, so that it has an id for each case.

    module: of the coroutines; they stand above the test if it is its own. names: of some of them;
    all by default.
    """
    values = cases(module, *names)

    def decorate(test: Callable) -> Callable:
        test = pytest.mark.parametrize("coroutine", values, ids=[v.name for v in values])(test)
        group = pytest.mark.xdist_group(f"{test.__module__}.{test.__name__}")
        return group(pytest.mark.verilator(test))

    return decorate


def beside(item: pytest.Item) -> tuple:
    """What ids of one simulation have in common: the test and its parameters but `coroutine`."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    others = sorted((name, repr(value)) for name, value in params.items() if name != "coroutine")
    return item.path, item.originalname, tuple(others)


@pytest.fixture
def simulated(
    request: pytest.FixtureRequest, coroutine: Coroutine
) -> Callable[[Callable[[], Made]], None]:
    """A function that simulates what `make` gives, and checks this id's coroutine.

    Only the first id of a simulation calls `make`.
    """

    def check(make: Callable[[], Made]) -> None:
        runs, key = request.config.stash.setdefault(RUNS, {}), beside(request.node)
        if key not in runs:
            same = [item for item in request.session.items if beside(item) == key]
            selected = [item.callspec.params["coroutine"].name for item in same]
            component, name, *rest = make()
            parameters = rest[0] if rest else None
            try:
                runs[key] = simulate_bench(
                    component, name, coroutine.module, testcase=selected, parameters=parameters
                )
            except AssertionError as error:
                runs[key] = error
        run = runs[key]
        if isinstance(run, AssertionError):
            raise run
        run.check(coroutine.name)

    return check
