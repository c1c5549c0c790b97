"""The page of the core's registers."""

from collections.abc import Iterable

from backspike.gen.core.engines import KINDS, Field
from backspike.gen.core.layout import DESCRIPTOR_WORDS, RECORD_WORDS, TASK, TASK_BITS, WORD_BITS
from backspike.gen.core.map import core_map
from backspike.gen.host.register_page import markdown
from backspike.gen.machine import Machine
from backspike.ir.constants import ENGINES

TASK_FIELDS = {
    **{
        f"wait_{name}": f"tasks that engine {name} must have completed in this run"
        for name in ENGINES
    },
    "layer": "the layer, of which the engine has a descriptor",
    "tile": "the tile of its neurons",
    "place": "where its neurons keep what goes on, in the batch's first set",
    "keep": "each set has a place of its own: the first one's + the set",
    "step": "work on one span only, that of the loop",
    "loop": "the first task of a loop; it begins when the engine has completed all before it",
    "again": "the last task of a loop: the loop's first comes next, one span on, up to the last",
    "fence": "begin when the engine has completed all before it",
}
"""What the fields of a task are; `unused` has no meaning."""
TASKS_TEXT = f"""\
A task has {TASK_BITS // WORD_BITS} words, the lower one first. Bits that are not named are ignored.
Tasks of a loop are issued once for each span, and count as completed in the last one."""


def _bits(first: int, width: int) -> str:
    return str(first) if width == 1 else f"{first} to {first + width - 1}"


def _task_table() -> list[str]:
    lines = ["| bits | name | what it is |", "| --- | --- | --- |"]
    for name, doc in TASK_FIELDS.items():
        field = TASK[name]
        lines.append(f"| {_bits(field.offset, field.width)} | `{name}` | {doc} |")
    return lines


def _field_table(fields: Iterable[Field]) -> list[str]:
    return [
        "| word | name | bits | what it is |",
        "| --- | --- | --- | --- |",
        *(f"| {field.word} | `{field.name}` | {field.width} | {field.doc} |" for field in fields),
        "",
    ]


def registers_page(machine: Machine) -> str:
    """The core's register map with what its windows of tasks and descriptors hold."""
    parts = [markdown(core_map(machine)).rstrip(), "", "## Tasks", "", TASKS_TEXT, ""]
    parts += [*_task_table(), ""]
    for name in ENGINES:
        kind = KINDS[name].on(machine)
        parts += [f"## Descriptors of engine {name}", "", *_field_table(kind.fields.values())]
        if not kind.record_fields:
            continue
        first = machine.layers * DESCRIPTOR_WORDS
        parts += [
            "### Records of its connections", "",
            f"Record n begins at word {first} + {RECORD_WORDS} n of the window.", "",
            *_field_table(kind.record_fields.values()),
        ]  # fmt: skip
    return "\n".join(parts)
