"""ECP5's carry cells take over the gates before them, which Yosys leaves outside.

A carry cell has a LUT4 for each of its two bits. Yosys adds with two of the LUT's four inputs, so a
gate of two inputs in front of an operand (what is added or zero, say) takes a LUT4 of its own, and
a way to it.
"""

from collections import Counter
from itertools import product

CARRY, LUT = "CCU2C", "LUT4"
PINS = ("A", "B", "C", "D")
HALVES = ("0", "1")
"""The bits of a carry cell, by the ends of their pins' names."""
Bit = int | str
"""A net's number; or "0", "1" or "x", a constant."""


def absorb_logic(module: dict) -> int:
    """Moves LUT4s of up to two inputs into the carry cells that alone read them, and says how many.

    module: of a flattened netlist in Yosys' JSON; it is changed.

    A bit of a carry cell is S = L ^ CIN and COUT = CIN if L, else G. L is the LUT4 of its four
    inputs; G is its lowest quarter, that of C = D = 0, and sees A and B alone. Cells whose D is 1
    and whose C is constant have an input to spare: with a gate of x and y before one operand,
    that one's place is taken by x, and C is y. G must not depend on y where it counts.
    """
    cells = module["cells"]
    readers = count_readers(module)
    drivers = {
        bits[0]: name
        for name, cell in cells.items()
        if cell["type"] == LUT
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
    }
    moved = 0
    for cell in [cell for cell in cells.values() if cell["type"] == CARRY]:
        for half in HALVES:
            for operand in ("B", "A"):
                bit = cell["connections"][operand + half][0]
                if readers[bit] == 1 and bit in drivers:
                    gate = cells[drivers[bit]]
                    if _absorb(cell, half, operand, gate):
                        del cells[drivers[bit]]
                        moved += 1
                        break
    return moved


def _absorb(cell: dict, half: str, operand: str, gate: dict) -> bool:
    """Whether the gate before an operand was put into a bit of a carry cell."""
    pins = [cell["connections"][pin + half][0] for pin in PINS]
    if pins[3] != "1" or pins[2] not in ("0", "1"):
        return False
    if cell["parameters"][f"INJECT1_{half}"].strip() != "NO":
        return False
    inputs = _inputs(gate)
    if len(inputs) > 2:
        return False
    first, second = [*inputs, "0", "0"][:2]
    other = pins["BA".index(operand)]
    old = int(cell["parameters"][f"INIT{half}"], 2)
    spare = int(pins[2])
    upper = 0
    generates: dict[int, int] = {}  # G by (other, x), where it counts
    for o, x, y in product((0, 1), repeat=3):
        value = _value(gate, {first: x, second: y})
        a, b = (value, o) if operand == "A" else (o, value)
        propagates = old >> (a | b << 1 | spare << 2 | 8) & 1
        upper |= propagates << (o | x << 1 | y << 2)
        if not propagates:
            g = old >> (a | b << 1) & 1
            if generates.setdefault(o | x << 1, g) != g:
                return False
    lower = sum(g << place for place, g in generates.items())
    cell["parameters"][f"INIT{half}"] = f"{upper << 8 | lower << 4 | lower:016b}"
    for pin, bit in zip("ABC", (other, first, second), strict=True):
        cell["connections"][pin + half] = [bit]
    return True


def _value(gate: dict, values: dict[Bit, int]) -> int:
    """What a LUT4 puts out, with the values of its nets."""
    place = 0
    for n, pin in enumerate(PINS):
        bit = gate["connections"][pin][0]
        place |= (values.get(bit, 0) if isinstance(bit, int) else int(bit == "1")) << n
    return int(gate["parameters"]["INIT"], 2) >> place & 1


def _inputs(gate: dict) -> list[Bit]:
    """The nets that a LUT4 depends on."""
    bits = [gate["connections"][pin][0] for pin in PINS]
    nets = list(dict.fromkeys(bit for bit in bits if isinstance(bit, int)))

    def matters(net: Bit) -> bool:
        others = [other for other in nets if other != net]
        return any(
            _value(gate, settings | {net: 0}) != _value(gate, settings | {net: 1})
            for values in product((0, 1), repeat=len(others))
            for settings in [dict(zip(others, values, strict=True))]
        )

    return [net for net in nets if matters(net)]


def count_readers(module: dict) -> Counter[Bit]:
    """How many inputs of cells, and ports, read each bit of a flattened netlist."""
    readers = Counter(bit for port in module["ports"].values() for bit in port["bits"])
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                readers.update(bits)
    return readers
