"""The client alone, against a server that answers as it is told to: `python3 -m unittest discover clients/python/tests`."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import socketserver
import tempfile
import threading
import unittest
from datetime import datetime
from typing import Any, Callable, Dict, List, Optional, Tuple
from unittest import mock

import ponos_bus
from ponos_bus import Bus, BusError, Stopped

DELIVERY = {
    "token": "t1", "queue": "shop.a", "attempt": 1, "attempts": 2, "deadline": "2026-12-24T17:00:00Z",
    "correlation_id": "c", "event": {"id": "e1", "type": "order.item.placed", "data": {"order": 7}},
}
Answer = Optional[Tuple[int, Any]]


class Fake:
    """Answers each request by its number, counted from 1: a status and a body, or `None`, which closes the connection."""

    def __init__(self, answer: Callable[[int, str, Any], Answer], path: Optional[str] = None) -> None:
        self.came: List[Tuple[str, Any]] = []
        self.connections: List[int] = []
        self.halfway: Callable[[], Any] = lambda: None
        self.lock = threading.Lock()
        fake, opened = self, []

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = path is None

            def handle(self) -> None:
                opened.append(self)
                mine = len(opened)
                while True:
                    line = self.rfile.readline().decode()
                    if not line:
                        return
                    length = 0
                    while (head := self.rfile.readline().strip().lower()):
                        if head.startswith(b"content-length:"):
                            length = int(head.split(b":")[1])
                    text = self.rfile.read(length)
                    with fake.lock:
                        fake.came.append((line.split(" ")[1], json.loads(text) if text else None))
                        fake.connections.append(mine)
                        number = len(fake.came)
                    answered = answer(number, *fake.came[number - 1])
                    if answered is None:
                        return
                    fake.write(self.wfile, *answered)

        kind = socketserver.ThreadingTCPServer if path is None else socketserver.ThreadingUnixStreamServer
        self.server = kind(path or ("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}" if path is None else f"unix:{path}"

    def write(self, out: Any, status: int, body: Any) -> None:
        text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        out.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text[:1])
        self.halfway()
        out.write(text[1:])

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()

    def outcomes(self) -> List[Dict[str, Any]]:
        return [body for path, body in self.came if path.startswith("/v1/deliveries/")]


class Time:
    """Stands still but for sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def one_delivery(*settling: Answer) -> Callable[[int, str, Any], Answer]:
    """The delivery, then these answers to its outcomes, and `done` or what else it was to the others."""
    ended = {"retry": "retried", "release": "released"}

    def answer(number: int, path: str, body: Any) -> Answer:
        if path.startswith("/v1/receive"):
            return 200, DELIVERY
        if number - 2 < len(settling):
            return settling[number - 2]
        return 200, {"ended": ended.get(body["outcome"], body["outcome"])}

    return answer


