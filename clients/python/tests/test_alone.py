"""What needs no broker: signatures, encodings, and how the client takes what brokers may answer, from one that is only a script."""

from __future__ import annotations

import json
import socket
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Tuple

from ucp import APIError, Cancelled, Client, IdentityError, UCPError, Unreachable, _ed25519, _msgpack
from ucp._http import Call, parse_address
from ucp.city import Trust, trust_of_token

Answer = Tuple[int, Dict[str, str], bytes]


class Script:
    """A broker that answers what a function says, and keeps what it was asked."""

    def __init__(self, test: unittest.TestCase, answer: Callable[[str], Answer]) -> None:
        asked: List[Tuple[str, Dict[str, str]]] = []
        self.asked = asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                asked.append((self.command + " " + self.path, dict(self.headers)))
                status, headers, body = answer(self.command + " " + self.path)
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                try:
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the client has gone

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)
        self.address = "127.0.0.1:%d" % server.server_address[1]


def says(value: Any, status: int = 200, **headers: str) -> Answer:
    return status, {k.replace("_", "-"): v for k, v in headers.items()}, json.dumps(value).encode()


def refuses(status: int, code: str, **headers: str) -> Answer:
    return says({"error": "no", "code": code}, status, **headers)


class Repeating(unittest.TestCase):
    def client(self, *brokers: Script) -> Client:
        c = Client([b.address for b in brokers])
        self.addCleanup(c.close)
        return c

    def test_retry_after(self) -> None:
        answers = [refuses(429, "busy", Retry_After="0"), refuses(503, "unavailable", Retry_After="0"), says({"members": []})]
        broker = Script(self, lambda _: answers.pop(0))
        self.assertEqual(self.client(broker).members(), {"members": []})
        self.assertEqual(len(broker.asked), 3)

    def test_retries_end(self) -> None:
        broker = Script(self, lambda _: refuses(429, "busy", Retry_After="0"))
        with self.assertRaises(APIError) as e:
            self.client(broker).members()
        self.assertEqual((e.exception.code, len(broker.asked)), ("busy", 6))

    def test_without_retry_after_it_is_not_repeated(self) -> None:
        broker = Script(self, lambda _: refuses(503, "too_few_replicas"))
        with self.assertRaises(APIError):
            self.client(broker).submit({"command": "true"})
        self.assertEqual(len(broker.asked), 1)

    def test_who_leaves_is_asked_no_more(self) -> None:
        leaving, good = Script(self, lambda _: refuses(503, "draining")), Script(self, lambda _: says({"members": []}))
        c = self.client(leaving, good)
        c.members()
        c.members()
        self.assertEqual((len(leaving.asked), len(good.asked)), (1, 2))

    def test_who_does_not_answer_holds_up_nobody_for_longer_than_was_said(self) -> None:
        release = threading.Event()
        self.addCleanup(release.set)
        heard = [says({"members": []})]

        def answer(_: str) -> Answer:
            if heard:
                return heard.pop()
            release.wait(30)  # it stands still
            return refuses(503, "unavailable")

        c = self.client(Script(self, answer))
        c.members()
        began = time.monotonic()
        with self.assertRaises(TimeoutError):
            c.wait("py-1", timeout=0.3)
        self.assertLess(time.monotonic() - began, 5)

    def test_who_refuses_a_body_says_why(self) -> None:
        """A broker without room answers at once, and reads no more: that the connection breaks then is not what is wrong."""
        full = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(full.close)

        def refuse() -> None:
            while True:
                try:
                    connection, _ = full.accept()
                except OSError:
                    return
                with connection:
                    head = connection.recv(1 << 12)
                    body = b'{"error": "the disk is full", "code": "no_space"}'
                    status = b"404 Not Found" if head.startswith(b"HEAD") else b"507 Insufficient Storage"
                    connection.sendall(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
                    if not head.startswith(b"HEAD"):
                        connection.sendall(body)
                        connection.shutdown(socket.SHUT_WR)
                        time.sleep(0.2)

        threading.Thread(target=refuse, daemon=True).start()
        c = Client("127.0.0.1:%d" % full.getsockname()[1], patience=1)
        self.addCleanup(c.close)
        with self.assertRaises(APIError) as e:
            c.put_blob(b"x" * (64 << 20))
        self.assertEqual((e.exception.status, e.exception.code), (507, "no_space"))

    def test_what_may_have_been_done_is_not_done_twice(self) -> None:
        """A broker that takes a request and ends the connection may have done it."""
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        taken: List[bytes] = []

        def take() -> None:
            while True:
                try:
                    connection, _ = silent.accept()
                except OSError:
                    return
                taken.append(connection.recv(1 << 16))
                connection.close()

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        good = Script(self, lambda _: says({"id": "x", "replicas": 1, "degraded": False, "causal_token": ""}, 201))
        first = "127.0.0.1:%d" % silent.getsockname()[1]
        with Client([first, good.address]) as c:
            with self.assertRaises(Unreachable) as e:
                c.declare({"type": "flood", "level": "low"})
            self.assertTrue(e.exception.sent)
            self.assertEqual(good.asked, [], "a declaration without an ID would be another emergency")
        with Client([first, good.address]) as c:
            c.submit({"command": "true"})
            self.assertTrue(good.asked[0][0].startswith("PUT /v1/jobs/"), "a submission has an ID, and goes on to the next")
        self.assertEqual(len(taken), 2)

    def test_answers_that_are_none(self) -> None:
        for body in (b"<html>", b'{"members":'):
            broker = Script(self, lambda _: (200, {}, body))
            with self.assertRaises(UCPError):
                self.client(broker).members()
        cut = Script(self, lambda _: (200, {"Content-Length": "100", "Connection": "close"}, b"{}"))
        with self.assertRaises(Unreachable):
            self.client(cut).members()

    def test_a_token_goes_over_tls_only(self) -> None:
        broker = Script(self, lambda _: says({"members": []}))
        c = self.client(broker)
        c._transport._token = "secret"
        with self.assertRaises(UCPError):
            c.members()
        self.assertEqual(broker.asked, [])

    def test_events_go_on_behind_the_last(self) -> None:
        def answer(_: str) -> Answer:
            n = len(broker.asked)
            text = ': hello\n\nid: %d\nevent: job\ndata: {"kind":"job",\ndata: "id":"j%d"}\n\n' % (n, n)
            return 200, {"Content-Type": "text/event-stream"}, text.encode()

        broker = Script(self, answer)
        stream = self.client(broker).events()
        self.assertEqual([next(stream)["id"] for _ in range(3)], ["j1", "j2", "j3"])
        self.assertEqual([headers.get("Last-Event-ID") for _, headers in broker.asked], [None, "1", "2"])

    def test_a_broken_stream_without_ids_says_so(self) -> None:
        broker = Script(self, lambda _: (200, {"Content-Type": "text/event-stream"}, b'data: {"kind":"job"}\n\n'))
        stream = self.client(broker).events()
        self.assertEqual([next(stream)["kind"] for _ in range(3)], ["job", "lost", "job"])

    def test_a_call_is_given_up(self) -> None:
        hold = threading.Event()
        self.addCleanup(hold.set)

        def answer(_: str) -> Answer:
            hold.wait(30)
            return says({})

        c, call = self.client(Script(self, answer)), Call()
        threading.Timer(0.2, call.give_up).start()
        began = time.monotonic()
        c._under(call)
        with self.assertRaises(Cancelled):
            c.members()
        self.assertLess(time.monotonic() - began, 5)


class Encodings(unittest.TestCase):
    def test_ed25519(self) -> None:
        """RFC 8032, section 7.1: tests 1 to 3."""
        for seed, key, message, signature in (
            ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
            ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
            ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
             "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
        ):
            s, k, m, sig = (bytes.fromhex(x) for x in (seed, key, message, signature))
            self.assertEqual(_ed25519.public(s), k)
            self.assertEqual(_ed25519.sign(s, m), sig)
            self.assertTrue(_ed25519.verify(k, m, sig))
            for i in range(0, 64, 7):
                bad = sig[:i] + bytes([sig[i] ^ 1]) + sig[i + 1 :]
                self.assertFalse(_ed25519.verify(k, m, bad), i)
            self.assertFalse(_ed25519.verify(k, m + b"x", sig))
            raised = (int.from_bytes(sig[32:], "little") + _ed25519._Q).to_bytes(32, "little")
            self.assertFalse(_ed25519.verify(k, m, sig[:32] + raised), "the same signature in another form")

    def test_msgpack(self) -> None:
        pairs = [("body", b"x" * 300), ("sig", b"")]
        self.assertEqual(_msgpack.decode(_msgpack.encode_map(pairs)), dict(pairs))
        good = _msgpack.encode_map(pairs)
        for i in range(len(good)):
            with self.assertRaises(IdentityError):
                _msgpack.decode(good[:i])
        for bad in (b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\x91" * 100 + b"\xc0", b"\x82\xa1a\x01\xa1a\x02", b"\xc1", good + b"\x00"):
            with self.assertRaises(IdentityError):
                _msgpack.decode(bad)

    def test_damaged_tokens_and_certificates(self) -> None:
        for text in ("", "ucp1.", "ucp1.!!", "ucp1.gqE", "Bearer x", "ucp1." + "A" * 9000):
            with self.assertRaises(IdentityError):
                trust_of_token(text)
        trust = Trust.__new__(Trust)
        for der in (None, b"", b"\x30", b"\x30\x03\x02\x01\x00", b"\x30\x84\xff\xff\xff\xff", bytes(100)):
            with self.assertRaises(IdentityError):
                trust.check(der)

    def test_addresses(self) -> None:
        for text, host, port in (("a", "a", 8000), ("10.0.0.1:9", "10.0.0.1", 9), ("::1", "::1", 8000), ("[::1]:9", "::1", 9), ("http://h/x/", "h", 80)):
            base = parse_address(text, "http")
            self.assertEqual((base.host, base.port), (host, port), text)
        self.assertEqual(parse_address("a:1", "https").scheme, "https")
        self.assertEqual(parse_address("unix:/run/ucp", "https").path, "/run/ucp")
        for bad in ("", "ftp://a", "a:b", "a/b", "unix:", "http://u@h", "http://h?x"):
            with self.assertRaises(ValueError, msg=bad):
                parse_address(bad, "http")


if __name__ == "__main__":
    unittest.main()
