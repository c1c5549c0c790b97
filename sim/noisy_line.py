"""A line that damages bytes at random."""

import numpy as np

KINDS = ("changed", "dropped", "doubled")


class NoisyLine:
    """Changes, drops or doubles each byte with probability `share`, one as likely as the other.

    seed: the same bytes are damaged in the same way. `counts`: how many of each kind.
    """

    def __init__(self, share: float, seed: int):
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, must be 0 to 1")
        self.share = share
        self.counts = dict.fromkeys(KINDS, 0)
        self._rng = np.random.default_rng(seed)

    def __call__(self, data: bytes) -> bytes:
        if not self.share or not data:
            return data
        hit = np.flatnonzero(self._rng.random(len(data)) < self.share)
        parts, begin = [], 0
        for at in map(int, hit):
            parts.append(data[begin:at])
            kind = KINDS[self._rng.integers(len(KINDS))]
            self.counts[kind] += 1
            if kind == "changed":
                parts.append(bytes([data[at] ^ int(self._rng.integers(1, 256))]))
            elif kind == "doubled":
                parts.append(2 * data[at : at + 1])
            begin = at + 1
        return b"".join(parts) + data[begin:]
