"""Random tiles of bits, and the lines and events that they stand for."""

import random

DENSITIES = (0.05, 0.1, 0.25, 0.5, 1.0)


def random_tile(rng: random.Random, bits: int, density: float) -> int:
    """So many bits, each one with this probability."""
    return sum((rng.random() < density) << n for n in range(bits))


def lines_of(tiles: list[dict], lines: int, length: int) -> list[dict]:
    """{x, word, tag, last} of every line that is not empty; of {tile, tag, last}.

    A last tile that is empty gives a line that is.
    """
    found = []
    for tile in tiles:
        words = [tile["tile"] >> x * length & (1 << length) - 1 for x in range(lines)]
        some = [(x, word) for x, word in enumerate(words) if word]
        if tile["last"] and not some:
            some = [(None, 0)]  # its number does not matter
        for n, (x, word) in enumerate(some):
            last = int(tile["last"] and n == len(some) - 1)
            found.append({"x": x, "word": word, "tag": tile["tag"], "last": last})
    return found


def events_of(lines: list[dict]) -> list[dict]:
    """{i, x, tag, first, end, hit} of every event of these lines."""
    found = []
    for line in lines:
        bits = [i for i in range(line["word"].bit_length()) if line["word"] >> i & 1]
        if not bits:
            found.append({"i": None, "x": None, "tag": line["tag"], "first": None,
                          "end": line["last"], "hit": 0})  # fmt: skip
        for n, i in enumerate(bits):
            found.append({"i": i, "x": line["x"], "tag": line["tag"], "first": int(n == 0),
                          "end": int(line["last"] and n == len(bits) - 1), "hit": 1})  # fmt: skip
    return found


def same_fields(name: str, got: list[dict], want: list[dict]) -> None:
    """The same in the same order; None stands for anything."""
    for n, (g, w) in enumerate(zip(got, want, strict=False)):
        differs = {key: (g[key], value) for key, value in w.items()
                   if value is not None and g[key] != value}  # fmt: skip
        assert not differs, f"{name} {n}: (got, want) {differs}"
    assert len(got) == len(want), f"{len(got)} {name}, not {len(want)}"


def by_lanes(banks: int, turn: int, lanes: int) -> int:
    """A row of halves that lie in banks, lane n's in bank (n + turn) mod lanes, by lanes."""
    halves = [banks >> 16 * (n + turn) % (16 * lanes) & 0xFFFF for n in range(lanes)]
    return sum(half << 16 * n for n, half in enumerate(halves))