class Client(unittest.TestCase):
    def setUp(self) -> None:
        self.handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        logging.disable(logging.CRITICAL)
        self.time = Time()
        patched = mock.patch.object(ponos_bus, "time", self.time)
        patched.start()
        self.addCleanup(patched.stop)

    def tearDown(self) -> None:
        logging.disable(logging.NOTSET)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def settled(self, block: Callable[[Any], None], *settling: Answer) -> List[Dict[str, Any]]:
        """What is said of a delivery that this block handles."""
        with Fake(one_delivery(*settling)) as fake:
            bus = Bus(fake.url, signals=False)
            try:
                with bus.receive() as event:
                    block(event)
            finally:
                bus.close()
            return fake.outcomes()

    def test_what_can_not_be_sent_fails_in_the_block_and_is_tried_again(self) -> None:
        for data in (datetime.now(), float("nan"), b"x", "\udce9", {1j: 1}):
            outcomes = self.settled(lambda event: event.publish("a.b.c", data))
            self.assertEqual([outcome["outcome"] for outcome in outcomes], ["retry"], data)
            self.assertRegex(outcomes[0]["reason"], "Error: ")

    def test_data_are_taken_as_they_are_when_they_are_published(self) -> None:
        def block(event: Any) -> None:
            data = {"order": 7}
            event.publish("a.b.c", data, key="one")
            event.task("d.e.f", "täglich")
            data["order"] = 8

        [outcome] = self.settled(block)
        self.assertEqual(outcome["publish"], [{"event": "a.b.c", "data": {"order": 7}, "key": "one"}, {"task": "d.e.f", "data": "täglich"}])

    def test_a_reason_can_always_be_sent(self) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        for error, words in ((FileNotFoundError("caf\udce9"), "FileNotFoundError: caf?"), (Mute(), "Mute: Mute, whose text"), (ValueError("ä" * 9999), "ValueError: ää")):
            def block(event: Any) -> None:
                raise error

            [outcome] = self.settled(block)
            self.assertTrue(outcome["reason"].startswith(words), outcome["reason"][:99])
            self.assertLessEqual(len(outcome["reason"].encode()), 4000)
        [outcome] = self.settled(lambda event: event.dead(ValueError("no \udce9")))
        self.assertEqual(outcome, {"outcome": "dead", "reason": "no ?"})

    def test_an_outcome_that_is_refused_is_a_failed_attempt(self) -> None:
        for status in (400, 413, 422):
            first, second = self.settled(lambda event: event.publish("a.b.c", 1), (status, {"code": "x", "detail": "too much"}))
            self.assertEqual((first["outcome"], second), ("done", {"outcome": "retry", "reason": "too much"}))

    def test_an_outcome_that_is_being_carried_out_is_asked_for_again_for_ten_minutes(self) -> None:
        settling = (503, {"code": "settling", "detail": "ask again"})
        outcomes = self.settled(lambda event: None, *[settling] * 100)
        self.assertEqual((len(outcomes), {outcome["outcome"] for outcome in outcomes}), (101, {"done"}))
        self.assertGreater(self.time.now - 1000, 60)
        before = self.time.now
        with self.assertRaises(BusError):
            self.settled(lambda event: None, *[settling] * 1000)
        self.assertTrue(590 < self.time.now - before <= 600, self.time.now - before)

    def test_an_interruption_is_not_hidden_by_what_can_not_be_settled(self) -> None:
        for interruption in (KeyboardInterrupt, SystemExit):
            with Fake(one_delivery(*[None] * 99)) as fake:
                bus = Bus(fake.url, signals=False)
                with self.assertRaises(interruption):
                    with bus.receive():
                        raise interruption
                bus.close()
                self.assertEqual(fake.outcomes(), [{"outcome": "release"}], "it was tried more than once")

    def test_a_lost_answer_is_asked_for_again_under_the_same_id(self) -> None:
        answers: List[Answer] = [None, (504, {"code": "unconfirmed", "detail": "?"}), (200, {"id": "x"})]
        for more, key in (({}, "id"), ({"key": None}, "id"), ({"key": "k"}, "key"), ({"id": "i"}, "id")):
            with Fake(lambda number, path, body: answers[number - 1]) as fake:
                bus = Bus(fake.url, signals=False)
                self.assertEqual(bus.publish("a.b.c", 1, delay="10m", **more), {"id": "x"})
                bus.close()
                same = [body.get(key) for _, body in fake.came]
                self.assertEqual((len(same), len(set(same))), (3, 1))
                self.assertEqual(same[0], more.get(key) or same[0])
                self.assertEqual({"key", "id"} & set(fake.came[0][1]), {key})

    def test_an_event_that_is_on_its_way_still_comes_when_it_is_stopped(self) -> None:
        with Fake(one_delivery()) as fake:
            bus = Bus(fake.url, signals=False)
            fake.halfway = bus.stop
            event = bus.receive()
            self.assertEqual((event.id, bus._polls), ("e1", set()))
            with event:
                pass
            with self.assertRaises(Stopped):
                bus.receive()
            bus.close()
            self.assertEqual(fake.outcomes(), [{"outcome": "done"}])

    def test_an_answer_that_has_begun_is_left_alone_when_it_is_stopped(self) -> None:
        with Fake(one_delivery()) as fake:
            bus, read = Bus(fake.url, signals=False), http.client.HTTPResponse.read
            sent: List[int] = []

            def stopped(response: Any) -> bytes:
                bus.stop()
                sent.append(response.fp.raw._sock.send(b""))
                self.assertEqual(bus._polls, set())
                return read(response)

            with mock.patch.object(http.client.HTTPResponse, "read", stopped):
                event = bus.receive()
            self.assertEqual((event.id, sent), ("e1", [0]), "what was half-closed can't be sent to")
            bus.close()

    def test_stopping_ends_a_long_poll(self) -> None:
        asked, ended = threading.Event(), threading.Event()

        def answer(number: int, path: str, body: Any) -> Answer:
            asked.set()
            ended.wait(60)
            return None

        with Fake(answer) as fake:
            bus = Bus(fake.url, signals=False)

            def stop() -> None:
                asked.wait(60)
                [waiting] = bus._polls
                bus.stop()
                self.assertRaises(OSError, waiting.send, b"x")
                ended.set()

            stopping = threading.Thread(target=stop)
            stopping.start()
            self.assertRaises(Stopped, bus.receive)
            stopping.join()
            self.assertEqual(bus._polls, set())

    def test_a_second_signal_interrupts_the_handler_and_its_event_is_released(self) -> None:
        for number, interruption in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)):
            with Fake(one_delivery()) as fake:
                bus = Bus(fake.url)
                went_on = False
                with self.assertRaises(interruption):
                    with bus.receive():
                        signal.raise_signal(number)
                        went_on = True
                        signal.raise_signal(number)
                self.assertTrue(went_on)
                self.assertEqual(fake.outcomes(), [{"outcome": "release"}])
                self.assertEqual(signal.getsignal(number), signal.SIG_DFL, "a third one kills")
                self.assertRaises(Stopped, bus.receive)
                bus.close()

    def test_after_a_fork_each_process_has_a_connection_of_its_own(self) -> None:
        with Fake(lambda number, path, body: (200, {"service": str(number)})) as fake:
            bus = Bus(fake.url, signals=False)
            mine, other = socket.socketpair()
            bus.contracts()
            bus._polls.add(mine)
            child = os.fork()
            if child == 0:
                try:
                    bus.stop()
                    os._exit(0 if bus.contracts() == {"service": "2"} else 1)
                finally:
                    os._exit(2)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertEqual(bus.contracts(), {"service": "3"})
            self.assertEqual(fake.connections, [1, 2, 1])
            self.assertEqual(mine.send(b"x"), 1, "the child stopped what its parent waits for")
            bus.close()
            mine.close()
            other.close()

    def test_whatever_answers_it_is_a_bus_error(self) -> None:
        for status, body in ((431, None), (404, b"<html>"), (400, b"[1]"), (200, b"<html>"), (200, [1]), (200, None), (200, {"a": 1}), (502, b"\xff")):
            with Fake(lambda number, path, _: (status, body)) as fake:
                bus = Bus(fake.url, signals=False, patience=1)
                with self.assertRaises(BusError) as raised:
                    bus.receive()
                self.assertEqual(raised.exception.status, 0 if status == 200 else status, body)
                self.assertTrue(str(raised.exception))
                bus.close()

    def test_nothing_is_left_of_a_connection_that_was_lost(self) -> None:
        with Fake(lambda number, path, body: None) as fake:
            bus = Bus(fake.url, signals=False, patience=1)
            self.assertRaises(BusError, bus.receive)
            self.assertEqual(bus._polls, set())

    def test_only_places_of_ponos_serve_are_taken(self) -> None:
        for wrong in ("https://127.0.0.1:7313", "127.0.0.1:7313", "http://", "unix:", "http://h/path", "http://h:seven", "http://me:hunter2@h"):
            with self.assertRaises(ValueError) as raised:
                Bus(wrong, signals=False)
            self.assertNotIn("hunter2", str(raised.exception))
        for place, read in (("http://[::1]:7/", ("::1", 7)), ("http://localhost", ("localhost", 80)), ("unix:/a b:c", "/a b:c")):
            self.assertEqual(Bus(place, signals=False)._place, read)
        with tempfile.TemporaryDirectory() as folder, Fake(one_delivery(), f"{folder}/a b:c") as fake:
            bus = Bus(fake.url, signals=False)
            with bus.receive() as event:
                self.assertEqual(event.data, {"order": 7})
            bus.close()


if __name__ == "__main__":
    unittest.main()
