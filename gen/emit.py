"""Emission: a component as Verilog text, the same text every time, each module once."""

import re

from amaranth.back import verilog
from amaranth.lib import wiring

ZEROS = re.compile(r"^  initial begin\n(?:    \S+\[\d+\] = \d+'h0+;\n)+  end\n", re.MULTILINE)
"""A memory set to zero, a line a word: block RAM starts so, and iCE40's large RAM cannot."""
TICKET = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
"""A register by which Yosys makes simulators run its processes once, numbered through the text."""
INTERNAL = re.compile(r"^ *\(\* (?:generator|top|src|\\amaranth\.\w+) = .*\*\)\n", re.MULTILINE)
"""Notes of Amaranth to itself."""
MODULE = re.compile(r"^module (\S+?) ?\(", re.MULTILINE)
INSTANCE = re.compile(r"^  (\\\S+) +(\\?\S+) +\($", re.MULTILINE)


def emit(component: wiring.Component, name: str) -> str:
    """Verilog of `component` as a module `name`, its ports flattened (`axi.awaddr`: `axi__awaddr`).

    The text depends on nothing but the component's parameters and the pinned Amaranth and Yosys:
    it names no source file, no path, no date. Equal modules are written once.
    Raises ValueError if a port is named as the module, which Verilator refuses.
    """
    for path, _, _ in component.signature.flatten(component):
        port = "__".join(map(str, path))
        if port == name:
            raise ValueError(f"module {name!r} has a port of that name: another name is needed")
    return tidy(verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True))


def tidy(text: str) -> str:
    """Amaranth's Verilog as it is to be: each module once, nothing that is of no use to others."""
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    text = TICKET.sub(r"\\$initially ", ZEROS.sub("", INTERNAL.sub("", text)))
    return _each_once(text).rstrip() + "\n"


def _each_once(text: str) -> str:
    """Amaranth writes a module for each instance; keep one of those that are equal.

    A module is compared when the modules that it instantiates have been, so the comparison is of
    whole subtrees; of equal ones the first name in the text stays.
    """
    starts = [match.start() for match in MODULE.finditer(text)]
    if not starts:
        return text
    head, pieces = text[: starts[0]], []
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        pieces.append(text[begin:end].rstrip() + "\n\n")
    bodies = {MODULE.match(piece).group(1): piece for piece in pieces}  # pyright: ignore
    kept: dict[str, str] = {}  # a module's name: the name that stays
    first: dict[str, str] = {}  # a body: the name of the first module with it
    final: dict[str, str] = {}

    def settle(name: str) -> str:
        """The name that stays for this module."""
        if name not in kept:
            body = INSTANCE.sub(
                lambda found: (
                    f"  {settle(found.group(1))}  {found.group(2)} ("
                    if found.group(1) in bodies
                    else found.group(0)
                ),
                bodies[name],
            )
            anonymous = body.replace(f"module {name}", "module", 1)
            kept[name] = first.setdefault(anonymous, name)
            if kept[name] == name:
                final[name] = body
        return kept[name]

    for name in bodies:
        settle(name)
    return head + "".join(final[name] for name in bodies if name in final)
