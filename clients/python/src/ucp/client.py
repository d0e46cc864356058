"""The client, for programs that wait for each answer. :mod:`ucp.aio` has the same for asyncio."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import threading
import time
from collections import deque
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, BinaryIO, Callable, Deque, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, Union, cast

from . import types as t
from ._http import Answer, Body, Call, Request, Transport
from .city import Identity, Trust, trust_of_token
from .errors import APIError, JobFailed, UCPError, Unreachable

DEFAULT_ADDRESS = "127.0.0.1:8000"
MAX_WAIT = 30.0  # the longest that one request asks a broker to wait
RESUMABLE_FROM = 1 << 20  # bytes of a blob of which what has come stays when a link breaks
MAX_BLOB = 1 << 30
FINAL = frozenset(("succeeded", "failed", "cancelled", "expired"))  #: the states of a job that has ended

Content = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]"]
"""What may be uploaded: bytes, or the path of a file."""

_TOKEN = "X-UCP-Causal-Token"
_POLL_PAUSE = 0.25
_GRACE = 1.0  # for how long an answer may come late that was waited for until a time


def new_job_id() -> str:
    """An ID for a job, drawn at random: 12 letters and digits."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))


def duration(seconds: Union[float, timedelta]) -> str:
    """A duration as brokers read it."""
    value = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    return "%.3fs" % max(value, 0)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


class _Source:
    """What is uploaded: it can be opened again."""

    def __init__(self, content: Content) -> None:
        self._memory: Optional[bytes] = None
        self._path = ""
        if isinstance(content, (bytes, bytearray, memoryview)):
            self._memory = bytes(content)
        else:
            self._path = os.fspath(content)
        digest, self.size = hashlib.sha256(), 0
        for piece in self.pieces(0):
            digest.update(piece)
            self.size += len(piece)
            if self.size > MAX_BLOB:
                raise UCPError("%s has more than %d MiB, the most that a blob may have" % (self._path or "it", MAX_BLOB >> 20))
        self.digest = digest.hexdigest()

    def _open(self) -> BinaryIO:
        return io.BytesIO(self._memory) if self._memory is not None else open(self._path, "rb")

    def pieces(self, at: int, most: Optional[int] = None) -> Iterator[bytes]:
        """Its bytes from one on, so many at most."""
        with self._open() as f:
            f.seek(at)
            while most is None or most > 0:
                piece = f.read(1 << 18 if most is None else min(1 << 18, most))
                if not piece:
                    return
                most = None if most is None else most - len(piece)
                yield piece


