"""Words of what is said."""


def plural(count: int, noun: str, ending: str = "s") -> str:
    """`1 epoch`, `2,000 epochs`."""
    return f"{count:,} {noun}{'' if count == 1 else ending}"
