"""The link's frames in software: RFC 1662's byte stuffing and CRC."""

import zlib

from backspike.gen.link.protocol import CRC_BYTES, ESCAPE, FLAG, FLIP

_FLAG = bytes([FLAG])
_ESCAPE = bytes([ESCAPE])
_STUFFED = {special: bytes([ESCAPE, special ^ FLIP]) for special in (FLAG, ESCAPE)}


def pack(body: bytes) -> bytes:
    """A frame: a flag, the body and its CRC stuffed, two flags (the line may lose one)."""
    whole = body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    stuffed = whole.replace(_ESCAPE, _STUFFED[ESCAPE]).replace(_FLAG, _STUFFED[FLAG])
    return _FLAG + stuffed + 2 * _FLAG


class Unpacker:
    """Finds frames in bytes. `damaged` counts those whose CRC was wrong."""

    def __init__(self) -> None:
        self.damaged = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies of the frames that ended within `data`, of those that are whole."""
        *frames, self._rest = (self._rest + data).split(_FLAG)
        bodies = [self._body(frame) for frame in frames if frame]
        self.damaged += bodies.count(None)
        return [body for body in bodies if body is not None]

    @staticmethod
    def _body(frame: bytes) -> bytes | None:
        first, *escaped = frame.split(_ESCAPE)
        whole = bytearray(first)
        for part in escaped:
            if not part:
                return None
            whole.append(part[0] ^ FLIP)
            whole += part[1:]
        body, crc = bytes(whole[:-CRC_BYTES]), bytes(whole[-CRC_BYTES:])
        good = len(crc) == CRC_BYTES and zlib.crc32(body) == int.from_bytes(crc, "little")
        return body if good else None
