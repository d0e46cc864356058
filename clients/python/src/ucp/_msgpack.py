"""As much of msgpack as identities are written in: maps with text keys, lists, text, bytes, whole numbers, yes and no."""

from __future__ import annotations

from typing import Any, List, Tuple

from .errors import IdentityError

_MOST_DEPTH = 8


def decode(data: bytes) -> Any:
    """Reads one value, which must be all of the data. What was text or bytes is bytes; keys of maps are text."""
    try:
        value, at = _read(data, 0, 0)
    except (IndexError, ValueError) as e:
        raise IdentityError("an identity's data is cut off or damaged") from e
    if at != len(data):
        raise IdentityError("there is something behind the end of an identity's data")
    return value


def _take(data: bytes, at: int, n: int) -> Tuple[bytes, int]:
    if at + n > len(data):
        raise IndexError("cut off")
    return data[at : at + n], at + n


def _number(data: bytes, at: int, n: int, signed: bool = False) -> Tuple[int, int]:
    raw, at = _take(data, at, n)
    return int.from_bytes(raw, "big", signed=signed), at


def _read(data: bytes, at: int, depth: int) -> Tuple[Any, int]:
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deeply")
    kind, at = data[at], at + 1
    if kind <= 0x7F:
        return kind, at
    if kind >= 0xE0:
        return kind - 0x100, at
    if kind <= 0x8F:
        return _map(data, at, kind & 0x0F, depth)
    if kind <= 0x9F:
        return _list(data, at, kind & 0x0F, depth)
    if kind <= 0xBF:
        return _take(data, at, kind & 0x1F)
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    for first, sizes in ((0xC4, (1, 2, 4)), (0xD9, (1, 2, 4))):  # bytes, text
        if first <= kind < first + 3:
            n, at = _number(data, at, sizes[kind - first])
            return _take(data, at, n)
    if 0xCC <= kind <= 0xCF:
        return _number(data, at, 1 << (kind - 0xCC))
    if 0xD0 <= kind <= 0xD3:
        return _number(data, at, 1 << (kind - 0xD0), signed=True)
    if kind in (0xDC, 0xDD):
        n, at = _number(data, at, 2 if kind == 0xDC else 4)
        return _list(data, at, n, depth)
    if kind in (0xDE, 0xDF):
        n, at = _number(data, at, 2 if kind == 0xDE else 4)
        return _map(data, at, n, depth)
    raise ValueError("a value of kind %#x" % kind)


def _list(data: bytes, at: int, n: int, depth: int) -> Tuple[List[Any], int]:
    out: List[Any] = []
    for _ in range(n):  # each takes a byte at least, so that this ends with the data
        value, at = _read(data, at, depth + 1)
        out.append(value)
    return out, at


def _map(data: bytes, at: int, n: int, depth: int) -> Tuple[Any, int]:
    out = {}
    for _ in range(n):
        key, at = _read(data, at, depth + 1)
        if not isinstance(key, bytes):
            raise ValueError("a key that is no text")
        value, at = _read(data, at, depth + 1)
        name = key.decode("utf-8", "strict")
        if name in out:
            raise ValueError("a key that is there twice")
        out[name] = value
    return out, at


def _head(n: int, fix: int, most: int, kinds: Tuple[int, int, int]) -> bytes:
    if n <= most:
        return bytes([fix | n])
    if n < 1 << 8 and kinds[0]:
        return bytes([kinds[0], n])
    if n < 1 << 16:
        return bytes([kinds[1]]) + n.to_bytes(2, "big")
    return bytes([kinds[2]]) + n.to_bytes(4, "big")


def encode_map(pairs: List[Tuple[str, bytes]]) -> bytes:
    """Writes a map of bytes, whose keys come in the order of their bytes, as brokers write it."""
    out = _head(len(pairs), 0x80, 15, (0, 0xDE, 0xDF))
    for key, value in sorted(pairs):
        name = key.encode("utf-8")
        out += _head(len(name), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + name
        out += _head(len(value), 0, -1, (0xC4, 0xC5, 0xC6)) + value
    return out
