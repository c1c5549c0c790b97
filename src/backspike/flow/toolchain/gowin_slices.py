"""How full the slices of a Gowin part get."""

SHARED = ("LUT", "ALU")
"""Cells whose output a flip-flop takes without leaving its place."""
TAKEN = {"LUT": 1, "ALU": 1, "RAM16SDP4": 8}
"""Places that cells take, by how their names begin: a memory has a tile of eight to itself."""


def places(module: dict) -> int:
    """Places of slices that a netlist takes at the least. module: of Yosys' JSON.

    A place is a LUT4 or an ALU, and a flip-flop behind it. A flip-flop that something else feeds
    has the place to itself: nextpnr sends its input through the LUT4. That all are used, whatever
    their clock enables and resets, is what no placement reaches.
    """
    cells = module["cells"].values()
    ffs = [cell["connections"]["D"][0] for cell in cells if cell["type"].startswith("DFF")]
    outputs = {
        bit
        for cell in cells
        if cell["type"].startswith(SHARED)
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
    }
    taken = sum(
        places for cell in cells for kind, places in TAKEN.items() if cell["type"].startswith(kind)
    )
    return taken + len(ffs) - len(outputs & set(ffs))
