"""The register map's documentation page."""

from backspike.gen.host.registers import ACCESS, BYTES, Register, RegisterMap, Window


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _access(entry: Register | Window) -> str:
    return ACCESS[entry.access] + (" when idle" if entry.locked else "")


def markdown(registers: RegisterMap) -> str:
    """The page as Markdown, in the order of addresses. It ends in a newline."""
    digits = (registers.addr_width + 3) // 4

    def address(value: int) -> str:
        return f"`0x{value:0{digits}x}`"

    ordered = sorted(registers.registers, key=lambda register: register.offset)
    parts = [
        f"# {registers.title}\n",
        registers.doc + "\n",
        "Addresses are in bytes. Words have 32 bits and are accessed whole. An access to an "
        "address that is not listed, a read of what can only be written, a write of what can only "
        "be read, and a write that sets a bit which the register does not use are refused: "
        "SLVERR, without any effect. So is, while the core works, a write to a register and any "
        "access to a window marked *when idle*.\n",
        "## Registers\n",
        _table(
            ("address", "name", "access", "after reset", "what it is"),
            [
                (
                    address(r.offset),
                    f"`{r.name}`",
                    _access(r),
                    f"`{r.reset:#x}`" if r.access == "rw" else "–",
                    r.doc,
                )
                for r in ordered
            ],
        ),
    ]
    for register in ordered:
        if register.fields:
            parts += [f"### {register.name}\n", _fields(register)]
    if registers.windows:
        parts += [
            "## Windows\n",
            _table(
                ("from", "to", "name", "access", "words", "what it is"),
                [
                    (
                        address(w.base),
                        address(w.base + w.words * BYTES - 1),
                        f"`{w.name}`",
                        _access(w),
                        str(w.words),
                        w.doc,
                    )
                    for w in sorted(registers.windows, key=lambda window: window.base)
                ],
            ),
        ]
    return "\n".join(parts)


def _fields(register: Register) -> str:
    def bits(lsb: int, width: int) -> str:
        return str(lsb) if width == 1 else f"{lsb + width - 1}:{lsb}"

    return _table(
        ("bits", "field", "what it is"),
        [
            (bits(f.lsb, f.width), f"`{f.name}`", f.doc)
            for f in sorted(register.fields, key=lambda field: field.lsb)
        ],
    )