class Client:
    """Talks to one broker of those whose addresses it knows. Any will do: each can answer for every job. One that does not answer, or
    is about to leave, is asked no more until the others fail, too; a request that may have been carried out is not sent to another one
    unless it may be repeated, and all that this client sends may, but for declarations of emergencies without an ID.

    ``addresses`` is one, several in a list, or several with commas between them: ``host:port``, ``unix:PATH``, or a URL. Where the
    brokers belong to a city, give the ``identity`` that ``ucp login`` has left (:meth:`Identity.load`), or a ``token``.

    With ``causal`` the client gives each broker what the earlier answers of others have told it (a causal token), so that it reads its
    own writes wherever it asks.

    Methods may be called by several threads at once.
    """

    def __init__(
        self,
        addresses: Union[str, Sequence[str]] = "",
        *,
        token: str = "",
        identity: Optional[Identity] = None,
        causal: bool = False,
        patience: float = 30.0,
    ) -> None:
        listed = addresses.split(",") if isinstance(addresses, str) else list(addresses)
        listed = [a for a in listed if a.strip()] or (os.environ.get("UCP_ADDR") or DEFAULT_ADDRESS).split(",")
        token = token.strip()
        trust: Optional[Trust] = trust_of_token(token) if token else identity
        self._transport = Transport(listed, token, trust)
        self._causal = causal
        self._past = ""
        self._submitted: Deque[str] = deque(maxlen=1024)  # IDs of jobs that brokers have taken, so that one who has not heard yet is no surprise
        self._lock = threading.Lock()
        self.patience = patience  #: for how many seconds waiting bears that nobody answers; a restart takes some

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Gives up what other threads wait for, and closes all connections."""
        self._transport.close()

    @property
    def addresses(self) -> List[str]:
        """Those of all brokers that the client knows, the one that is asked now first."""
        return self._transport.addresses

    @property
    def causal_token(self) -> str:
        """What the client has seen, with ``causal``; to be given to another one as ``causal_token=``."""
        with self._lock:
            return self._past

    def learn(self) -> List[str]:
        """Asks for the addresses of all brokers, which are asked, too, when this one does not answer any more."""
        for m in self.members()["members"]:
            if m["http_addr"] and m["status"] == "alive" and not m["self"]:
                self._transport.add(m["http_addr"])
        return self.addresses

    # Jobs.

    def submit(
        self,
        spec: t.SpecDocument,
        *,
        id: str = "",
        wait: float = 0.0,
        timeout: Optional[float] = None,
        causal_token: str = "",
    ) -> t.Submission:
        """Submits a job; the blobs that it names must have been uploaded. Without an ID one is made up, so that the submission can be
        repeated: the same spec again is the same job. With ``wait`` the answer comes when the job has ended, or then, and has it as
        ``job``."""
        wait = min(wait, MAX_WAIT)
        query = self._query(causal_token, wait=wait, timeout=timeout)
        body = _json(spec)
        request = Request("PUT", ("v1", "jobs", id or new_job_id()), query, body, len(body), wait=wait + (timeout or 0))
        out = cast(t.Submission, self._seen(self._transport.json(request)))
        self._submitted.append(out["id"])
        return out

    def submit_batch(self, jobs: Sequence[Tuple[str, t.SpecDocument]], *, timeout: Optional[float] = None, causal_token: str = "") -> List[t.BatchLine]:
        """Submits up to 1,000 jobs in one request: pairs of an ID, "" for one that is made up, and a spec. What became of each stands in
        its place; one that is refused keeps no other out."""
        body = b"".join(_json({"id": id or new_job_id(), "spec": spec}) + b"\n" for id, spec in jobs)
        query = self._query(causal_token, timeout=timeout)
        request = Request("POST", ("v1", "jobs:batch"), query, body, len(body), "application/x-ndjson", wait=timeout or 0, named=True)
        answer = self._transport.send(request)
        self._note(answer.headers.get(_TOKEN, ""))
        lines = [cast(t.BatchLine, json.loads(line)) for line in answer.read().splitlines()]
        if len(lines) != len(jobs):
            raise UCPError("%d jobs were submitted, and %d lines answered" % (len(jobs), len(lines)))
        return lines

    def dry_run(self, spec: t.SpecDocument) -> t.DryRun:
        """Says for each broker what would become of a job, and submits nothing."""
        body = _json(spec)
        return cast(t.DryRun, self._transport.json(Request("POST", ("v1", "jobs"), [("dry_run", "1")], body, len(body), named=True)))

    def job(self, id: str, *, wait: float = 0.0, causal_token: str = "", timeout: Optional[float] = None) -> t.Job:
        """How a job stands. The ID may be shortened while it is unique. With ``wait``, at most 30 s, the answer comes when it has
        ended, or then."""
        wait = min(wait, MAX_WAIT)
        query = self._query(causal_token, wait=wait, timeout=timeout)
        return cast(t.Job, self._seen(self._get(("v1", "jobs", id), query, wait + (timeout or 0))))

    def wait(
        self, id: str, *, timeout: Optional[float] = None, causal_token: str = "", poll: float = MAX_WAIT, seen: Optional[Callable[[t.Job], None]] = None
    ) -> t.Job:
        """Waits until a job has ended, and returns it; TimeoutError if it has not within ``timeout`` seconds. Brokers that stop
        answering are given ``patience`` to come back, others are asked meanwhile. ``seen`` is told every answer, at least one each
        ``poll`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        good, there = time.monotonic(), id in self._submitted
        while True:
            asked = time.monotonic()
            left = MAX_WAIT if end is None else end - asked
            try:
                pause = max(0.0, min(poll, left, MAX_WAIT))
                query = self._query(causal_token, wait=pause)
                until = None if end is None else end + _GRACE
                j = cast(t.Job, self._seen(self._transport.json(Request("GET", ("v1", "jobs", id), query, wait=pause, until=until))))
                good, there, id = time.monotonic(), True, j["id"]  # a beginning of it may mean more jobs later
                if seen is not None:
                    seen(j)
                if j["state"] in FINAL:
                    return j
            except (APIError, Unreachable) as e:
                if not _passing(e) or self._transport.heard is None or _missing(e) and not there or time.monotonic() - good > self.patience:
                    raise
                if isinstance(e, APIError):
                    self._transport.avoid(self._transport.base)
            if end is not None and time.monotonic() >= end:
                raise TimeoutError("job %s has not ended within %gs" % (id, timeout or 0))
            self._transport.call().sleep(min(_POLL_PAUSE - (time.monotonic() - asked), _POLL_PAUSE))

    def run(self, spec: t.SpecDocument, *, id: str = "", blobs: Sequence[Content] = (), timeout: Optional[float] = None) -> t.Job:
        """Uploads, submits and waits; JobFailed where the job ends otherwise than by success. Where the broker that takes the job is
        another one than that which took the uploads, and lacks them, they are repeated."""
        id = id or new_job_id()
        for again in range(4):
            for content in blobs:
                self.put_blob(content)
            try:
                token = self.submit(spec, id=id)["causal_token"]
                break
            except APIError as e:
                if e.code != "missing_blobs" or not blobs or again == 3:
                    raise
        j = self.wait(id, timeout=timeout, causal_token=token if self._causal else "")
        if j["state"] != "succeeded":
            raise JobFailed(j["id"], j["state"], j.get("reason", ""))
        return j

    def jobs(
        self,
        *,
        state: Union[str, Sequence[str]] = "",
        label: Union[str, Sequence[str]] = (),
        name: str = "",
        broker: str = "",
        emergency: str = "",
        submitter: str = "",
        mine: bool = False,
        urgent: bool = False,
        paused: bool = False,
        since: Optional[datetime] = None,
        limit: int = 0,
    ) -> Iterator[t.Job]:
        """The jobs that meet all of these conditions, the newest first, page by page; ``limit`` is how many there are at most, 0 for
        all."""
        query: List[Tuple[str, str]] = [("state", state if isinstance(state, str) else ",".join(state)), ("name", name), ("broker", broker)]
        query += [("emergency", emergency), ("submitter", submitter)] + [("label", x) for x in ([label] if isinstance(label, str) else label)]
        query += [(name, "1") for name, yes in (("mine", mine), ("urgent", urgent), ("paused", paused)) if yes]
        if since is not None:
            query.append(("since", since.astimezone().isoformat()))
        query = [(name, value) for name, value in query if value]
        found, after = 0, ""
        while True:
            page = query + [("limit", str(min(limit - found, 1000) if limit else 100)), ("after", after)]
            listed = cast(t.JobList, self._get(("v1", "jobs"), page))
            for j in listed["jobs"]:
                found += 1
                yield j
            if not listed["next"] or listed["next"] == after or limit and found >= limit:
                return
            after = listed["next"]

    def cancel(self, id: str) -> t.Job:
        """Cancels a job; APIError with the code "conflict" when it has ended already."""
        return cast(t.Job, self._transport.json(Request("DELETE", ("v1", "jobs", id))))

    def stdout(self, id: str, *, attempt: str = "") -> bytes:
        """What a job that has ended wrote to its stdout; with ``attempt`` what that one wrote."""
        return self._bytes(("v1", "jobs", id, "stdout"), attempt=attempt)

    def stderr(self, id: str, *, attempt: str = "") -> bytes:
        """The same of its stderr."""
        return self._bytes(("v1", "jobs", id, "stderr"), attempt=attempt)

    def output(self, id: str, path: str, *, attempt: str = "") -> bytes:
        """One file of a job's outputs; of a directory, whose path ends with a slash, its manifest."""
        return self._bytes(("v1", "jobs", id, "outputs") + tuple(path.split("/")), attempt=attempt)

    def result(self, id: str, *, format: str = "zip") -> Iterator[bytes]:
        """All that a job has left, as one archive, zip or tar, in pieces as they come."""
        return self._stream(Request("GET", ("v1", "jobs", id, "result"), [("format", format)], stream=True)).chunks()

    def follow(self, id: str, *, stderr: bool = False, attempt: str = "") -> Iterator[bytes]:
        """What an attempt of a job writes, while it runs, until it has ended. A broken connection is taken up behind the bytes that
        have come, at any broker."""
        at, good = 0, time.monotonic()
        query = self._query("", attempt=attempt) + [("follow", "1")]
        while True:
            try:
                page = query + ([("from", str(at))] if at else [])
                for piece in self._stream(Request("GET", ("v1", "jobs", id, "stderr" if stderr else "stdout"), page, stream=True)).chunks():
                    at, good = at + len(piece), time.monotonic()
                    yield piece
                return
            except (APIError, Unreachable) as e:
                if not _passing(e) or _missing(e) and id not in self._submitted or time.monotonic() - good > self.patience:
                    raise
                self._transport.avoid(self._transport.base)
                self._transport.call().sleep(_POLL_PAUSE)

    # Blobs and named data.

    def put_blob(self, content: Content) -> t.Blob:
        """Uploads bytes, or the file of a path, and returns their SHA-256 and size. What the broker holds is not sent again; of 1 MiB and
        more only what has not come yet is, also when the link breaks."""
        source = _Source(content)
        blob: t.Blob = {"sha256": source.digest, "size": source.size}
        has, at = self._came(source.digest) if source.size else (False, 0)
        last, refused = time.monotonic(), 0
        while not has:
            try:
                self._put_from(source, at)
                return blob
            except APIError as e:
                refused += 1
                mended = e.code == "busy" or at > 0 and e.status in (409, 422)
                if source.size < RESUMABLE_FROM or not mended or refused > 3:
                    raise
            except Unreachable as e:
                if not e.sent or time.monotonic() - last > self.patience:
                    raise
            self._transport.call().sleep(_POLL_PAUSE)
            has, came = self._came(source.digest)
            if came > at:
                last = time.monotonic()
            at = came
        return blob

    def _came(self, digest: str) -> Tuple[bool, int]:
        try:
            self._transport.send(Request("HEAD", ("v1", "blobs", digest))).read()
            return True, 0
        except APIError as e:
            if e.status != 404:
                raise
            return False, int(getattr(e, "came", 0))

    def _put_from(self, source: _Source, at: int) -> None:
        headers = {"Content-Range": "bytes %d-%d/%d" % (at, source.size - 1, source.size)} if at else {}
        left = source.size - at
        body: Body = lambda: source.pieces(at, left)  # noqa: E731: it is opened again for each attempt
        self._transport.send(Request("PUT", ("v1", "blobs", source.digest), (), body, left, "application/octet-stream", headers)).read()

    def has_blob(self, digest: str) -> bool:
        """Whether the broker holds a blob."""
        return self._came(digest)[0]

    def blob(self, digest: str) -> bytes:
        """The bytes of a blob, whose digest is checked."""
        content = self._bytes(("v1", "blobs", digest))
        if hashlib.sha256(content).hexdigest() != digest:
            raise UCPError("%s has sent something else as blob %s" % (self._transport.base.written, digest))
        return content

    def missing(self, manifest: str) -> List[str]:
        """The digests of files of a directory that the broker lacks."""
        return list(cast(t.Missing, self._get(("v1", "blobs", manifest), [("missing", "1")]))["missing"])

    def put_data(self, name: str, content: Optional[Content] = None, *, digest: str = "", directory: bool = False, known: str = "", causal_token: str = "") -> t.Data:
        """Writes a version of named data: the content, or the blob of a digest, or the directory of which that is the manifest. With
        ``known`` only where that is the latest version, "none" for no version: otherwise APIError with the code "conflict"."""
        if content is not None:
            digest = self.put_blob(content)["sha256"]
        query = self._query(causal_token) + [("digest", digest)] + ([("directory", "1")] if directory else []) + ([("if", known)] if known else [])
        return cast(t.Data, self._seen(self._transport.json(Request("PUT", ("v1", "data") + tuple(name.split("/")), query))))

    def data(self, name: str, *, known: str = "", wait: float = 0.0, causal_token: str = "") -> t.Data:
        """What is known of named data. With ``wait`` the answer comes when it stands for another version than ``known``, or for any."""
        query = self._query(causal_token, wait=wait) + [("versions", "1")] + ([("known", known)] if known else [])
        return cast(t.Data, self._get(("v1", "data") + tuple(name.split("/")), query, wait))

    def read_data(self, name: str, *, version: str = "", path: str = "", causal_token: str = "") -> bytes:
        """The bytes of a version of named data, "" for the latest; of a directory its manifest, or the file at a path in it."""
        query = self._query(causal_token) + [(k, v) for k, v in (("version", version), ("path", path)) if v]
        return self._transport.send(Request("GET", ("v1", "data") + tuple(name.split("/")), query)).read(MAX_BLOB)

    def remove_data(self, name: str) -> t.Data:
        """Removes all versions of a name that the broker knows, for good."""
        return cast(t.Data, self._transport.json(Request("DELETE", ("v1", "data") + tuple(name.split("/")))))

    def list_data(self, prefix: str = "") -> Iterator[t.Data]:
        """The names below a prefix, which is "" or ends with a slash."""
        after = ""
        while True:
            listed = cast(t.DataList, self._get(("v1", "data") + tuple(prefix.split("/")), [("limit", "100")] + ([("after", after)] if after else [])))
            yield from listed["data"]
            if not listed.get("next") or listed["next"] == after:
                return
            after = listed["next"]

    # Strategies and their decisions.

    def strategy(self) -> t.Strategy:
        """By what the broker decides conflicts, and what there is."""
        return cast(t.Strategy, self._get(("v1", "strategy")))

    def set_strategy(self, name: str, *, cluster: bool = True) -> t.Strategy:
        """Changes by what conflicts are decided: at all brokers, or with ``cluster=False`` at the one that is asked."""
        body = _json({"strategy": name, "cluster": cluster})
        return cast(t.Strategy, self._transport.json(Request("PUT", ("v1", "strategy"), (), body, len(body))))

    def statistics(self) -> t.ConflictStatistics:
        """What the broker has decided, and how loaded it is."""
        return cast(t.ConflictStatistics, self._get(("broker", "conflict-statistics")))

    def conflicts(self, *, limit: int = 100) -> t.ConflictList:
        """The decided conflicts, the newest first."""
        return cast(t.ConflictList, self._get(("v1", "conflicts"), [("limit", str(limit))]))

    def conflict(self, id: str) -> t.Explanation:
        """One of them, explained."""
        return cast(t.Explanation, self._get(("v1", "conflicts", id)))

    # Brokers.

    def coordination(self, *, ask: bool = False) -> t.Coordination:
        """How the broker stands to the others; with ``ask`` it asks them first whether they are there, for a second at most."""
        return cast(t.Coordination, self._get(("broker", "coordination-status"), [("ask", "1")] if ask else []))

    def members(self) -> t.MemberList:
        """All nodes of the cluster."""
        return cast(t.MemberList, self._get(("v1", "members")))

    def metadata(self) -> Dict[str, t.Metadata]:
        """What the broker knows of all brokers, by their names."""
        return cast(t.MetadataList, self._get(("broker", "metadata")))["brokers"]

    def drain(self, name: str, *, deadline: Optional[float] = None) -> t.DrainedMember:
        """Lets a broker run nothing new until it is resumed; what still runs there after ``deadline`` seconds is moved."""
        query = [] if deadline is None else [("deadline", duration(deadline))]
        return cast(t.DrainedMember, self._transport.json(Request("PUT", ("v1", "members", name, "drain"), query)))

    def resume(self, name: str) -> t.DrainedMember:
        """Lets a broker run jobs again."""
        return cast(t.DrainedMember, self._transport.json(Request("DELETE", ("v1", "members", name, "drain"))))

    def forget(self, name: str) -> t.RemovedMember:
        """Gives up a broker that will not come back."""
        return cast(t.RemovedMember, self._transport.json(Request("DELETE", ("v1", "members", name))))

    def ready(self) -> bool:
        """Whether the broker takes jobs."""
        try:
            self._transport.json(Request("GET", ("readyz",)))
            return True
        except (APIError, Unreachable):
            return False

    def metrics(self) -> str:
        """The broker's figures in the format of Prometheus."""
        return self._bytes(("metrics",)).decode("utf-8")

    # Emergencies and events.

    def declare(self, declaration: t.Declaration, *, new_type: bool = False) -> t.Emergency:
        """Declares an emergency, such as {"type": "flood", "level": "critical"}, or changes one. With an ID it may be repeated."""
        body = _json(declaration)
        request = Request("POST", ("v1", "emergencies"), [("new_type", "1")] if new_type else [], body, len(body), named="id" in declaration)
        return cast(t.Emergency, self._transport.json(request))

    def clear(self, id: str, *, unknown: bool = False) -> t.Emergency:
        """Clears an emergency, for good; with ``unknown`` also one of which the broker has not heard yet."""
        return cast(t.Emergency, self._transport.json(Request("DELETE", ("v1", "emergencies", id), [("unknown", "1")] if unknown else [])))

    def emergencies(self) -> t.EmergencyList:
        """Those that the broker knows, the active ones first."""
        return cast(t.EmergencyList, self._get(("v1", "emergencies")))

    def emergency(self, id: str) -> t.Emergency:
        """One, with where it is in force and what it has caused."""
        return cast(t.Emergency, self._get(("v1", "emergencies", id)))

    def events(self, *, kinds: Sequence[str] = (), job: str = "", since: str = "", broker: str = "", reconnect: bool = True) -> Iterator[t.Event]:
        """What happens, as the broker comes to know it; of one job, until that has ended. Without ``kinds`` all
        but the states of jobs and versions of data; ``since`` is a time, or a duration such as "10m": also what has happened since;
        ``broker`` is what is about that one alone. A stream that breaks is begun again, at any broker, behind the event that was seen
        last where brokers number them; where they do not, an event of the kind "lost" says that some may be missing."""
        path = ("v1", "jobs", job, "events") if job else ("v1", "events")
        chosen = (("kinds", "" if job else ",".join(kinds)), ("since", since), ("broker", broker))
        query = [(name, value) for name, value in chosen if value]
        last, began, good = "", False, time.monotonic()
        while True:
            base = self._transport.base
            try:
                answer = self._stream(Request("GET", path, query, stream=True, headers={"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}))
                if began and not last:
                    yield _lost(base.written)
                began, good = True, time.monotonic()
                for last, event in _events(answer.lines(), last):
                    good = time.monotonic()
                    yield event
                    if job and event["kind"] == "job" and event["what"] in FINAL:
                        return
                cause: Union[APIError, Unreachable] = Unreachable(base.written, EOFError("the broker has ended the stream of events"), True)
            except (APIError, Unreachable) as e:
                cause = e
            if not reconnect or not began or not _passing(cause) or time.monotonic() - good > self.patience:
                raise cause
            self._transport.avoid(base)
            self._transport.call().sleep(_POLL_PAUSE)

    # What these share.

    def _query(self, causal_token: str, *, wait: float = 0.0, timeout: Optional[float] = None, attempt: str = "") -> List[Tuple[str, str]]:
        out: List[Tuple[str, str]] = []
        if wait > 0:
            out.append(("wait", duration(wait)))
        if timeout is not None:
            out.append(("timeout", duration(timeout)))
        if attempt:
            out.append(("attempt", attempt))
        token = causal_token or (self.causal_token if self._causal else "")
        if token:
            out.append(("causal_token", token))
        return out

    def _note(self, token: str) -> None:
        if token and self._causal:
            with self._lock:
                self._past = token

    def _seen(self, answer: Any) -> Mapping[str, Any]:
        self._note(str(answer.get("causal_token", "")))
        return cast(Mapping[str, Any], answer)

    def _get(self, path: Tuple[str, ...], query: Sequence[Tuple[str, str]] = (), wait: float = 0.0) -> Any:
        return self._transport.json(Request("GET", path, query, wait=wait))

    def _stream(self, request: Request) -> Answer:
        return self._transport.send(request)

    def _bytes(self, path: Tuple[str, ...], *, attempt: str = "") -> bytes:
        query = self._query("", attempt=attempt) if path[:2] == ("v1", "jobs") else []
        return self._transport.send(Request("GET", path, query)).read(MAX_BLOB)

    # For ucp.aio, which makes calls in threads.

    def _under(self, call: Optional[Call]) -> None:
        self._transport.under(call)


def _passing(e: UCPError) -> bool:
    """Whether an error may go away by itself: nobody answers, or the broker is on its way down or up, or has not heard yet of what
    another one has told."""
    return isinstance(e, Unreachable) or isinstance(e, APIError) and e.status in (503, 504) or _missing(e)


def _missing(e: UCPError) -> bool:
    return isinstance(e, APIError) and e.status == 404


def _lost(address: str) -> t.Event:
    now = datetime.now().astimezone().isoformat()
    return {"at": now, "broker": "", "kind": "lost", "id": "", "what": "lost", "text": "the stream of events broke, and goes on at %s: some may be missing" % address}


def _events(lines: Iterator[bytes], last: str) -> Iterator[Tuple[str, t.Event]]:
    """Reads server-sent events (WHATWG HTML, section 9.2), as far as brokers make them: each with the ID of the latest."""
    data: List[str] = []
    for line in lines:
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "data":
            data.append(value)
        elif field == "id":
            last = value
        elif not line and data:
            text, data = "\n".join(data), []
            try:
                yield last, cast(t.Event, json.loads(text))
            except ValueError as e:
                raise UCPError("an event that is no JSON: %.80s" % text) from e
