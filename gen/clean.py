"""Verilog that lint has little to say about: what Amaranth's text says too much is left out, and
what it leaves to a reader's knowledge of the language is written."""

import re
from collections import Counter

from backspike.gen.widths import MODULE, NAME, even_widths

TOKEN = re.compile(rf"(?<![\w'$.\\]){NAME}")
"""An identifier that is no pin (`.pin(`) and no digit of a number (`4'hf`)."""
WIRE = re.compile(rf"^  wire (?:\[-?\d+:\d+\] )?({NAME}) ?;$")
ASSIGN = re.compile(rf"^  assign ({NAME})(?:\[[\d:]+\] ?)? ?= ")
NOT_ANY = re.compile(r"^(  assign .* = )! ", re.MULTILINE)
CASE = re.compile(r"^( *)(casez? |endcase|default:)", re.MULTILINE)


def clean(text: str) -> str:
    """The same design: without wires that nobody reads, every case with a default, operands of
    equal widths, and a reduction where a logical operator is given several bits."""
    text = MODULE.sub(lambda found: _used_wires(found[0]), text)
    return even_widths(_whole_cases(NOT_ANY.sub(r"\1~| ", text)))


def _used_wires(module: str) -> str:
    """The module without the wires that are assigned and nothing else, as long as there are any."""
    lines = module.split("\n")
    tokens = [TOKEN.findall(line) for line in lines]
    seen = Counter(token for line in tokens for token in line)
    declared: dict[str, int] = {}
    assigned: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if found := WIRE.match(line):
            declared[found[1]] = number
        elif found := ASSIGN.match(line):
            assigned.setdefault(found[1], []).append(number)

    def unread(name: str) -> bool:
        return name in declared and seen[name] == 1 + len(assigned.get(name, ()))

    dropped: set[int] = set()
    waiting = [name for name in declared if unread(name)]
    while waiting:
        name = waiting.pop()
        if name not in declared:
            continue
        gone = [declared.pop(name), *assigned.get(name, ())]
        dropped.update(gone)
        for number in gone:
            seen.subtract(tokens[number])
            waiting += [token for token in tokens[number] if unread(token)]
    for number in sorted(dropped):
        if lines[number - 1].startswith("  (* "):
            dropped.add(number - 1)  # what is said of the wire
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped)


def _whole_cases(text: str) -> str:
    """Every case with a default, which does nothing."""
    whole: list[bool] = []
    parts, at = [], 0
    for found in CASE.finditer(text):
        case = found[2]
        if case == "default:":
            whole[-1] = True
        elif case != "endcase":
            whole.append(False)
        elif not whole.pop():
            parts += [text[at : found.start()], f"{found[1]}  default: ;\n"]
            at = found.start()
    return "".join([*parts, text[at:]])


WAIVED = (
    ("DECLFILENAME", None, "one file holds every module"),
    ("PROCASSINIT", None, "a register starts at its initial value, as an FPGA loads it"),
    ("UNUSEDSIGNAL", None, "a signal may have bits, and a module a reset, that it does not use"),
    ("WIDTHTRUNC", "*SHIFTR generates*", "one bit is chosen by a shift"),
    ("CMPCONST", None, "on a small machine a comparison may always have the same result"),
)
"""Verilator's rules that a cleaned text breaks, which messages of theirs, and why."""


def waivers(name: str) -> str:
    """Verilator's configuration under which module `name`, in a file of that name, is lint clean:
    `verilator --lint-only -Wall NAME.vlt NAME.v`."""
    lines = ["`verilator_config"]
    for rule, match, why in WAIVED:
        which = f' -match "{match}"' if match else ""
        lines += [f"// {why}", f'lint_off -rule {rule} -file "*{name}.v"{which}']
    return "\n".join(lines) + "\n"
