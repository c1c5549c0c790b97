"""The training core's register map: hardware, driver and documentation are made from it."""

from backspike.gen.core.control.counters import COUNTERS, WINDOW_WORDS, WORDS
from backspike.gen.core.faults import FAULT_TEXT
from backspike.gen.core.layout import (
    BLOCK_BITS,
    DESCRIPTOR_WORDS,
    HALF_BITS,
    POSITION_BITS,
    RECORD_WORDS,
    STEPS_BITS,
    TASK_BITS,
    descriptor_words,
    window_bits,
)
from backspike.gen.core.shared.window import TABLE_BITS
from backspike.gen.host.registers import Access, Field, Register, RegisterMap, Window
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.window import words_of
from backspike.ir.constants import ENGINES

IDENT = 0x424B_5350
"""'BKSP'."""
VERSION = 4
SIZES = {
    "spike_units": "tiles of spikes of a batch",
    "readout_units": "tiles of the read-out layer",
    "tasks": "tasks of a queue",
    "states": "tiles of what neurons keep",
}
"""A machine's memories whose sizes are powers of two."""
ANY_SIZES = {
    "weight_rows": "rows of P weights",
    "units": "tiles of codes",
    "gradient_units": "tiles of gradients",
}
"""Those of any size."""
OPTIONS = {
    "momentum": (0, 1),
    "parts": (1, 1),
    "windows": (8, 4),
    "scale_down": (16, 5),
    "scale_up": (24, 4),
}
"""First bit and bits of what a machine may have besides; of windows the log2 of their number."""


def options_of(word: int) -> dict[str, int]:
    """Of register `options`, also those that a machine's map leaves out as it lacks them."""
    return {name: word >> bit & (1 << bits) - 1 for name, (bit, bits) in OPTIONS.items()}


def option(machine: Machine, name: str) -> int:
    """What register `options` says."""
    return window_bits(machine) if name == "windows" else getattr(machine, name)


WINDOW_BYTES = 1 << 20
"""Bytes between the bases of two windows: the largest memory of the largest machine."""


def _register(name: str, offset: int, access: Access, doc: str, **more) -> Register:
    return Register(name=name, offset=offset, access=access, doc=doc, **more)


def _status_registers() -> list[Register]:
    """What the core is and does, and the doorbells."""
    faults = "; ".join(f"{fault.value} {text}" for fault, text in FAULT_TEXT.items())
    return [
        _register("ident", 0x00, "ro", f"{IDENT:#x}, 'BKSP'"),
        _register("version", 0x04, "ro", f"version of this map: {VERSION}"),
        _register(
            "machine", 0x08, "ro", "sizes of the machine",
            fields=(
                Field("lanes", 0, 8, "lanes of an engine"),
                Field("fp_reuse", 8, 4, "lanes that a drain unit of engine fp serves"),
                Field("bp_reuse", 12, 4, "likewise of bp"),
                Field("wg_reuse", 16, 4, "likewise of wg"),
                Field("layers", 20, 6, "layers at the most"),
                Field("depth", 26, 6, "entries of an accumulator file"),
            ),
        ),
        _register(
            "status", 0x0C, "ro", "what the core does and found",
            fields=(
                Field("running", 0, 1, "a run, or its dry run, is under way"),
                Field("saturated", 1, 1, "a rounding has saturated since `clear`"),
                Field("fault", 4, 4, f"why the last start was refused: {faults}"),
                Field("fault_engine", 8, 2, "whose queue has the fault: 0 fp, 1 bp, 2 wg"),
                Field("fault_task", 16, POSITION_BITS, "the task's position in its queue"),
            ),
        ),
        _register("start", 0x10, "wo", "doorbell: check the queues in a dry run, then run them",
                  width=1, locked=True),
        _register("clear", 0x14, "wo", "clear `saturated`", width=1, locked=True),
    ]  # fmt: skip


def _run_registers(machine: Machine) -> list[Register]:
    """What the next run works on."""
    parts = (
        Field("take", 17, 1, "partial sums are added to those of weight gradients"),
        Field("keep", 18, 1, "these become the partial sums, and no weight is updated"),
    )
    extents = [
        _register(
            f"extent{n}", 0x20 + 4 * n, "rw", f"samples present in batch {n}", locked=True,
            fields=(
                Field("full", 0, BLOCK_BITS, "sets that are full"),
                Field("partial", 16, DEPTH, "entries (step x samples + sample) that are present "
                      "in the set after these, if its span is full"),
            ),
        )
        for n in range(2)
    ]  # fmt: skip
    queues = [
        _register(
            f"queue_{name}", 0x28 + 4 * n, "rw", f"tasks of engine {name} to run", locked=True,
            fields=(
                Field("begin", 0, POSITION_BITS, "first task"),
                Field("end", 16, POSITION_BITS, "task after the last"),
            ),
        )
        for n, name in enumerate(ENGINES)
    ]  # fmt: skip
    return [
        _register(
            "batch", 0x18, "rw", "how a batch is cut into sets of samples", locked=True,
            fields=(
                Field("samples", 0, STEPS_BITS, "samples of a set"),
                Field("sets", 16, BLOCK_BITS, "sets of a batch"),
            ),
        ),
        _register(
            "time", 0x34, "rw", "how its steps are cut into spans; a block is a set in a span, "
            "number set x spans + span", locked=True,
            fields=(
                Field("steps", 0, STEPS_BITS,
                      f"steps of a span; steps x samples is at most {DEPTH}"),
                Field("last_steps", 8, STEPS_BITS, "steps of the last span, at most `steps`"),
                Field("spans", 16, BLOCK_BITS, "spans"),
            ),
        ),
        _register(
            "buffer", 0x1C, "rw", "which of two batches the engines work on", locked=True,
            fields=(
                Field("forward", 0, 1, "the feed-forward engine's batch"),
                Field("backward", 8, 1, "the two other engines' batch"),
                Field("carry", 16, 1, "what neurons keep goes on from the batch before"),
                *(parts if machine.parts else ()),
            ),
        ),
        *extents,
        *queues,
    ]  # fmt: skip


