"""The page of the core's registers."""

from backspike.gen.core.engines import KINDS
from backspike.gen.core.map import core_map
from backspike.gen.host.register_page import markdown
from backspike.gen.machine import Machine
from backspike.ir.constants import ENGINES

TASK_WORDS = """\
A task is a word: the layer (bits 0 to 3), the tile (4 to 11), and how many tasks the two other
engines must have completed in this run, in the order fp, bp, wg without the engine itself (12 to
21 and 22 to 31).
"""


def registers_page(machine: Machine) -> str:
    """The core's register map with what its windows of tasks and descriptors hold."""
    parts = [markdown(core_map(machine)).rstrip(), "", "## Tasks", "", TASK_WORDS.rstrip(), ""]
    for name in ENGINES:
        parts += [f"## Descriptors of engine {name}", "", "| word | name | bits | what it is |"]
        parts += ["| --- | --- | --- | --- |"]
        parts += [
            f"| {field.word} | `{field.name}` | {field.width} | {field.doc} |"
            for field in KINDS[name].fields.values()
        ]
        parts += [""]
    return "\n".join(parts)
