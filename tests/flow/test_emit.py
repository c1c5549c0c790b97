"""Emission: the folder rtl/ is what the generator makes, byte for byte."""

from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from backspike.flow.emit import emit_machine, machine_files
from backspike.gen.core.top import Core
from backspike.gen.emit import emit
from backspike.gen.machine import MACHINES
from backspike.gen.spectral.machine import SPECTRAL_MACHINES, SpectralMachine
from backspike.gen.spectral.top import SpectralUnit
from backspike.sim.verilator import spectral_model
from backspike.sim.verilator.core_model import TOP

ROOT = Path(__file__).resolve().parents[2]
PRESETS = {**MACHINES, **SPECTRAL_MACHINES}


@pytest.mark.parametrize("name", PRESETS)
def test_rtl_folder_is_reproduced(name):
    """Each preset's files under rtl/ are, byte for byte, what the generator writes."""
    for file, text in machine_files(PRESETS[name]).items():
        found = (ROOT / "rtl" / name / file).read_bytes()
        assert found == text.encode(), f"rtl/{name}/{file} is not what `make rtl` writes"


def test_rtl_folder_holds_the_presets_and_nothing_else():
    """rtl/ has a folder for each preset and no other."""
    assert {path.name for path in (ROOT / "rtl").iterdir()} == set(PRESETS)


def test_emission_does_not_depend_on_what_was_emitted_before():
    """A core's text is the same after another design was emitted."""
    first = emit(Core(MACHINES["tiny"]), TOP)
    emit(Leaves(2), "leaves")
    assert emit(Core(MACHINES["tiny"]), TOP) == first
    assert str(ROOT) not in first


def test_emission_of_a_spectral_unit_does_not_depend_on_it_either():
    """A spectral unit's text is the same after another design was emitted."""
    machine = SpectralMachine(name="small", size=8)
    first = emit(SpectralUnit(machine), spectral_model.TOP)
    emit(Leaves(2), "leaves")
    assert emit(SpectralUnit(machine), spectral_model.TOP) == first
    assert str(ROOT) not in first


@pytest.mark.parametrize(
    ("name", "module"), [("tiny", "backspike_core"), ("spectral-32", "backspike_spectral")]
)
def test_files_are_written_whole(tmp_path, name, module):
    """A machine's Verilog and its register page are written into a new folder."""
    paths = emit_machine(PRESETS[name], tmp_path / "new" / name)
    assert [path.name for path in paths] == [f"{module}.v", "registers.md"]
    assert f"\nmodule {module}(" in paths[0].read_text()
    assert paths[1].read_text().startswith("# The ")


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
    """Modules of equal content are one module, and every instance stays."""
    text = emit(Leaves(different), "leaves")
    assert text.count("\nmodule ") == 1 + different
    for n in range(4):
        assert f"leaf{n} (" in text, "every instance stays"
    for n in range(different):
        assert text.count(f"\\leaves.leaf{n}  ") == 4 // different


def test_memories_are_not_filled_with_zeros():
    """A memory that begins with zeros is declared without them."""
    text = emit(Leaves(1), "leaves")
    assert "reg [3:0] store [3:0];" in text
    assert "store[0] = " not in text


def test_a_port_named_as_the_module_is_refused():
    """A module with a port of its own name is a ValueError."""
    with pytest.raises(ValueError, match="'o' has a port of that name"):
        emit(Leaves(1), "o")
