"""Ed25519 (RFC 8032, section 6), by which members of a city sign and verify.

It is slow (some milliseconds each), and its time depends on what it computes: it signs one certificate when an identity is
loaded, and verifies what brokers show. The connection itself is OpenSSL's.
"""

from __future__ import annotations

import hashlib
from typing import Optional, Tuple

_Point = Tuple[int, int, int, int]

_P = 2**255 - 19
_Q = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)


def _hash(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _hash_number(data: bytes) -> int:
    return int.from_bytes(_hash(data), "little") % _Q


def _add(a: _Point, b: _Point) -> _Point:
    e1, e2 = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    c, d = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = e2 - e1, d - c, d + c, e2 + e1
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(n: int, p: _Point) -> _Point:
    out: _Point = (0, 1, 1, 0)
    while n > 0:
        if n & 1:
            out = _add(out, p)
        p = _add(p, p)
        n >>= 1
    return out


def _equal(a: _Point, b: _Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % _P == 0 and (a[1] * b[2] - b[1] * a[2]) % _P == 0


def _recover(y: int, sign: int) -> Optional[int]:
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P)
    if square % _P == 0:
        return None if sign else 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P != 0:
        x = x * _ROOT % _P
    if (x * x - square) % _P != 0:
        return None
    return _P - x if (x & 1) != sign else x


def _compress(p: _Point) -> bytes:
    z = pow(p[2], _P - 2, _P)
    x, y = p[0] * z % _P, p[1] * z % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data: bytes) -> Optional[_Point]:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = _recover(y, sign)
    return None if x is None else (x, y, 1, x * y % _P)


def _base() -> _Point:
    y = 4 * pow(5, _P - 2, _P) % _P
    x = _recover(y, 0)
    assert x is not None
    return x, y, 1, x * y % _P


_BASE = _base()


def _expand(seed: bytes) -> Tuple[int, bytes]:
    h = _hash(seed)
    a = int.from_bytes(h[:32], "little") & (1 << 254) - 8 | 1 << 254
    return a, h[32:]


def public(seed: bytes) -> bytes:
    """The public key of a private one, which is 32 bytes."""
    return _compress(_times(_expand(seed)[0], _BASE))


def sign(seed: bytes, message: bytes) -> bytes:
    """Signs a message."""
    a, prefix = _expand(seed)
    key = _compress(_times(a, _BASE))
    r = _hash_number(prefix + message)
    point = _compress(_times(r, _BASE))
    s = (r + _hash_number(point + key + message) * a) % _Q
    return point + s.to_bytes(32, "little")


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a key has signed a message."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = _decompress(key), _decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _Q:
        return False
    h = _hash_number(signature[:32] + key + message)
    return _equal(_times(s, _BASE), _add(r, _times(h, a)))
