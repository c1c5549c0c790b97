"""Emission: the folder rtl/ is what the generator makes, byte for byte, and others can use it."""

import hashlib
import re
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.cli.main import main
from backspike.flow.emit import machine_files, write_machine
from backspike.flow.rtl import PRESETS, README, SHOWN, refresh, rtl_files
from backspike.gen.emit import emit, emit_machine
from backspike.gen.machine import MACHINES, top_name
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.sim.verilator.build import lint
from backspike.system.tools import ToolFailed

# One worker emits what all of these look at.
pytestmark = pytest.mark.xdist_group("emit")
ROOT = Path(__file__).resolve().parents[2]
LINES = 70_000
"""Of rtl/: more would drown the rest of the repository."""


def module_names(text: str) -> list[str]:
    """Modules of a Verilog text."""
    return re.findall(r"^module (\S+?) ?\(", text, re.MULTILINE)


def test_rtl_folder_is_reproduced():
    """rtl/ holds what `make rtl` writes, and nothing else but its README."""
    folder = ROOT / "rtl"
    files = rtl_files()
    for name, text in files.items():
        found = (folder / name).read_bytes()
        assert found == text.encode(), f"rtl/{name} is not what `make rtl` writes"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {*files, README}


def test_rtl_folder_has_the_sum_of_every_preset_and_few_lines():
    """Every file of every preset has its sum, and the folder stays small."""
    sums = dict(
        reversed(line.split("  ")) for line in (ROOT / "rtl/SHA256SUMS").read_text().splitlines()
    )
    for name, machine in PRESETS.items():
        for file, text in machine_files(machine).items():
            assert sums[f"{name}/{file}"] == hashlib.sha256(text.encode()).hexdigest()
    assert len(sums) == 3 * len(PRESETS)
    paths = [path for path in (ROOT / "rtl").rglob("*") if path.is_file()]
    assert sum(path.read_bytes().count(b"\n") for path in paths) <= LINES
    assert {path.parent.name for path in paths if path.suffix == ".v"} == set(SHOWN)


def test_a_refreshed_folder_holds_nothing_old(tmp_path):
    """What an earlier version wrote is removed; the README stays."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "backspike_core.v").write_text("module\n")
    (tmp_path / README).write_text("what this is\n")
    refresh(tmp_path)
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {*rtl_files(), README}


@pytest.mark.parametrize("machine", [MACHINES["tiny"], SpectralMachine(name="small", size=8)])
def test_emission_does_not_depend_on_what_was_emitted_before(machine):
    """The text is the same whatever the process has made before, and names no path."""
    first = emit_machine(machine)
    emit(Leaves(2), "leaves")
    assert emit_machine(machine) == first
    assert str(ROOT) not in first


@pytest.mark.parametrize("name", ["tiny", "spectral-32"])
def test_files_are_written_whole(tmp_path, name):
    """The folder is made, and has the Verilog, its waivers and the registers."""
    paths = write_machine(PRESETS[name], tmp_path / "new" / name)
    top = f"backspike_{name}".replace("-", "_")
    assert [path.name for path in paths] == [f"{top}.v", f"{top}.vlt", "registers.md"]
    assert f"\nmodule {top}(" in paths[0].read_text()
    assert paths[2].read_text().startswith("# The ")


@pytest.mark.parametrize("name", PRESETS)
def test_the_header_tells_what_the_file_is(name):
    """Licence, version, machine, every parameter, and that the file is generated."""
    machine = PRESETS[name]
    lines = machine_files(machine)[f"{top_name(machine)}.v"].splitlines()[:4]
    assert lines[0] == "// SPDX-License-Identifier: Apache-2.0"
    assert re.fullmatch(rf"// .*machine {name} .*backspike \d+\.\d+\.\d+", lines[1])
    for parameter, value in vars(machine).items():
        assert parameter == "name" or f"{parameter} {value}" in lines[2]
    assert "Generated" in lines[3]


@pytest.mark.parametrize("name", PRESETS)
def test_ports_are_names_in_every_language(name):
    """The top has a clock, a reset, a host port as tools infer it, and two lights: no names that
    VHDL refuses."""
    machine = PRESETS[name]
    text = machine_files(machine)[f"{top_name(machine)}.v"]
    ports = re.search(rf"^module {top_name(machine)}\(([^)]*)\)", text, re.MULTILINE)
    assert ports
    names = {port.strip() for port in ports[1].split(",")}
    assert {"clk", "rst", "running", "fault"} < names
    rest = names - {"clk", "rst", "running", "fault"}
    assert {"s_axi_awaddr", "s_axi_wstrb", "s_axi_bresp", "s_axi_arready", "s_axi_rdata"} < rest
    assert len(rest) == 19
    assert all(re.fullmatch(r"s_axi(_[a-z]+)", port) for port in rest)


@pytest.mark.verilator
@pytest.mark.parametrize("name", PRESETS)
def test_lint_is_clean(name):
    """Verilator has nothing to say, with the waivers that are shipped; without them it has."""
    machine = PRESETS[name]
    top, files = top_name(machine), machine_files(machine)
    sources = {file: text for file, text in files.items() if not file.endswith(".md")}
    lint(sources, top)
    if name == "tiny":
        with pytest.raises(ToolFailed) as raised:
            lint({f"{top}.v": sources[f"{top}.v"]}, top)
        assert "Exiting due to" in raised.value.said
    assert sources[f"{top}.vlt"].count("lint_off") == 5


@pytest.mark.verilator
def test_two_presets_and_a_prefix_live_in_one_design():
    """No module of one preset has the name of another's; a second copy gets a prefix."""
    tiny, spectral = MACHINES["tiny"], SPECTRAL_MACHINES["spectral-32"]
    files = {**machine_files(tiny), **machine_files(spectral), **machine_files(tiny, "other")}
    del files["registers.md"]
    texts = [text for file, text in files.items() if file.endswith(".v")]
    names = [name for text in texts for name in module_names(text)]
    assert len(set(names)) == len(names)
    assert all(re.match(r"(backspike_tiny|backspike_spectral_32|other)(_|$)", n) for n in names)
    tops = ("backspike_tiny", "backspike_spectral_32", "other")
    design = "".join(f"  {top} {top}_i ();\n" for top in tops)
    quiet = "/* verilator lint_off PINMISSING */\n"
    lint({**files, "both.v": f"{quiet}module both ();\n{design}endmodule\n"}, "both")
    clash = {**files, "third.v": files["other.v"]}
    with pytest.raises(ToolFailed) as raised:
        lint({**clash, "both.v": f"{quiet}module both ();\n{design}endmodule\n"}, "both")
    assert "MODDUP" in raised.value.said


