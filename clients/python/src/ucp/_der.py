"""As much of DER (ITU-T X.690) as the certificates of members take: one is made, and others are read."""

from __future__ import annotations

import base64
from typing import Iterator, List, Optional, Tuple

from . import _ed25519
from .errors import IdentityError

# Where a certificate holds the credential of a member, under the arc for experiments: 1.3.6.1.3.117.99.112.1.
CREDENTIAL = bytes.fromhex("2b06010375637001")
_ED25519 = bytes.fromhex("2b6570")
_COMMON_NAME = bytes.fromhex("550403")
_KEY_USAGE, _EXTENDED_KEY_USAGE = bytes.fromhex("551d0f"), bytes.fromhex("551d25")
_CLIENT_AUTH = bytes.fromhex("2b06010505070302")

_INTEGER, _BITS, _OCTETS, _OID, _UTF8, _UTC, _TIME, _SEQUENCE, _SET = 0x02, 0x03, 0x04, 0x06, 0x0C, 0x17, 0x18, 0x30, 0x31


def _write(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def _read(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """The values that stand one behind the other: their tags and bodies."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise IdentityError("a certificate is cut off")
        tag, size, at = data[at], data[at + 1], at + 2
        if size >= 0x80:
            n = size & 0x7F
            if n == 0 or n > 4 or at + n > len(data):
                raise IdentityError("a certificate is damaged")
            size, at = int.from_bytes(data[at : at + n], "big"), at + n
        if at + size > len(data):
            raise IdentityError("a certificate is cut off")
        yield tag, data[at : at + size]
        at += size


def _parts(data: bytes, tag: int) -> List[Tuple[int, bytes]]:
    """What is in the one value of a tag."""
    found = list(_read(data))
    if not found or found[0][0] != tag:
        raise IdentityError("a certificate is not built as it should be")
    return list(_read(found[0][1]))


def certificate(name: str, seed: bytes, credential: bytes) -> bytes:
    """The certificate that a member shows: it signs it itself, and what counts is the credential in it. It never ends, since
    brokers may have no clock to tell."""
    algorithm = _write(_SEQUENCE, _write(_OID, _ED25519))
    who = _write(_SEQUENCE, _write(_SET, _write(_SEQUENCE, _write(_OID, _COMMON_NAME), _write(_UTF8, name.encode("utf-8")))))
    extensions = _write(
        _SEQUENCE,
        _write(_SEQUENCE, _write(_OID, _KEY_USAGE), b"\x01\x01\xff", _write(_OCTETS, _write(_BITS, b"\x07\x80"))),
        _write(_SEQUENCE, _write(_OID, _EXTENDED_KEY_USAGE), _write(_OCTETS, _write(_SEQUENCE, _write(_OID, _CLIENT_AUTH)))),
        _write(_SEQUENCE, _write(_OID, CREDENTIAL), _write(_OCTETS, credential)),
    )
    to_sign = _write(
        _SEQUENCE,
        _write(0xA0, _write(_INTEGER, b"\x02")),  # the third version
        _write(_INTEGER, b"\x01"),
        algorithm,
        who,
        _write(_SEQUENCE, _write(_UTC, b"700101000000Z"), _write(_TIME, b"99991231235959Z")),
        who,
        _write(_SEQUENCE, algorithm, _write(_BITS, b"\x00" + _ed25519.public(seed))),
        _write(0xA3, extensions),
    )
    return _write(_SEQUENCE, to_sign, algorithm, _write(_BITS, b"\x00" + _ed25519.sign(seed, to_sign)))


def private_key(seed: bytes) -> bytes:
    """A private key as OpenSSL reads it (RFC 8410)."""
    return _write(_SEQUENCE, _write(_INTEGER, b"\x00"), _write(_SEQUENCE, _write(_OID, _ED25519)), _write(_OCTETS, _write(_OCTETS, seed)))


def pem(kind: str, der: bytes) -> str:
    """DER as text."""
    text = base64.encodebytes(der).decode("ascii").replace("\n", "")
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "-----BEGIN %s-----\n%s\n-----END %s-----\n" % (kind, "\n".join(lines), kind)


def shown(der: bytes) -> Tuple[bytes, Optional[bytes]]:
    """The public key of a certificate, and the credential in it; None where it is none of a member."""
    to_sign = _parts(der, _SEQUENCE)[0]
    fields = list(_read(to_sign[1]))
    if fields and fields[0][0] == 0xA0:
        fields = fields[1:]
    if len(fields) < 6:
        raise IdentityError("a certificate has too few fields")
    algorithm, bits = (list(_read(fields[5][1])) + [(0, b""), (0, b"")])[:2]
    if algorithm[1] != _write(_OID, _ED25519) or bits[0] != _BITS or len(bits[1]) != 33:
        return b"", None  # another kind of key is no member's
    credential = None
    for tag, body in fields[6:]:
        if tag != 0xA3:
            continue
        for kind, extension in _parts(body, _SEQUENCE):
            parts = list(_read(extension))
            if kind == _SEQUENCE and len(parts) >= 2 and parts[0] == (_OID, CREDENTIAL) and parts[-1][0] == _OCTETS:
                credential = credential or parts[-1][1]
    return bits[1][1:], credential
