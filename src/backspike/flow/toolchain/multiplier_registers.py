"""ECP5's multipliers take over the registers behind them, which Yosys leaves outside.

The way from a multiplier to a register takes as long as the multiplier itself where placement puts
them apart, and a product is 36 flip-flops.
"""

from collections import defaultdict

MULTIPLIER, REGISTER = "MULT18X18D", "TRELLIS_FF"
PRODUCT = tuple(f"P{n}" for n in range(36))
OUTPUT = {"REG_OUTPUT_CLK": "CLK0", "GSR": "DISABLED"}
"""The parameters of a MULT18X18D with a register behind it."""


def absorb_registers(module: dict) -> int:
    """Moves registers into the multipliers whose product goes nowhere else, and says into how many.

    module: of a flattened netlist in Yosys' JSON; it is changed. Of a product, every bit that is
    used goes into one flip-flop alone; these have one clock and one enable, and no reset.
    """
    cells = module["cells"]
    readers = defaultdict(list)  # of each bit: (cell, or "" for a port; port)
    for port, one in module["ports"].items():
        for bit in one["bits"]:
            readers[bit].append(("", port))
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    readers[bit].append((name, port))
    moved = 0
    for cell in [cell for cell in cells.values() if cell["type"] == MULTIPLIER]:
        registers = _registers(cells, readers, cell)
        match list({_control(cells[register]) for register in registers.values()}):
            case [(clock, enable)]:
                for port, register in registers.items():
                    cell["connections"][port] = cells.pop(register)["connections"]["Q"]
                for port, bit in (("CLK0", clock), ("CE0", enable), ("RST0", "0")):
                    cell["connections"][port], cell["port_directions"][port] = [bit], "input"
                cell["parameters"] |= OUTPUT
                moved += 1
    return moved


def _registers(cells: dict, readers: dict, multiplier: dict) -> dict[str, str]:
    """The flip-flop of each bit of a product that is used; none if any goes elsewhere, too."""
    found = {}
    for port in PRODUCT:
        for bit in multiplier["connections"].get(port, ()):
            match readers[bit]:
                case []:
                    pass
                case [(name, "DI")] if cells[name]["type"] == REGISTER:
                    found[port] = name
                case _:
                    return {}
    return found


def _control(register: dict) -> tuple | None:
    """Clock and enable of a flip-flop; None if it does what a multiplier's register cannot."""
    parameters, connections = register["parameters"], register["connections"]
    plain = (
        parameters.get("CLKMUX", "CLK") == "CLK"
        and parameters.get("REGSET", "RESET") == "RESET"
        and connections.get("LSR", ["0"]) == ["0"]
    )
    match parameters.get("CEMUX", "1").strip():
        case "1" if plain:
            return connections["CLK"][0], "1"
        case "CE" if plain:
            return connections["CLK"][0], connections["CE"][0]
    return None
