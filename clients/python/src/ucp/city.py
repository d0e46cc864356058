"""Who one is in a city, and who a broker is (docs/security.md).

``ucp login CODE`` leaves an identity in a directory: a key, an admission that an authority of the city has signed, and the
authorities. :meth:`Identity.load` reads it. Connections are TLS 1.3; what decides is the credential in the broker's
certificate, which is verified here without any name, clock or authority of the web.
"""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import stat
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union

from . import _der, _ed25519, _msgpack
from .errors import IdentityError

_MOST_FILE = 2 << 20
_MOST_CHANGES, _MOST_OF_ONE, _MOST_PATH = 128, 16, 4
_ALPN = ["http/1.1", "ucp-city"]  # the second one asks for the certificate of a member


def city_of(root: bytes) -> bytes:
    """The name of the city that begins with a root authority."""
    return hashlib.sha256(b"ucp city\x00" + root).digest()


def _open(kind: str, raw: bytes, most: int) -> Tuple[Dict[str, Any], bytes, bytes]:
    """What a statement says, what was signed, and the signature."""
    if len(raw) > most:
        raise IdentityError("%s of %d bytes, at most %d are allowed" % (kind, len(raw), most))
    outer = _msgpack.decode(raw)
    if not isinstance(outer, dict) or not isinstance(outer.get("body"), bytes) or not isinstance(outer.get("sig"), bytes):
        raise IdentityError("%s is not built as it should be" % kind)
    body, signature = outer["body"], outer["sig"]
    if _msgpack.encode_map([("body", body), ("sig", signature)]) != raw:
        raise IdentityError("%s is not written as it should be" % kind)
    said = _msgpack.decode(body)
    if not isinstance(said, dict):
        raise IdentityError("%s says nothing" % kind)
    return said, b"ucp identity 1\x00" + kind.encode("ascii") + b"\x00" + body, signature


def _verified(kind: str, key: bytes, message: bytes, signature: bytes) -> None:
    if not _ed25519.verify(key, message, signature):
        raise IdentityError("%s: its signature is not that of the key that it names" % kind)


def _bytes(said: Dict[str, Any], name: str, size: int = -1) -> bytes:
    value = said.get(name, b"")
    if not isinstance(value, bytes) or size >= 0 and len(value) != size:
        raise IdentityError("a statement whose %s is not what it should be" % name)
    return value


def _number(said: Dict[str, Any], name: str) -> int:
    value = said.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise IdentityError("a statement whose %s is no number" % name)
    return value


class Change(NamedTuple):
    """Says that a key is an authority, or is none any more."""

    city: bytes
    remove: bool
    key: bytes
    by: bytes
    raw: bytes

    @staticmethod
    def decode(raw: bytes) -> "Change":
        """Reads one, and verifies its signature."""
        said, message, signature = _open("authority", raw, 512)
        c = Change(_bytes(said, "city", 32), bool(said.get("remove", False)), _bytes(said, "key", 32), _bytes(said, "by", 32), raw)
        _verified("authority", c.by, message, signature)
        return c


class Admission(NamedTuple):
    """Says that a key belongs to a member of a city."""

    city: bytes
    name: str
    key: bytes
    role: str
    number: int
    by: bytes
    raw: bytes

    @staticmethod
    def decode(raw: bytes) -> "Admission":
        """Reads one, and verifies its signature."""
        said, message, signature = _open("admission", raw, 1024)
        try:
            name, role = _bytes(said, "name").decode("ascii"), _bytes(said, "role").decode("ascii")
        except UnicodeDecodeError as e:
            raise IdentityError("an admission of a name that no member has") from e
        a = Admission(_bytes(said, "city", 32), name, _bytes(said, "key", 32), role, _number(said, "number"), _bytes(said, "by", 32), raw)
        if not name or role not in ("broker", "operator", "client") or a.number == 0:
            raise IdentityError("an admission without a name, a number, or a role that this version knows")
        _verified("admission", a.by, message, signature)
        return a


class Revocation(NamedTuple):
    """Says that the admissions of a name, up to a number, and those of a key count no more."""

    city: bytes
    name: str
    key: bytes
    upto: int
    by: bytes

    def ends(self, a: Admission) -> bool:
        """Whether an admission is among them."""
        return a.name == self.name and a.number <= self.upto or self.key != b"" and a.key == self.key

    @staticmethod
    def of_proof(raw: bytes) -> Tuple["Revocation", List[Change]]:
        """Reads a proof of one, as brokers tell it, with the changes that make its signer an authority."""
        proof = _msgpack.decode(raw[: 1 << 13])
        if not isinstance(proof, dict) or proof.get("kind") != b"revocation":
            raise IdentityError("what is told is no revocation")
        said, message, signature = _open("revocation", _bytes(proof, "statement"), 1024)
        if said.get("what") != b"member":
            raise IdentityError("what is told is no revocation of a membership")
        key = _bytes(said, "key")
        r = Revocation(_bytes(said, "city", 32), _bytes(said, "name").decode("ascii", "replace"), key, _number(said, "upto"), _bytes(said, "by", 32))
        _verified("revocation", r.by, message, signature)
        path = proof.get("path", [])
        if not isinstance(path, list) or len(path) > _MOST_PATH or len(key) not in (0, 32):
            raise IdentityError("what is told is no revocation")
        return r, [Change.decode(p) for p in path if isinstance(p, bytes)]


