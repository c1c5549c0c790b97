"""Verilog whose operands are as wide as lint wants them.

The language extends the narrower operand of a sum or a comparison by itself, as Amaranth means it,
and lint cannot know that it is meant. Here the extension is written out.
"""

import re
from typing import NamedTuple

NAME = r"(?:\\\S+ |[A-Za-z_][\w$]*)"
"""An identifier; an escaped one ends with a space."""
MODULE = re.compile(rf"^module {NAME}.*?^endmodule$", re.MULTILINE | re.DOTALL)
DECLARED = re.compile(rf"^  (?:input|output|wire|reg) (?:\[(-?\d+):0\] )?({NAME})")
ASSIGN = re.compile(r"^(  assign (.*?) = )(.*);$")
SIZED = re.compile(r"(\d+)'h(\w+)")
NAMED = re.compile(rf"({NAME})(?: ?\[(\d+)(?::(\d+))?\])?")
REPEATED = re.compile(r"\{ ?(\d+)\{")
OPERATOR = re.compile(r" *(==|!=|<=|>=|<<|>>|<|>|\+|-) *")
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
SHIFTS = ("<<", ">>")


class Term(NamedTuple):
    """An operand: its text up to `end`, its width, its highest bit, and whether it is signed."""

    end: int
    text: str
    width: int
    top: str
    signed: bool = False


def even_widths(text: str) -> str:
    """The same design with every operand of a sum or a comparison extended to the other's width."""
    return MODULE.sub(lambda found: _module(found[0]), text)


def _module(module: str) -> str:
    lines = module.split("\n")
    widths = {found[2]: int(found[1] or 0) + 1 for line in lines if (found := DECLARED.match(line))}
    return "\n".join(_line(line, widths) for line in lines)


def _line(line: str, widths: dict[str, int]) -> str:
    """A line, extended where it assigns a sum, a comparison or a shift of two plain operands."""
    found = ASSIGN.match(line)
    if found is None:
        return line
    begin, target, value = found.groups()
    first = _term(value, 0, widths)
    operator = first and OPERATOR.match(value, first.end)
    second = operator and _term(value, operator.end(), widths)
    result = _term(target, 0, widths)
    if not (first and operator and second and result) or second.end != len(value):
        return line
    sign = operator[1]
    width = first.width if sign in SHIFTS else max(first.width, second.width)
    if sign not in COMPARISONS and result.width > width + (sign not in SHIFTS):
        width = result.width  # a sum may be a bit longer than what is added
    left = _extended(first, width)
    right = second.text if sign in SHIFTS else _extended(second, width)
    if (left, right) == (first.text, second.text):
        return line
    return f"{begin}{left} {sign} {right};"


def _extended(term: Term, width: int) -> str:
    """The operand, `width` bits wide."""
    more = width - term.width
    if more <= 0:
        return term.text
    if found := SIZED.fullmatch(term.text):
        return f"{width}'h{found[2]}"
    if not term.signed:
        return f"{{ {more}'h0, {term.text} }}"
    inner = term.text.removeprefix("$signed(").removesuffix(")")
    return f"$signed({{ {{ {more}{{{term.top}}} }}, {inner} }})"


def _term(text: str, at: int, widths: dict[str, int]) -> Term | None:
    """The operand that begins at `at`, if it is one of those that are known."""
    if text.startswith("$signed(", at):
        inner = _term(text, at + len("$signed("), widths)
        if inner is None or not text.startswith(")", inner.end):
            return None
        return Term(inner.end + 1, text[at : inner.end + 1], inner.width, inner.top, True)
    if found := SIZED.match(text, at):
        return Term(found.end(), found[0], int(found[1]), "1'h0")
    if found := REPEATED.match(text, at):
        inner = _term(text, found.end(), widths)
        close = inner and re.compile(r" *\} *\}").match(text, inner.end)
        if not (inner and close):
            return None
        width = int(found[1]) * inner.width
        return Term(close.end(), text[at : close.end()], width, inner.top)
    if text.startswith("{", at):
        return _joined(text, at, widths)
    found = NAMED.match(text, at)
    if found is None or found[1] not in widths:
        return None
    name, high, low = found.groups()
    if high is None:
        width = widths[name]
        top = name if width == 1 else f"{name}[{width - 1}]"
        return Term(found.end(), found[0], width, top)
    width = 1 if low is None else int(high) - int(low) + 1
    return Term(found.end(), found[0], width, f"{name}[{high}]")


def _joined(text: str, at: int, widths: dict[str, int]) -> Term | None:
    """A concatenation."""
    place, parts = at + 1, []
    while True:
        place += len(text[place:]) - len(text[place:].lstrip(" "))
        if text.startswith("}", place):
            width = sum(part.width for part in parts)
            return Term(place + 1, text[at : place + 1], width, parts[0].top)
        part = _term(text, place + (text[place] == ","), widths) or _spaced(text, place, widths)
        if part is None:
            return None
        parts.append(part)
        place = part.end


def _spaced(text: str, at: int, widths: dict[str, int]) -> Term | None:
    """The operand after a comma and its space."""
    found = re.compile(r", *").match(text, at)
    return _term(text, found.end(), widths) if found else None