def _size_registers(machine: Machine) -> list[Register]:
    fields = (Field(name, 6 * n, 5, doc) for n, (name, doc) in enumerate(SIZES.items()))
    doc = "sizes of the machine's memories, each as its log2"
    told = {
        "momentum": "there is a memory of moments",
        **({"parts": "there is a memory of partial sums"} if machine.parts else {}),
        **({"windows": "log2 of the rows of the table of windows"} if machine.windows else {}),
        **({"scale_down": "places that weights may be shifted down"} if machine.scale_down else {}),
        **({"scale_up": "places that weights may be shifted up"} if machine.scale_up else {}),
    }
    options = [Field(name, *OPTIONS[name], doc) for name, doc in told.items()]
    return [
        _register("sizes", 0x40, "ro", doc, fields=tuple(fields)),
        *(_register(name, 0x44 + 4 * n, "ro", doc) for n, (name, doc) in enumerate(
            ANY_SIZES.items())),
        _register("options", 0x50, "ro", "what else the machine has",
                  fields=tuple(options)),
    ]  # fmt: skip


def _counter_window() -> Window:
    doc = (
        "of the last run, its dry run not counted: "
        + "; ".join(f"word {8 * n} on, {name}" for n, name in enumerate(ENGINES))
        + f", each {', '.join(f'{name} ({doc})' for name, doc in COUNTERS.items())}; word "
        f"{WORDS['cycles']}, cycles; word {WORDS['overlap']}, cycles in which an engine was busy"
    )
    return Window(name="counters", base=0x80, words=WINDOW_WORDS, access="ro", doc=doc, locked=True)


def _memory_windows(machine: Machine) -> list[Window]:
    """A window on each memory, WINDOW_BYTES apart."""
    lanes = machine.lanes
    layers, tasks = descriptor_words(machine), machine.tasks * words_of(TASK_BITS)
    row = words_of(lanes * HALF_BITS)
    windows: list[tuple[str, int, Access, str]] = [
        ("weights", machine.weight_rows * row, "rw",
         "halves; blocks of P sources by P neurons, a row for each source; block (k / P, j / P) "
         "of a layer is its first one + (j / P) * source_tiles + k / P, source k is row k mod P of "
         "it, and neuron j lies in bank (k + j) mod P; two banks a word"),
        ("spikes", 2 * machine.spike_units * words_of(lanes * DEPTH), "rw",
         "tiles of P sources by 16 entries, a bit each, entries of a source side by side; the "
         "upper half belongs to batch 1"),
        ("codes", machine.units * DEPTH * words_of(lanes * 8), "ro",
         "a byte a lane: surrogate code (4 bits), spike (bit 4); rows of P neurons, by entry"),
        ("gradients", machine.gradients * DEPTH * row, "rw",
         "halves; rows of P neurons, by entry"),
        ("masks", machine.gradients * words_of(lanes * DEPTH), "rw",
         "tiles of P neurons by 16 entries, a bit each: that a gradient is not zero"),
        ("logits", machine.readout_units * DEPTH * row, "rw",
         "halves; rows of P neurons, by set and sample; a host-supplied error is written "
         "in their place"),
        ("labels", 2 * machine.readout_units * DEPTH, "wo",
         "class of set * 16 + sample; the upper half belongs to batch 1"),
        *((("moments", machine.weight_rows * row, "rw", "halves; rows as those of the weights, but "
            "neuron j lies in lane j"),) if machine.momentum else ()),
        *((("windows", machine.windows * words_of(TABLE_BITS), "rw",
            "the table of windows: rows of 64 bits, see gen/core/shared/window.py"),)
          if machine.windows else ()),
        *((f"layers_{name}", layers, "rw", f"layer descriptors of engine {name}, "
           f"{DESCRIPTOR_WORDS} words each; from word {machine.layers * DESCRIPTOR_WORDS} on "
           f"records of connections, {RECORD_WORDS} each") for name in ENGINES),
        *((f"tasks_{name}", tasks, "rw", f"queue of engine {name}") for name in ENGINES),
    ]  # fmt: skip
    return [
        Window(name=name, base=n * WINDOW_BYTES, words=words, access=access, doc=doc, locked=True)
        for n, (name, words, access, doc) in enumerate(windows, 1)
    ]


def core_map(machine: Machine) -> RegisterMap:
    """Registers and windows of that machine's core."""
    return RegisterMap(
        title="The training core's registers",
        doc="Halves are IEEE binary16, always finite, zero always +0; a write of anything else "
        "into a window of halves is refused.",
        registers=(*_status_registers(), *_run_registers(machine), *_size_registers(machine)),
        windows=(_counter_window(), *_memory_windows(machine)),
    )