@pytest.mark.parametrize(
    "prefix", ["", "9lives", "a__b", "a-b", "tail_", "_head", "module", "logic", "a" * 65]
)
def test_a_prefix_that_is_no_name_is_refused(prefix, tmp_path, capsys):
    """Exit code 2, before anything is written."""
    out = tmp_path / "out"
    assert main(["emit", "--machine", "tiny", "--prefix", prefix, "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("backspike: prefix ")
    assert not out.exists()


def test_all_presets_cannot_have_one_prefix(capsys):
    """Their modules would clash."""
    assert main(["emit", "--all", "--prefix", "mine"]) == 2
    assert "must have different prefixes" in capsys.readouterr().err


class Leaf(wiring.Component):
    """An adder of a constant behind a register and a memory."""

    def __init__(self, constant):
        self._constant = constant
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=4, depth=4, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [write.en.eq(1), write.data.eq(self.i), self.o.eq(read.data)]
        total = Signal(4)
        m.d.sync += total.eq(self.i + self._constant)
        m.d.comb += [write.addr.eq(total), read.addr.eq(total)]
        return m


class Leaves(wiring.Component):
    """Several leaves, each adding its number modulo `different`."""

    def __init__(self, different):
        self._different = different
        super().__init__({"i": In(4), "o": Out(16)})

    def elaborate(self, platform):
        m = Module()
        for n in range(4):
            m.submodules[f"leaf{n}"] = leaf = Leaf(n % self._different)
            m.d.comb += [leaf.i.eq(self.i), self.o.word_select(n, 4).eq(leaf.o)]
        return m


@pytest.mark.parametrize("different", [1, 2, 4])
def test_equal_modules_are_written_once(different):
    """Instances of equal modules share one."""
    text = emit(Leaves(different), "leaves")
    assert text.count("\nmodule ") == 1 + different
    for n in range(4):
        assert f"leaf{n} (" in text, "every instance stays"
    for n in range(different):
        assert text.count(f"\\leaves.leaf{n}  ") == 4 // different


def test_memories_are_not_filled_with_zeros():
    """Block RAM starts so anyway."""
    text = emit(Leaves(1), "leaves")
    assert "reg [3:0] store [3:0];" in text
    assert "store[0] = " not in text


def test_a_port_named_as_the_module_is_refused():
    """Verilator would refuse it."""
    with pytest.raises(ValueError, match="'o' has a port of that name"):
        emit(Leaves(1), "o")
