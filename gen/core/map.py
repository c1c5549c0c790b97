"""The training core's register map: hardware, driver and documentation are made from it."""

from backspike.gen.core.control.counters import COUNTERS, WINDOW_WORDS, WORDS
from backspike.gen.core.control.dispatch import Fault
from backspike.gen.core.layout import DESCRIPTOR_WORDS, ENGINES
from backspike.gen.host.registers import Access, Field, Register, RegisterMap, Window
from backspike.gen.machine import DEPTH, Machine
from backspike.gen.memory.window import words_of

IDENT = 0x424B_5350
"""'BKSP'."""
VERSION = 2
SIZES = {
    "weight_rows": "row tiles of weights",
    "units": "tiles of codes and gradients",
    "spike_units": "tiles of spikes of a batch",
    "readout_units": "tiles of the read-out layer",
    "tasks": "tasks of a queue",
}
"""A machine's memories."""

FAULT_TEXT = {
    Fault.NONE: "no fault",
    Fault.BATCH: "steps x samples of a block is not within 1 to 16, or there are no blocks",
    Fault.QUEUE: "a queue's range of tasks is empty backwards or beyond the task memory",
    Fault.LAYER: "a task names a layer that the machine does not have",
    Fault.TILE: "a task names a tile beyond its layer",
    Fault.UNITS: "a layer has no tiles to read, or its tiles do not fit the spike, gradient or "
    "read-out memory",
    Fault.WEIGHTS: "a layer's weights do not fit the weight memory",
    Fault.DEADLOCK: "tasks wait for each other without end",
}
"""A sentence for each fault: what a run is refused for."""


def core_map(machine: Machine) -> RegisterMap:
    """Registers and windows of that machine's core."""

    def register(name: str, offset: int, access: Access, doc: str, **more) -> Register:
        return Register(name=name, offset=offset, access=access, doc=doc, **more)

    registers = [
        register("ident", 0x00, "ro", f"{IDENT:#x}, 'BKSP'"),
        register("version", 0x04, "ro", f"version of this map: {VERSION}"),
        register(
            "machine", 0x08, "ro", "sizes of the machine",
            fields=(
                Field("lanes", 0, 8, "lanes of an engine"),
                Field("fp_share", 8, 4, "lanes that a drain unit of engine fp serves"),
                Field("bp_share", 12, 4, "likewise of bp"),
                Field("wg_share", 16, 4, "likewise of wg"),
                Field("layers", 20, 6, "layers at the most"),
                Field("depth", 26, 6, "entries of an accumulator file"),
            ),
        ),
        register(
            "status", 0x0C, "ro", "what the core does and found",
            fields=(
                Field("running", 0, 1, "a run, or its rehearsal, is under way"),
                Field("saturated", 1, 1, "a rounding has saturated since `clear`"),
                Field("fault", 4, 4, "why the last start was refused: "
                      + "; ".join(f"{f.value} {text}" for f, text in FAULT_TEXT.items())),
                Field("fault_engine", 8, 2, "whose queue has the fault: 0 fp, 1 bp, 2 wg"),
                Field("fault_task", 16, 11, "the task's position in its queue"),
            ),
        ),
        register("start", 0x10, "wo", "doorbell: rehearse and run the queues", width=1,
                 locked=True),
        register("clear", 0x14, "wo", "clear `saturated`", width=1, locked=True),
        register(
            "batch", 0x18, "rw", "how a batch is cut into blocks", locked=True,
            fields=(
                Field("steps", 0, 5, "time steps T"),
                Field("samples", 8, 5, f"samples a block; steps x samples is at most {DEPTH}"),
                Field("blocks", 16, 10, "blocks of a batch"),
            ),
        ),
        register(
            "parity", 0x1C, "rw", "which of two batches the engines work on", locked=True,
            fields=(
                Field("forward", 0, 1, "the feed-forward engine's batch"),
                Field("backward", 8, 1, "the two other engines' batch"),
            ),
        ),
        *(
            register(
                f"extent{n}", 0x20 + 4 * n, "rw", f"samples present in batch {n}", locked=True,
                fields=(
                    Field("full", 0, 10, "blocks that are full"),
                    Field("partial", 16, DEPTH, "entries (step x samples + sample) that are "
                          "present in the block after these"),
                ),
            )
            for n in range(2)
        ),
        *(
            register(
                f"queue_{name}", 0x28 + 4 * n, "rw", f"tasks of engine {name} to run", locked=True,
                fields=(
                    Field("begin", 0, 11, "first task"),
                    Field("end", 16, 11, "task after the last"),
                ),
            )
            for n, name in enumerate(ENGINES)
        ),
        register(
            "sizes", 0x40, "ro", "sizes of the machine's memories, each as its log2",
            fields=tuple(
                Field(name, 6 * n, 5, doc) for n, (name, doc) in enumerate(SIZES.items())
            ),
        ),
    ]  # fmt: skip
    lanes = machine.lanes
    layers, tasks = machine.layers * DESCRIPTOR_WORDS, machine.tasks
    row = words_of(lanes * 16)
    windows = [
        ("weights", machine.weight_rows * row, "rw",
         "halves; source k and neuron j of a layer in row (first + k * tiles + j / P), bank "
         "(k + j) mod P; two banks a word"),
        ("spikes", 2 * machine.spike_units * words_of(lanes * DEPTH), "rw",
         "tiles of P sources by 16 entries, a bit each, entries of a source side by side; the "
         "upper half belongs to batch 1"),
        ("codes", machine.units * DEPTH * words_of(lanes * 8), "ro",
         "a byte a lane: surrogate code (4 bits), spike (bit 4); rows of P neurons, by entry"),
        ("gradients", machine.units * DEPTH * row, "ro",
         "halves; rows of P neurons, by entry"),
        ("logits", machine.readout_units * DEPTH * row, "rw",
         "halves; rows of P neurons, by sample of the block; a host-supplied error is written "
         "in their place"),
        ("labels", 2 * machine.readout_units * DEPTH, "wo",
         "class of block * 16 + sample; the upper half belongs to batch 1"),
        *((f"layers_{name}", layers, "rw", f"layer descriptors of engine {name}")
          for name in ENGINES),
        *((f"tasks_{name}", tasks, "rw", f"queue of engine {name}") for name in ENGINES),
    ]  # fmt: skip
    counters = (
        "of the last run, its rehearsal not counted: "
        + "; ".join(f"word {8 * n} on, {name}" for n, name in enumerate(ENGINES))
        + f", each {', '.join(f'{name} ({doc})' for name, doc in COUNTERS.items())}; word "
        f"{WORDS['cycles']}, cycles; word {WORDS['overlap']}, cycles in which an engine was busy"
    )
    return RegisterMap(
        title="The training core's registers",
        doc="Halves are IEEE binary16, always finite, zero always +0; a write of anything else "
        "into a window of halves is refused.",
        registers=tuple(registers),
        windows=(
            Window(
                name="counters",
                base=0x80,
                words=WINDOW_WORDS,
                access="ro",
                doc=counters,
                locked=True,
            ),
            *(
                Window(
                    name=name, base=(n + 1) << 20, words=words, access=access, doc=doc, locked=True
                )
                for n, (name, words, access, doc) in enumerate(windows)
            ),
        ),
    )
