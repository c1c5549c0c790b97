"""The spectral unit's register map: hardware, driver and documentation are made from it."""

from backspike.gen.host.registers import Access, Field, Register, RegisterMap, Window
from backspike.gen.spectral.control import Content, Fault
from backspike.gen.spectral.layout import LOG, MAX_PASSES
from backspike.gen.spectral.machine import SMALLEST, SpectralMachine
from backspike.gen.spectral.store import SAMPLE_WORDS
from backspike.gen.spectral.sums_window import SUM_WORDS, SUMS
from backspike.ir.spectral_constants import GUARD, MANTISSA

IDENT = 0x424B_4654
"""'BKFT'."""
VERSION = 1

FAULT_TEXT = {
    Fault.NONE: "no fault",
    Fault.SIZE: "a height or a width is less than 8 or more than the machine's size",
    Fault.PAIR_BACK: "a pair has no inverse transform",
    Fault.PAIR_CONTINUES: "a pair is of pixels: it cannot continue on a result",
    Fault.EMPTY: "no samples were written since the reset or the last run",
    Fault.RESULT: "there is no result to continue on: none since the reset, or samples were "
    "written since, or the last run was of a pair",
    Fault.RESIZED: "the result to continue on has another height or width",
    Fault.PASSES: f"more than {MAX_PASSES} passes would follow each other",
}
"""A sentence for each fault: what a run is refused for."""
CONTENT_TEXT = {
    Content.NOTHING: "nothing of use",
    Content.SAMPLES: "samples that the host wrote",
    Content.RESULT: "a result",
}


def spectral_map(machine: SpectralMachine) -> RegisterMap:
    """Registers and windows of that machine's spectral unit."""

    def register(name: str, offset: int, access: Access, doc: str, **more) -> Register:
        return Register(name=name, offset=offset, access=access, doc=doc, **more)

    def named(texts: dict) -> str:
        return "; ".join(f"{key.value} {text}" for key, text in texts.items())

    registers = [
        register("ident", 0x00, "ro", f"{IDENT:#x}, 'BKFT'"),
        register("version", 0x04, "ro", f"version of this map: {VERSION}"),
        register(
            "machine", 0x08, "ro", "sizes of the machine",
            fields=(
                Field("log_size", 0, LOG, "log2 of the largest height and width"),
                Field("pixel_bits", 8, 5, "bits of a pixel"),
                Field("mantissa", 16, 5, f"bits of a sample's parts: {MANTISSA}"),
                Field("guard", 24, 3, f"a pass's result is in units of 2^-{GUARD}"),
            ),
        ),
        register(
            "status", 0x0C, "ro", "what the unit does and found",
            fields=(
                Field("running", 0, 1, "a run is under way"),
                Field("transforming", 1, 1, "its passes are"),
                Field("analysing", 2, 1, "its spectral sums are"),
                Field("fault", 4, 3, f"why the last start was refused: {named(FAULT_TEXT)}"),
                Field("content", 8, 2, f"what the samples are: {named(CONTENT_TEXT)}"),
                Field("passes", 12, 3, "passes done since the samples were written"),
            ),
        ),
        register(
            "start", 0x10, "wo", "doorbell: transform the samples, rows, then columns",
            locked=True,
            fields=(
                Field("pair", 0, 1, "two images, image + j reference: their sums instead of the "
                      "transform"),
                Field("back", 1, 1, "height * width times the inverse transform"),
                Field("continues", 2, 1, "of the last result instead of the host's samples"),
            ),
        ),
        register(
            "size", 0x14, "rw", f"size of what is transformed, {SMALLEST} to {machine.size} either "
            "way", locked=True,
            fields=(
                Field("log_height", 0, LOG, "log2 of the rows"),
                Field("log_width", 8, LOG, "log2 of the columns"),
            ),
        ),
        register("cycles", 0x18, "ro", "cycles of the last run"),
    ]  # fmt: skip
    return RegisterMap(
        title="The spectral unit's registers",
        doc="Samples are complex block floating point: (re + j im) 2^exponent, in units of "
        f"2^-({GUARD} passes) of what the host wrote. Sums are of the last run of a pair; pixel "
        "sums are in units of a sample, spectral sums as `golden/spectral.py` says. Row and column "
        f"of a sample or a pixel: address row * {machine.size} + column in the window, whatever "
        "the size of what is transformed.",
        registers=tuple(registers),
        windows=(
            Window(
                name="sums", base=0x80, words=SUM_WORDS * len(SUMS), access="ro", locked=True,
                doc=f"{SUM_WORDS} words each, two's complement, lowest first: "
                + "; ".join(f"{name}, {doc}" for name, doc in SUMS.items()),
            ),
            Window(
                name="pixels", base=0x20_0000, words=machine.points, access="wo", locked=True,
                doc=f"a pixel of the image (bits 15 to 0) and of the reference (31 to 16), up to "
                f"{(1 << machine.pixel_bits) - 1}: written as a sample each, less mid-scale, times "
                f"{1 << MANTISSA - machine.pixel_bits}; a larger one is refused",
            ),
            Window(
                name="samples", base=0x40_0000, words=SAMPLE_WORDS * machine.points, access="rw",
                locked=True,
                doc=f"re, then im: mantissas, {MANTISSA} bits with the sign extended to 24, and "
                "the exponent of both in bits 31 to 24; a write whose mantissa is larger or whose "
                "exponent is not 0 is refused; one sets the exponent of both to 0",
            ),
        ),
    )  # fmt: skip
