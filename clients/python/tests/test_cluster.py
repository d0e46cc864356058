"""The client against three real brokers, of which the last test kills one in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import tempfile
import threading
import time
import unittest
import zipfile
from typing import Any, List, cast

import cluster
from ucp import APIError, AsyncClient, Cancelled, Client, JobFailed, UCPError, Unreachable
from ucp._http import Answer, Request
from ucp.types import Event, Job, SpecDocument


class Jobs(unittest.TestCase):
    def setUp(self) -> None:
        self.ucp = Client(cluster.addresses())
        self.addCleanup(self.ucp.close)

    def test_submit_wait_and_read(self) -> None:
        out = self.ucp.submit({"command": "/bin/sh", "args": ["-c", "echo out; echo err >&2; echo kept > f"], "outputs": ["f"], "priority": {"user": 8}})
        self.assertGreaterEqual(out["replicas"], 1)
        job = self.ucp.wait(out["id"], timeout=60)
        self.assertEqual(job["state"], "succeeded")
        self.assertEqual(job["spec"]["priority"]["user"], 8)
        self.assertEqual(self.ucp.stdout(job["id"]), b"out\n")
        self.assertEqual(self.ucp.stderr(job["id"]), b"err\n")
        self.assertEqual(self.ucp.output(job["id"], "f"), b"kept\n")
        with zipfile.ZipFile(io.BytesIO(b"".join(self.ucp.result(job["id"])))) as archive:
            self.assertEqual(archive.read("outputs/f"), b"kept\n")

    def test_a_submission_may_be_repeated(self) -> None:
        first = self.ucp.submit({"command": "true"}, id="py-again")
        self.assertEqual(self.ucp.submit({"command": "true"}, id="py-again")["id"], first["id"])
        with self.assertRaises(APIError) as refused:
            self.ucp.submit({"command": "false"}, id="py-again")
        self.assertEqual((refused.exception.status, refused.exception.code), (409, "conflict"))
        self.assertTrue(refused.exception.refused)
        self.assertIn("another spec", refused.exception.message)

    def test_failures_are_exceptions(self) -> None:
        with self.assertRaises(JobFailed) as failed:
            self.ucp.run({"command": "/bin/sh", "args": ["-c", "exit 3"]}, timeout=60)
        self.assertEqual(failed.exception.state, "failed")
        began = time.monotonic()
        with self.assertRaises(APIError) as missing:
            self.ucp.wait("py-nobody")
        self.assertEqual(missing.exception.code, "not_found")
        self.assertLess(time.monotonic() - began, 5, "of a job that nobody has seen nothing is waited for")
        with self.assertRaises(APIError) as invalid:
            self.ucp.submit(cast(Any, {"command": "true", "colour": "red"}))
        self.assertEqual((invalid.exception.status, invalid.exception.code), (400, "bad_request"))
        with self.assertRaises(Unreachable):
            Client("127.0.0.1:1").members()

    def test_wait_has_an_end(self) -> None:
        id = self.ucp.submit({"command": "sleep", "args": ["60"]})["id"]
        with self.assertRaises(TimeoutError):
            self.ucp.wait(id, timeout=1)
        self.assertIn(self.ucp.cancel(id)["state"], ("cancelled",))
        self.assertEqual(self.ucp.wait(id, timeout=30)["state"], "cancelled")

    def test_batches_and_lists(self) -> None:
        spec: SpecDocument = {"command": "true", "labels": {"py": "batch"}}
        lines = self.ucp.submit_batch([("py-b%d" % i, spec) for i in range(5)] + [("py-bad", {"command": ""})])
        self.assertEqual([line["line"] for line in lines], [1, 2, 3, 4, 5, 6])
        self.assertEqual(lines[5]["error"]["code"], "invalid")
        listed = list(self.ucp.jobs(label="py=batch"))
        self.assertEqual({j["id"] for j in listed}, {"py-b%d" % i for i in range(5)})
        self.assertEqual(len(list(self.ucp.jobs(label="py=batch", limit=2))), 2)
        self.assertTrue(self.ucp.dry_run({"command": "true"})["brokers"])

    def test_events_of_a_job_end_with_it(self) -> None:
        id = self.ucp.submit({"command": "sleep", "args": ["60"]})["id"]
        threading.Timer(1, self.ucp.cancel, [id]).start()
        self.assertEqual([e["what"] for e in self.ucp.events(job=id)][-1], "cancelled")

    def test_following(self) -> None:
        id = self.ucp.submit({"command": "/bin/sh", "args": ["-c", "for i in 1 2 3; do echo $i; sleep 0.2; done"]})["id"]
        self.assertEqual(b"".join(self.ucp.follow(id)), b"1\n2\n3\n")


class Contents(unittest.TestCase):
    def setUp(self) -> None:
        self.ucp = Client(cluster.addresses())
        self.addCleanup(self.ucp.close)

    def test_blobs(self) -> None:
        for content in (b"", b"small", os.urandom(3 << 20)):
            blob = self.ucp.put_blob(content)
            self.assertEqual(blob, {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
            self.assertEqual(self.ucp.blob(blob["sha256"]), content)
            self.assertTrue(self.ucp.has_blob(blob["sha256"]))
            self.assertEqual(self.ucp.put_blob(content), blob)
        self.assertFalse(self.ucp.has_blob("0" * 64))

    def test_files_and_inputs(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "in")
            with open(path, "wb") as f:
                f.write(b"of a file")
            digest = hashlib.sha256(b"of a file").hexdigest()
            job = self.ucp.run({"command": "cat", "args": ["in"], "inputs": {"in": digest}}, blobs=[path], timeout=60)
        self.assertEqual(self.ucp.stdout(job["id"]), b"of a file")

    def test_an_upload_goes_on_where_it_was(self) -> None:
        """Half of it comes by a connection that ends: the client sends the rest alone."""
        content = os.urandom(4 << 20)
        digest = hashlib.sha256(content).hexdigest()
        host, port = self.ucp.addresses[0].rsplit(":", 1)
        with socket.create_connection((host, int(port))) as raw:
            head = "PUT /v1/blobs/%s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
            raw.sendall((head % (digest, host, port, len(content))).encode() + content[: 2 << 20])
        end = time.monotonic() + 20
        while self.ucp._came(digest)[1] < 1 << 20:
            self.assertLess(time.monotonic(), end, "what has come stays")
            time.sleep(0.05)
        came = self.ucp._came(digest)[1]
        sent: List[int] = []
        send = self.ucp._transport.send

        def counted(request: Request) -> Answer:
            if request.method == "PUT":
                sent.append(request.size)
            return send(request)

        cast(Any, self.ucp._transport).send = counted
        self.ucp.put_blob(content)
        self.assertEqual(sent, [len(content) - came])
        self.assertEqual(self.ucp.blob(digest), content)

    def test_named_data(self) -> None:
        first = self.ucp.put_data("py/river/today", b"4.2 m")
        self.assertTrue(first["new"])
        known = first["versions"][0]["version"]
        with self.assertRaises(APIError) as refused:
            self.ucp.put_data("py/river/today", b"4.3 m", known="none")
        self.assertEqual(refused.exception.code, "conflict")
        self.ucp.put_data("py/river/today", b"4.3 m", known=known)
        self.assertEqual(self.ucp.read_data("py/river/today"), b"4.3 m")
        self.assertEqual(self.ucp.read_data("py/river/today", version=known), b"4.2 m")
        self.assertEqual([d["name"] for d in self.ucp.list_data("py/")], ["py/river/today"])
        self.ucp.remove_data("py/river/today")
        self.assertEqual(list(self.ucp.list_data("py/")), [])

    def test_one_reads_ones_own_writes_anywhere(self) -> None:
        first, *others = cluster.addresses()
        with Client(first, causal=True) as writer:
            id = writer.submit({"command": "true"})["id"]
            self.assertTrue(writer.causal_token)
            for other in others:
                with Client(other) as reader:
                    self.assertEqual(reader.job(id, causal_token=writer.causal_token)["id"], id)


class Decisions(unittest.TestCase):
    def setUp(self) -> None:
        self.ucp = Client(cluster.addresses())
        self.addCleanup(self.ucp.close)

    def test_strategies_statistics_and_status(self) -> None:
        before = self.ucp.strategy()["strategy"]
        self.assertEqual(self.ucp.set_strategy("fcfs")["strategy"], "fcfs")
        self.assertEqual(self.ucp.statistics()["current_strategy"], "fcfs")
        self.ucp.set_strategy(before)
        status = self.ucp.coordination(ask=True)
        self.assertEqual(status["total_peers"], len(cluster.addresses()) - 1)
        self.assertEqual(sorted([*status["peer_brokers"], status["name"]]), sorted(self.ucp.metadata()))
        self.assertEqual(len(self.ucp.learn()), len(cluster.addresses()))
        self.assertIn("ucp_jobs_unfinished", self.ucp.metrics())
        self.assertTrue(self.ucp.ready())

    def test_emergencies_and_events(self) -> None:
        came: List[Event] = []

        def watch() -> None:
            try:
                for event in self.ucp.events(kinds=["emergency"]):
                    came.append(event)
            except UCPError:
                pass  # the client is closed

        thread = threading.Thread(target=watch)
        thread.start()
        end = time.monotonic() + 30
        while not any(e["id"] == "py-flood" for e in came):
            self.ucp.declare({"id": "py-flood", "type": "flood", "level": "low", "ttl": "1m"})
            self.assertLess(time.monotonic(), end, "no event comes")
            time.sleep(0.1)
        self.assertTrue(self.ucp.emergency("py-flood")["active"])
        self.assertFalse(self.ucp.clear("py-flood")["active"])
        self.ucp.close()
        thread.join(10)
        self.assertFalse(thread.is_alive(), "a closed client ends its streams")


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_many_at_once(self) -> None:
        async with AsyncClient(cluster.addresses()) as ucp:
            jobs = await asyncio.gather(*(ucp.submit({"command": "true"}) for _ in range(10)))
            ends = await asyncio.gather(*(ucp.wait(j["id"], timeout=60) for j in jobs))
            self.assertEqual({e["state"] for e in ends}, {"succeeded"})
            listed: List[Job] = [j async for j in ucp.jobs(limit=150)]
            self.assertTrue({j["id"] for j in jobs} & {j["id"] for j in listed})

    async def test_a_cancelled_task_ends_its_request(self) -> None:
        async with AsyncClient(cluster.addresses(), threads=1) as ucp:
            id = (await ucp.submit({"command": "sleep", "args": ["60"]}))["id"]
            began = time.monotonic()
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(ucp.wait(id), 0.5)
            await ucp.cancel(id)  # there is one thread: it is free again
            self.assertLess(time.monotonic() - began, 10)

    async def test_a_stream_that_is_left(self) -> None:
        async with AsyncClient(cluster.addresses(), threads=2) as ucp:
            id = (await ucp.submit({"command": "/bin/sh", "args": ["-c", "while :; do echo x; sleep 0.05; done"]}))["id"]
            stream = ucp.follow(id)
            async for piece in stream:
                self.assertIn(b"x", piece)
                break
            await cast(Any, stream).aclose()  # it is a generator
            await ucp.cancel(id)

    async def test_errors_come_through(self) -> None:
        async with AsyncClient(cluster.addresses()) as ucp:
            with self.assertRaises(APIError):
                await ucp.job("py-nobody")
            with self.assertRaises(APIError):
                async for _ in ucp.follow("py-nobody"):
                    pass

    async def test_closing_gives_up(self) -> None:
        ucp = AsyncClient(cluster.addresses())
        id = (await ucp.submit({"command": "sleep", "args": ["60"]}))["id"]
        waiting = asyncio.ensure_future(ucp.wait(id))
        await asyncio.sleep(0.3)
        await ucp.close()
        with self.assertRaises((Cancelled, UCPError)):
            await waiting
        with Client(cluster.addresses()) as again:
            again.cancel(id)


class ZBrokersFail(unittest.TestCase):
    """Tests run in the order of their names: this is the last class, and its last test kills a broker."""

    def test_a_broker_that_stands_still(self) -> None:
        address, pid = cluster.brokers()[0]
        with Client(cluster.addresses()) as ucp:
            ucp.members()  # a connection is open
            cluster.stop(pid)
            self.addCleanup(cluster.go_on, pid)
            began = time.monotonic()
            self.assertTrue(ucp.members()["members"])
            self.assertLess(time.monotonic() - began, 25)
            self.assertNotEqual(ucp.addresses[0], address, "another one is asked from now on")

    def test_one_is_killed_in_the_middle(self) -> None:
        address, pid = cluster.brokers()[0]
        with Client(cluster.addresses()) as ucp:
            running = ucp.submit({"command": "/bin/sh", "args": ["-c", "sleep 3; echo done"]})
            seen: List[str] = []

            def tell(job: Job) -> None:
                seen.append(job["state"])
                if len(seen) == 1:
                    cluster.kill(pid)

            end = ucp.wait(running["id"], timeout=240, poll=1, seen=tell)
            self.assertEqual(end["state"], "succeeded")
            self.assertEqual(ucp.stdout(running["id"]), b"done\n")
            self.assertNotEqual(ucp.addresses[0], address, "others are asked from now on")
            self.assertEqual(ucp.run({"command": "true"}, timeout=60)["state"], "succeeded")


if __name__ == "__main__":
    unittest.main()
