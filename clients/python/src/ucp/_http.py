"""How requests reach brokers: addresses, connections, fail-over, repetitions."""

from __future__ import annotations

import http.client
import ipaddress
import json
import select
import socket
import ssl
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

from .city import Trust
from .errors import APIError, Cancelled, UCPError, Unreachable

PORT = 8000
MAX_ADDRESSES = 16
MAX_JSON = 64 << 20  # bytes of an answer that is read into memory
MAX_RETRIES = 5  # of a request that a broker wants to have again later
MAX_RETRY_AFTER = 10.0
MAX_IDLE = 8  # connections kept open to one broker
DIAL_TIMEOUT = 5.0
PATIENCE = 10.0  # for an answer, beyond what a request waits for on purpose, while there are others to ask
REQUEST_TIMEOUT = 60.0  # the same where there is no other
SILENCE = 45.0  # of a stream, which says something each 15 s

Query = Sequence[Tuple[str, str]]
Body = Union[bytes, Callable[[], Iterator[bytes]]]


class Address(NamedTuple):
    """Where a broker listens."""

    scheme: str
    host: str
    port: int
    path: str  # of a socket of this machine, or what stands before all paths of a URL
    written: str

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket of this machine."""
        return self.scheme == "unix"


def parse_address(text: str, scheme: str) -> Address:
    """Reads host:port, [IPv6]:port, unix:PATH, a host alone, or a URL."""
    hint = "broker address %r: write host:port, [IPv6]:port, unix:PATH, or a URL such as http://host:8000" % text
    text = text.strip()
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        path = path[2:] if path.startswith("//") else path
        if not path:
            raise ValueError(hint)
        return Address("unix", "localhost", 0, path, "unix:" + path)
    try:
        ip = ipaddress.ip_address(text)
        text = "[%s]:%d" % (ip, PORT) if ip.version == 6 else "%s:%d" % (ip, PORT)
    except ValueError:
        pass
    plain = "://" not in text
    try:
        parts = urlsplit((scheme + "://" if plain else "") + text)
        port = parts.port
    except ValueError as e:
        raise ValueError(hint) from e
    if not text or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment or plain and parts.path:
        raise ValueError(hint)
    if not parts.netloc:
        raise ValueError(hint)
    port = port or (PORT if plain else 443 if parts.scheme == "https" else 80)
    host = parts.hostname or "127.0.0.1"
    return Address(parts.scheme, host, port, parts.path.rstrip("/"), text)


class _Socket(http.client.HTTPConnection):
    """A connection to a socket of this machine."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connects."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Call:
    """One call of the client's user, which may take several requests. Another thread may give it up."""

    def __init__(self) -> None:
        self._given_up = threading.Event()
        self._lock = threading.Lock()
        self._sock: Optional[socket.socket] = None

    def give_up(self) -> None:
        """Ends what it waits for; it raises Cancelled."""
        self._given_up.set()
        with self._lock:
            if self._sock is not None:
                _shut(self._sock)

    def check(self) -> None:
        """Raises Cancelled when it was given up."""
        if self._given_up.is_set():
            raise Cancelled("the call was given up")

    def use(self, sock: Optional[socket.socket]) -> None:
        """Notes on which connection it waits."""
        with self._lock:
            self._sock = sock
        self.check()

    def forget(self) -> None:
        """Notes that it waits on no connection."""
        with self._lock:
            self._sock = None

    def sleep(self, seconds: float) -> None:
        """Waits."""
        if seconds > 0:
            self._given_up.wait(seconds)
        self.check()