class Authorities:
    """The keys that may admit members of a city: the root, and those that authorities have added. They form a tree; a removal
    counts when it is signed by a key above the one that is removed, or by that itself, and then for good."""

    def __init__(self, root: bytes, changes: List[Change]) -> None:
        self.root = root
        self.city = city_of(root)
        self.changes = _bounded(root, sorted(set(changes), key=lambda c: c.raw))
        self.seniors = self._derive()  # of each key in force: the keys above it, from the root down, itself last

    @staticmethod
    def decode(raw: bytes) -> "Authorities":
        """Reads a set, and verifies each change of it."""
        if len(raw) > 1 << 17:
            raise IdentityError("authorities of %d bytes" % len(raw))
        said = _msgpack.decode(raw)
        if not isinstance(said, dict):
            raise IdentityError("authorities that are not built as they should be")
        listed = said.get("changes", [])
        if not isinstance(listed, list) or len(listed) > _MOST_CHANGES or not all(isinstance(c, bytes) for c in listed):
            raise IdentityError("authorities that are not built as they should be")
        a = Authorities(_bytes(said, "root", 32), [Change.decode(c) for c in listed])
        if any(c.city != a.city or c.key == a.root for c in a.changes):
            raise IdentityError("a change of the authorities of another city, or of its root")
        return a

    def with_changes(self, changes: List[Change]) -> "Authorities":
        """The set with more changes."""
        if any(c.city != self.city for c in changes):
            raise IdentityError("authorities of another city")
        return Authorities(self.root, self.changes + changes)

    def _derive(self) -> Dict[bytes, List[bytes]]:
        seniors: Dict[bytes, List[bytes]] = {self.root: [self.root]}
        layer = [self.root]
        while layer:
            following: List[bytes] = []
            for c in self.changes:  # sorted, so that all find the same
                if c.remove or c.key in seniors or c.by not in layer:
                    continue
                path = seniors[c.by] + [c.key]
                if any(x.remove and x.key == c.key and x.by in path for x in self.changes):
                    continue
                seniors[c.key] = path
                following.append(c.key)
            layer = following
        return seniors

    def above(self, senior: bytes, key: bytes) -> bool:
        """Whether an authority in force is another one, or above it."""
        return senior in self.seniors and (senior == key or senior in self.seniors.get(key, []))

    def verify(self, a: Admission) -> None:
        """Raises why an admission is none to this city by an authority that is in force."""
        if a.city != self.city:
            raise IdentityError("%s is admitted to another city" % a.name)
        if a.by not in self.seniors:
            raise IdentityError("%s was admitted by %s..., which is no authority of this city" % (a.name, a.by.hex()[:12]))


def _bounded(root: bytes, changes: List[Change]) -> List[Change]:
    """Drops changes where they are too many: those farthest from the root."""
    if len(changes) <= _MOST_CHANGES:
        return changes
    kept: Set[bytes] = set()
    ever, layer = {root}, [root]
    while layer and len(kept) < _MOST_CHANGES:
        following: List[bytes] = []
        for by in layer:
            n = 0
            for remove in (True, False):
                for c in changes:
                    if c.by != by or c.remove != remove or len(kept) == _MOST_CHANGES or n == _MOST_OF_ONE and by != root:
                        continue
                    kept.add(c.raw)
                    n += 1
                    if not remove and c.key not in ever:
                        ever.add(c.key)
                        following.append(c.key)
        layer = sorted(following)
    return [c for c in changes if c.raw in kept]


def _credential(raw: bytes) -> Tuple[Admission, Authorities]:
    said = _msgpack.decode(raw[: (1 << 17) + 2048])
    if not isinstance(said, dict):
        raise IdentityError("a credential that is not built as it should be")
    return Admission.decode(_bytes(said, "admission")), Authorities.decode(_bytes(said, "authorities"))


class Trust:
    """On what terms brokers of a city are spoken to, and by what they are verified."""

    def __init__(self, city: bytes, context: ssl.SSLContext) -> None:
        self.city = city  #: its name, or the beginning of it
        self.context = context

    def check(self, certificate: Optional[bytes]) -> str:
        """Verifies the certificate that the other side of a connection has shown, in DER, and returns the broker's name. That it has
        the key the handshake has proved."""
        key, raw = _der.shown(certificate) if certificate else (b"", None)
        if raw is None:
            raise IdentityError("who answers there shows no certificate of a member of a city: is the address right?")
        admission, authorities = _credential(raw)
        if admission.key != key:
            raise IdentityError("the certificate shows the admission of %s with another key than was admitted" % admission.name)
        self._verify(admission, authorities)
        if admission.role != "broker":
            raise IdentityError("%s is no broker, but %s" % (admission.name, admission.role))
        return admission.name

    def _verify(self, admission: Admission, authorities: Authorities) -> None:
        if not authorities.city.startswith(self.city):
            raise IdentityError("%s belongs to another city" % admission.name)
        authorities.verify(admission)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # no name and no authority of the web's: Trust.check decides
    context.set_alpn_protocols(_ALPN)
    return context


