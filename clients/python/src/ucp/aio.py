"""The client for asyncio. Requests are made in a few threads of the client's own; a task that is cancelled ends its request at once."""

from __future__ import annotations

import asyncio
import queue
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import AsyncIterator, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar, Union, cast

from . import types as t
from ._http import Call
from .city import Identity
from .client import MAX_WAIT, Client, Content

T = TypeVar("T")

_STREAM_QUEUE = 64  # pieces of a stream that wait for who reads it


class AsyncClient:
    """:class:`Client`, whose methods are coroutines, and whose streams are asynchronous iterators. ``threads`` is how many requests and
    streams there are at once; more wait for their turn."""

    def __init__(
        self,
        addresses: Union[str, Sequence[str]] = "",
        *,
        token: str = "",
        identity: Optional[Identity] = None,
        causal: bool = False,
        patience: float = 30.0,
        threads: int = 32,
    ) -> None:
        self._client = Client(addresses, token=token, identity=identity, causal=causal, patience=patience)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ucp")

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives up what is waited for, and waits until all threads have ended."""
        self._client.close()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)

    @property
    def addresses(self) -> List[str]:
        """Those of all brokers that the client knows, the one that is asked now first."""
        return self._client.addresses

    @property
    def causal_token(self) -> str:
        """What the client has seen, with ``causal``."""
        return self._client.causal_token

    async def _do(self, ask: Callable[[], T]) -> T:
        call = Call()

        def run() -> T:
            self._client._under(call)
            try:
                return ask()
            finally:
                self._client._under(None)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except asyncio.CancelledError:
            call.give_up()
            raise

    async def _each(self, begin: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
        """Hands out what an iterator gives that runs in a thread. It is ended with the generator."""
        loop, call = asyncio.get_running_loop(), Call()
        came: "asyncio.Queue[Tuple[bool, Optional[T], Optional[BaseException]]]" = asyncio.Queue()
        room: "queue.Queue[None]" = queue.Queue()
        for _ in range(_STREAM_QUEUE):
            room.put(None)

        def tell(more: bool, value: Optional[T], error: Optional[BaseException]) -> None:
            try:
                loop.call_soon_threadsafe(came.put_nowait, (more, value, error))
            except RuntimeError:
                call.give_up()  # the loop is closed: nobody reads this any more

        def run() -> None:
            self._client._under(call)
            try:
                for value in begin():
                    room.get()
                    call.check()
                    tell(True, value, None)
                tell(False, None, None)
            except BaseException as e:  # it is raised where the stream is read
                tell(False, None, e)
            finally:
                self._client._under(None)

        done = self._pool.submit(run)
        try:
            while True:
                more, value, error = await came.get()
                if error is not None:
                    raise error
                if not more:
                    return
                room.put(None)
                yield cast(T, value)  # there is one where there is more
        finally:
            call.give_up()
            room.put(None)
            done.cancel()

    async def learn(self) -> List[str]:
        """See :meth:`Client.learn`."""
        return await self._do(self._client.learn)

    async def submit(self, spec: t.SpecDocument, *, id: str = "", wait: float = 0.0, timeout: Optional[float] = None, causal_token: str = "") -> t.Submission:
        """See :meth:`Client.submit`."""
        return await self._do(lambda: self._client.submit(spec, id=id, wait=wait, timeout=timeout, causal_token=causal_token))

    async def submit_batch(self, jobs: Sequence[Tuple[str, t.SpecDocument]], *, timeout: Optional[float] = None, causal_token: str = "") -> List[t.BatchLine]:
        """See :meth:`Client.submit_batch`."""
        return await self._do(lambda: self._client.submit_batch(jobs, timeout=timeout, causal_token=causal_token))

    async def dry_run(self, spec: t.SpecDocument) -> t.DryRun:
        """See :meth:`Client.dry_run`."""
        return await self._do(lambda: self._client.dry_run(spec))

    async def job(self, id: str, *, wait: float = 0.0, causal_token: str = "", timeout: Optional[float] = None) -> t.Job:
        """See :meth:`Client.job`."""
        return await self._do(lambda: self._client.job(id, wait=wait, causal_token=causal_token, timeout=timeout))

    async def wait(self, id: str, *, timeout: Optional[float] = None, causal_token: str = "", poll: float = MAX_WAIT) -> t.Job:
        """See :meth:`Client.wait`."""
        return await self._do(lambda: self._client.wait(id, timeout=timeout, causal_token=causal_token, poll=poll))

    async def run(self, spec: t.SpecDocument, *, id: str = "", blobs: Sequence[Content] = (), timeout: Optional[float] = None) -> t.Job:
        """See :meth:`Client.run`."""
        return await self._do(lambda: self._client.run(spec, id=id, blobs=blobs, timeout=timeout))

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
    ) -> AsyncIterator[t.Job]:
        """See :meth:`Client.jobs`."""
        return self._each(
            lambda: self._client.jobs(
                state=state, label=label, name=name, broker=broker, emergency=emergency, submitter=submitter, mine=mine, urgent=urgent, paused=paused,
                since=since, limit=limit,
            )
        )

    async def cancel(self, id: str) -> t.Job:
        """See :meth:`Client.cancel`."""
        return await self._do(lambda: self._client.cancel(id))

    async def stdout(self, id: str, *, attempt: str = "") -> bytes:
        """See :meth:`Client.stdout`."""
        return await self._do(lambda: self._client.stdout(id, attempt=attempt))

    async def stderr(self, id: str, *, attempt: str = "") -> bytes:
        """See :meth:`Client.stderr`."""
        return await self._do(lambda: self._client.stderr(id, attempt=attempt))

    async def output(self, id: str, path: str, *, attempt: str = "") -> bytes:
        """See :meth:`Client.output`."""
        return await self._do(lambda: self._client.output(id, path, attempt=attempt))

    def result(self, id: str, *, format: str = "zip") -> AsyncIterator[bytes]:
        """See :meth:`Client.result`."""
        return self._each(lambda: self._client.result(id, format=format))

    def follow(self, id: str, *, stderr: bool = False, attempt: str = "") -> AsyncIterator[bytes]:
        """See :meth:`Client.follow`."""
        return self._each(lambda: self._client.follow(id, stderr=stderr, attempt=attempt))

    async def put_blob(self, content: Content) -> t.Blob:
        """See :meth:`Client.put_blob`."""
        return await self._do(lambda: self._client.put_blob(content))

    async def has_blob(self, digest: str) -> bool:
        """See :meth:`Client.has_blob`."""
        return await self._do(lambda: self._client.has_blob(digest))

    async def blob(self, digest: str) -> bytes:
        """See :meth:`Client.blob`."""
        return await self._do(lambda: self._client.blob(digest))

    async def missing(self, manifest: str) -> List[str]:
        """See :meth:`Client.missing`."""
        return await self._do(lambda: self._client.missing(manifest))

    async def put_data(
        self, name: str, content: Optional[Content] = None, *, digest: str = "", directory: bool = False, known: str = "", causal_token: str = ""
    ) -> t.Data:
        """See :meth:`Client.put_data`."""
        return await self._do(lambda: self._client.put_data(name, content, digest=digest, directory=directory, known=known, causal_token=causal_token))

    async def data(self, name: str, *, known: str = "", wait: float = 0.0, causal_token: str = "") -> t.Data:
        """See :meth:`Client.data`."""
        return await self._do(lambda: self._client.data(name, known=known, wait=wait, causal_token=causal_token))

    async def read_data(self, name: str, *, version: str = "", path: str = "", causal_token: str = "") -> bytes:
        """See :meth:`Client.read_data`."""
        return await self._do(lambda: self._client.read_data(name, version=version, path=path, causal_token=causal_token))

    async def remove_data(self, name: str) -> t.Data:
        """See :meth:`Client.remove_data`."""
        return await self._do(lambda: self._client.remove_data(name))

    def list_data(self, prefix: str = "") -> AsyncIterator[t.Data]:
        """See :meth:`Client.list_data`."""
        return self._each(lambda: self._client.list_data(prefix))

    async def strategy(self) -> t.Strategy:
        """See :meth:`Client.strategy`."""
        return await self._do(self._client.strategy)

    async def set_strategy(self, name: str, *, cluster: bool = True) -> t.Strategy:
        """See :meth:`Client.set_strategy`."""
        return await self._do(lambda: self._client.set_strategy(name, cluster=cluster))

    async def statistics(self) -> t.ConflictStatistics:
        """See :meth:`Client.statistics`."""
        return await self._do(self._client.statistics)

    async def conflicts(self, *, limit: int = 100) -> t.ConflictList:
        """See :meth:`Client.conflicts`."""
        return await self._do(lambda: self._client.conflicts(limit=limit))

    async def conflict(self, id: str) -> t.Explanation:
        """See :meth:`Client.conflict`."""
        return await self._do(lambda: self._client.conflict(id))

    async def coordination(self, *, ask: bool = False) -> t.Coordination:
        """See :meth:`Client.coordination`."""
        return await self._do(lambda: self._client.coordination(ask=ask))

    async def members(self) -> t.MemberList:
        """See :meth:`Client.members`."""
        return await self._do(self._client.members)

    async def metadata(self) -> Dict[str, t.Metadata]:
        """See :meth:`Client.metadata`."""
        return await self._do(self._client.metadata)

    async def drain(self, name: str, *, deadline: Optional[float] = None) -> t.DrainedMember:
        """See :meth:`Client.drain`."""
        return await self._do(lambda: self._client.drain(name, deadline=deadline))

    async def resume(self, name: str) -> t.DrainedMember:
        """See :meth:`Client.resume`."""
        return await self._do(lambda: self._client.resume(name))

    async def forget(self, name: str) -> t.RemovedMember:
        """See :meth:`Client.forget`."""
        return await self._do(lambda: self._client.forget(name))

    async def ready(self) -> bool:
        """See :meth:`Client.ready`."""
        return await self._do(self._client.ready)

    async def metrics(self) -> str:
        """See :meth:`Client.metrics`."""
        return await self._do(self._client.metrics)

    async def declare(self, declaration: t.Declaration, *, new_type: bool = False) -> t.Emergency:
        """See :meth:`Client.declare`."""
        return await self._do(lambda: self._client.declare(declaration, new_type=new_type))

    async def clear(self, id: str, *, unknown: bool = False) -> t.Emergency:
        """See :meth:`Client.clear`."""
        return await self._do(lambda: self._client.clear(id, unknown=unknown))

    async def emergencies(self) -> t.EmergencyList:
        """See :meth:`Client.emergencies`."""
        return await self._do(self._client.emergencies)

    async def emergency(self, id: str) -> t.Emergency:
        """See :meth:`Client.emergency`."""
        return await self._do(lambda: self._client.emergency(id))

    def events(self, *, kinds: Sequence[str] = (), job: str = "", since: str = "", broker: str = "", reconnect: bool = True) -> AsyncIterator[t.Event]:
        """See :meth:`Client.events`."""
        return self._each(lambda: self._client.events(kinds=kinds, job=job, since=since, broker=broker, reconnect=reconnect))