def _shut(sock: socket.socket) -> None:
    """Ends a connection that another thread reads from. Of TLS it is the one below that is shut: no other thread may touch its state."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already


class Answer:
    """A successful answer. Whoever gets one closes it, or reads it to its end."""

    def __init__(self, transport: "Transport", base: Address, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, call: Call) -> None:
        self._transport = transport
        self._base = base
        self._connection: Optional[http.client.HTTPConnection] = connection
        self._response = response
        self._call = call
        self.status = response.status
        self.headers = response.headers

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back, or closes it when there is more to read."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._transport.end(self._call)
        whole = self._response.isclosed()
        reusable = whole and not self._response.will_close
        self._response.close()
        self._transport.give_back(self._base, connection, reusable)

    def _broke(self, e: BaseException) -> UCPError:
        self.close()
        self._call.check()
        return Unreachable(self._base.written, e, True)

    def read(self, most: int = MAX_JSON) -> bytes:
        """All of it, which may be so many bytes at most."""
        with self:
            try:
                body = self._response.read(most + 1)
                if self._response.length not in (None, 0) and len(body) <= most:
                    raise http.client.IncompleteRead(body, self._response.length)
            except (OSError, http.client.HTTPException) as e:
                raise self._broke(e) from e
            if len(body) > most:
                raise UCPError("the answer of %s has more than %d bytes" % (self._base.written, most))
            if not self._response.isclosed():
                self._response.close()
            return body

    def chunks(self, size: int = 1 << 16) -> Iterator[bytes]:
        """Its bytes as they come."""
        with self:
            while True:
                try:
                    piece = self._response.read1(size)
                except (OSError, http.client.HTTPException) as e:
                    raise self._broke(e) from e
                if not piece:
                    if self._response.length not in (None, 0):
                        raise self._broke(http.client.IncompleteRead(b"", self._response.length))
                    return
                yield piece

    def lines(self, most: int = 1 << 20) -> Iterator[bytes]:
        """Its lines as they come, without their ends; one has so many bytes at most."""
        left = b""
        for piece in self.chunks():
            *whole, left = (left + piece).split(b"\n")
            if any(len(line) > most for line in whole) or len(left) > most:
                raise UCPError("a line of the answer of %s has more than %d bytes" % (self._base.written, most))
            for line in whole:
                yield line.rstrip(b"\r")
        if left:
            yield left


class Request(NamedTuple):
    """One request, which can be sent more than once."""

    method: str
    path: Tuple[str, ...]  # its elements, not yet escaped
    query: Query = ()
    body: Optional[Body] = None
    size: int = 0  # of the body
    kind: str = "application/json"
    headers: Mapping[str, str] = {}
    wait: float = 0.0  # that the broker is asked to wait before it answers
    named: bool = False  # a POST that says itself what it makes, and so may be repeated
    stream: bool = False  # the answer goes on for as long as it likes
    until: Optional[float] = None  # by time.monotonic, when nobody waits for the answer any more

    @property
    def repeats(self) -> bool:
        """Whether it may be sent again when it is not known whether it was carried out."""
        return self.method != "POST" or self.named


class Transport:
    """Sends requests to one of several brokers. Its methods may be called by several threads at once."""

    def __init__(self, addresses: Sequence[str], token: str, trust: Optional[Trust]) -> None:
        scheme = "https" if trust is not None else "http"
        self._bases = [parse_address(a, scheme) for a in addresses]
        if not self._bases:
            raise ValueError("no broker address")
        self._scheme = scheme
        self._token = token
        self._trust = trust
        self._lock = threading.Lock()
        self._idle: Dict[Address, List[http.client.HTTPConnection]] = {}
        self._calls: Dict[int, Call] = {}
        self._closed = False
        self._local = threading.local()
        self.heard: Optional[float] = None  # when a broker has answered last, by time.monotonic

    # Addresses.

    @property
    def base(self) -> Address:
        """The broker that is asked now."""
        with self._lock:
            return self._bases[0]

    @property
    def addresses(self) -> List[str]:
        """Those of all brokers that are known, the one that is asked now first."""
        with self._lock:
            return [b.written for b in self._bases]

    def avoid(self, base: Address) -> None:
        """Puts a broker behind the others, unless another call has done so already."""
        with self._lock:
            if len(self._bases) > 1 and self._bases[0] == base:
                self._bases.append(self._bases.pop(0))

    def add(self, address: str) -> None:
        """Adds a broker, as far as there is room."""
        base = parse_address(address, self._scheme)
        with self._lock:
            if len(self._bases) < MAX_ADDRESSES and all((b.host, b.port) != (base.host, base.port) for b in self._bases):
                self._bases.append(base)

    # Calls.

    def call(self) -> Call:
        """The call that this thread makes: that of :meth:`under`, or one of its own."""
        current = getattr(self._local, "call", None)
        return current if isinstance(current, Call) else Call()

    def end(self, call: Call) -> None:
        """Notes that nothing is waited for any more."""
        call.forget()
        with self._lock:
            self._calls.pop(id(call), None)

    def under(self, call: Optional[Call]) -> None:
        """Says under which call this thread's requests are sent from now on."""
        self._local.call = call

    def close(self) -> None:
        """Gives up all calls, and closes all connections."""
        with self._lock:
            self._closed = True
            calls, idle = list(self._calls.values()), [c for list_ in self._idle.values() for c in list_]
            self._idle = {}
        for one in calls:
            one.give_up()
        for connection in idle:
            connection.close()

    # Connections.

    def _connect(self, base: Address, timeout: float, fresh: bool) -> Tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        while not fresh:
            with self._lock:
                idle = self._idle.get(base)
                connection = idle.pop() if idle else None
            if connection is None:
                break
            if connection.sock is not None and not _readable(connection.sock):
                connection.sock.settimeout(timeout)
                return connection, True
            connection.close()  # the broker has ended it, or says what nobody has asked for
        if base.is_socket:
            connection = _Socket(base.path, DIAL_TIMEOUT)
        elif base.scheme == "https":
            context = self._trust.context if self._trust is not None else ssl.create_default_context()
            connection = http.client.HTTPSConnection(base.host, base.port, timeout=DIAL_TIMEOUT, context=context)
        else:
            connection = http.client.HTTPConnection(base.host, base.port, timeout=DIAL_TIMEOUT)
        try:
            connection.connect()
            if base.scheme == "https" and self._trust is not None:
                assert isinstance(connection.sock, ssl.SSLSocket)
                self._trust.check(connection.sock.getpeercert(binary_form=True))
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(timeout)
        return connection, False

    def give_back(self, base: Address, connection: http.client.HTTPConnection, reusable: bool) -> None:
        """Takes a connection back that is not used any more."""
        with self._lock:
            idle = self._idle.setdefault(base, [])
            if reusable and not self._closed and len(idle) < MAX_IDLE and connection.sock is not None:
                idle.append(connection)
                return
        connection.close()

    # Requests.

    def send(self, request: Request) -> Answer:
        """Sends a request and returns an answer that is a success. A broker that wants to be asked later is; one that does not answer,
        or is about to leave, is not: the next one is asked, each once."""
        call = self.call()
        with self._lock:
            if self._closed:
                raise UCPError("the client is closed")
            self._calls[id(call)] = call
            others = len(self._bases) - 1
        try:
            return self._send(request, call, others)
        except BaseException:
            self.end(call)
            raise

    def _send(self, request: Request, call: Call, others: int) -> Answer:
        silent: List[str] = []
        tries = 0
        while True:
            base = self.base
            try:
                answer = self._once(base, request, call, others > 0)
            except Unreachable as e:
                self.avoid(base)
                silent.append(base.written)
                others -= 1
                if others < 0 or e.sent and not request.repeats:
                    raise Unreachable(", ".join(silent), e.__cause__, e.sent) from e.__cause__
                continue
            if answer.status != 503:
                self.heard = time.monotonic()
            if answer.status < 300:
                return answer
            failure, pause = self._failure(base, request, answer)
            leaving = failure.code == "draining" or failure.code == "unavailable" and request.repeats
            if leaving and others > 0:
                others -= 1
                self.avoid(base)
                continue
            if pause is None or tries == MAX_RETRIES:
                raise failure
            tries += 1
            call.sleep(pause)

    def _once(self, base: Address, request: Request, call: Call, others: bool) -> Answer:
        """Sends a request to one broker. A connection that was used before may have ended just now, which is no failure."""
        call.check()
        timeout = SILENCE if request.stream else request.wait + (PATIENCE if others else REQUEST_TIMEOUT)
        if request.until is not None:
            timeout = max(min(timeout, request.until - time.monotonic()), 0.05)
        fresh = not request.repeats
        while True:
            connection, used, sent = None, False, False
            try:
                connection, used = self._connect(base, timeout, fresh)
                sent = True
                call.use(connection.sock)
                try:
                    self._write(base, connection, request)
                except (BrokenPipeError, ConnectionResetError):
                    # Who refuses a body answers before it has come, and reads no more of it.
                    if request.body is None or connection.sock is None or not _readable(connection.sock):
                        raise
                return Answer(self, base, connection, connection.getresponse(), call)
            except (OSError, http.client.HTTPException) as e:
                if connection is not None:
                    connection.close()
                call.check()
                if used and not isinstance(e, socket.timeout):
                    fresh = True
                    continue
                raise Unreachable(base.written, e, sent) from e
            except BaseException:
                if connection is not None:
                    connection.close()
                raise

    def _write(self, base: Address, connection: http.client.HTTPConnection, request: Request) -> None:
        path = "" if base.is_socket else base.path
        path += "".join("/" + quote(e, safe="") for e in request.path)
        if request.query:
            path += "?" + urlencode(request.query)
        headers = {"Accept": "application/json", **request.headers}
        if self._token:
            if base.scheme == "http":
                raise UCPError("a token is a secret, and is not sent to %s, which speaks no TLS" % base.written)
            headers["Authorization"] = "Bearer " + self._token
        body: Any = None
        if request.body is not None:
            headers["Content-Type"] = request.kind
            headers["Content-Length"] = str(request.size)
            body = request.body() if callable(request.body) else request.body
        connection.request(request.method, path, body=body, headers=headers)

    def _failure(self, base: Address, request: Request, answer: Answer) -> Tuple[APIError, Optional[float]]:
        """The error that an answer is, and after which time the broker wants to be asked again; None is never."""
        pause: Optional[float] = None
        if answer.status in (429, 503):
            try:
                pause = min(max(float(answer.headers.get("Retry-After", "")), 0.05), MAX_RETRY_AFTER)
            except ValueError:
                pass
        came = answer.headers.get("Upload-Offset", "")
        try:
            said = json.loads(answer.read(64 << 10) or b"null")
        except (ValueError, UCPError):
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("error"), str):
            said = {"error": "%s answers %d" % (base.written, answer.status) + ("" if request.method == "HEAD" else ", not in the way of a ucp broker: is the address right?")}
        failure = APIError(answer.status, str(said.get("code", "")), said["error"], str(said.get("id", "")))
        setattr(failure, "came", int(came) if came.isdigit() else 0)
        return failure, pause

    def json(self, request: Request) -> Any:
        """Sends a request, and reads its answer."""
        answer = self.send(request)
        body = answer.read()
        try:
            return json.loads(body)
        except ValueError as e:
            raise UCPError("%s does not answer as a ucp broker would: is the address right?" % self.base.written) from e


def _readable(sock: socket.socket) -> bool:
    """Whether there is something to read, or the end: of a connection that is at rest it has ended."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