def trust_of_token(text: str) -> Trust:
    """The terms for who has a token and nothing else: brokers are those of the city in which it holds."""
    damaged = IdentityError("this is no token, or a damaged one: it begins with ucp1.")
    if not text.startswith("ucp1.") or len(text) > 8 << 10:
        raise damaged
    body = text[len("ucp1.") :]
    try:
        token = _msgpack.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError as e:
        raise damaged from e
    statements = token.get("statements") if isinstance(token, dict) else None
    if not isinstance(statements, list) or not statements or not isinstance(statements[0], bytes):
        raise damaged
    said, message, signature = _open("grant", statements[0], 4 << 10)
    admission, _ = _credential(_bytes(said, "issuer"))
    _verified("grant", admission.key, message, signature)
    return Trust(admission.city, _context())


class Identity(Trust):
    """A member of a city: what ``ucp login`` has left in a directory."""

    def __init__(self, key: bytes, admission: Admission, authorities: Authorities, own: bytes, revocations: List[Tuple[Revocation, List[Change]]]) -> None:
        if _ed25519.public(key) != admission.key:
            raise IdentityError("the key of %s is not the one that was admitted" % admission.name)
        for _, path in revocations:
            authorities = authorities.with_changes(path)
        authorities.verify(admission)
        context = _context()
        super().__init__(authorities.city, context)
        self.name = admission.name
        self.role = admission.role
        self._authorities = authorities
        self._revocations = [r for r, _ in revocations if r.city == authorities.city]
        credential = _msgpack.encode_map([("admission", admission.raw), ("authorities", own)])
        with tempfile.TemporaryDirectory(prefix="ucp-") as folder:  # of mode 0700; ssl takes certificates from files only
            file = os.path.join(folder, "member.pem")
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
                out.write(_der.pem("PRIVATE KEY", _der.private_key(key)))
                out.write(_der.pem("CERTIFICATE", _der.certificate(admission.name, key, credential)))
            context.load_cert_chain(file)

    @classmethod
    def load(cls, folder: Union[str, "os.PathLike[str]", None] = None) -> "Identity":
        """Reads an identity, that of the person who runs this where no folder is given: UCP_IDENTITY, or below XDG_CONFIG_HOME or
        HOME, as ``ucp`` does."""
        where = Path(folder) if folder is not None else _usual_folder()
        try:
            seed = bytes.fromhex(_private(where / "key").decode("ascii").strip())
            admission = Admission.decode(_private(where / "admission"))
            own = _private(where / "authorities")
        except FileNotFoundError as e:
            raise IdentityError("there is no identity in %s: get an invite from an operator (ucp cluster invite), and say ucp login CODE" % where) from e
        except ValueError as e:
            raise IdentityError("the file %s is damaged" % (where / "key")) from e
        try:
            lines = _private(where / "revocations").split()
        except FileNotFoundError:
            lines = []
        told = [Revocation.of_proof(base64.b64decode(line)) for line in lines]
        return cls(seed, admission, Authorities.decode(own), own, told)

    def _verify(self, admission: Admission, authorities: Authorities) -> None:
        if authorities.root != self._authorities.root:
            raise IdentityError("%s belongs to another city" % admission.name)
        everything = self._authorities.with_changes(authorities.changes)
        everything.verify(admission)
        if any(r.ends(admission) and everything.above(r.by, admission.by) for r in self._revocations):
            raise IdentityError("%s was shut out of the city" % admission.name)
        self._authorities = everything


def _usual_folder() -> Path:
    for variable, below in (("UCP_IDENTITY", ""), ("XDG_CONFIG_HOME", "ucp/identity"), ("HOME", ".config/ucp/identity")):
        value = os.environ.get(variable, "")
        if value and value != "-":
            return Path(value) / below
    raise IdentityError("nobody knows where the identity lies: set UCP_IDENTITY to its directory")


def _private(file: Path) -> bytes:
    """Reads a file that nobody else may be able to read."""
    info = file.stat()
    if os.name == "posix" and stat.S_IMODE(info.st_mode) & 0o077:
        raise IdentityError("%s can be read by others: chmod 600 it, and ask whether its key is still a secret" % file)
    if info.st_size > _MOST_FILE:
        raise IdentityError("%s has %d bytes, at most %d are allowed" % (file, info.st_size, _MOST_FILE))
    return file.read_bytes()
