"""Emission: a component as Verilog text, the same text every time."""

from amaranth.back import verilog
from amaranth.lib import wiring


def emit(component: wiring.Component, name: str) -> str:
    """Verilog of `component` as a module `name`, its ports flattened (`axi.awaddr`: `axi__awaddr`).

    The text depends on nothing but the component's parameters and the pinned Amaranth and Yosys:
    it names no source file, no path, no date.
    Raises ValueError if a port is named as the module, which Verilator refuses.
    """
    for path, _, _ in component.signature.flatten(component):
        port = "__".join(map(str, path))
        if port == name:
            raise ValueError(f"module {name!r} has a port of that name: another name is needed")
    text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(lines).rstrip() + "\n"
