"""Events and tasks from RabbitMQ, through `ponos serve` beside this program. Standard library only.

    bus = Bus()
    while True:  # SIGTERM and SIGINT end it cleanly, between two events
        with bus.receive() as event:
            label = print_label(event.data["order"])
            event.publish("order.label.printed", {"order": event.data["order"]}, key=label)

At the end of the block the event is done, and what it published is sent. An exception has it tried again later, with the
exception as the reason, and is logged.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import threading
import time
from datetime import datetime, timedelta
from types import FrameType, TracebackType
from typing import Any, Dict, List, Optional, Set, Tuple, Type, Union
from urllib.parse import quote, urlsplit
from uuid import uuid4

__all__ = ["Bus", "BusError", "Event", "Stopped"]
Span = Union[str, float, timedelta]
log = logging.getLogger("ponos_bus")
WAIT = 20  # seconds of one long poll
REMEMBERED = 600  # seconds for which `ponos serve` knows what became of a delivery
REASON = 4000  # bytes of a reason


class BusError(Exception):
    """`ponos serve` refused something, or can't be reached; `status` is 0 then."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


class Stopped(SystemExit):
    """A signal asked for the end. Not caught, it ends the program with code 0."""

    def __init__(self) -> None:
        super().__init__(0)


class _Connection(http.client.HTTPConnection):
    """To an address, or to the path of a Unix socket."""

    def __init__(self, place: Union[str, Tuple[str, int]]) -> None:
        super().__init__("localhost", timeout=WAIT + 70)
        self._place = place

    def connect(self) -> None:
        if isinstance(self._place, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._place)
        else:
            self.sock = socket.create_connection(self._place, self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _place(url: str) -> Union[str, Tuple[str, int]]:
    if url.startswith("unix:") and len(url) > 5:
        return url[5:]
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ValueError("the place of ponos serve is written http://127.0.0.1:7313 or unix:PATH")
    return parts.hostname, parts.port or 80


def _span(span: Optional[Span]) -> Optional[str]:
    if span is None or isinstance(span, str):
        return span
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    return f"{max(0, round(seconds * 1000))}ms"


def _json(value: Any) -> bytes:
    """As the other side reads it: what it would refuse (NaN, half a surrogate pair) is an error here."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


def _message(kind: str, name: str, data: Any, at: Optional[datetime], delay: Optional[Span], more: Any) -> bytes:
    if at is not None and at.tzinfo is None:
        raise ValueError("'at' needs a time zone")
    instant = None if at is None else at.isoformat(timespec="milliseconds")
    fields = {kind: name, "data": data, "at": instant, "in": _span(delay), **more}
    return _json({key: value for key, value in fields.items() if key == "data" or value is not None})


def _words(reason: Any) -> str:
    """A reason that can be sent, whatever it is."""
    try:
        text = str(reason)
    except Exception as error:
        text = f"{type(reason).__name__}, whose text can't be made: {type(error).__name__}"
    return text.encode("utf-8", "replace")[:REASON].decode("utf-8", "ignore")


class Event:
    """One delivery, for use in `with`. What it publishes is sent when it is done."""

    def __init__(self, bus: Bus, delivery: Dict[str, Any]) -> None:
        self._bus, self._publish = bus, []  # type: Tuple[Bus, List[bytes]]
        self._outcome: Dict[str, Any] = {"outcome": "done"}
        self.token: str = delivery["token"]
        self.queue: str = delivery["queue"]
        self.attempt: int = delivery["attempt"]
        self.attempts: int = delivery["attempts"]
        self.deadline: str = delivery["deadline"]
        self.correlation_id: str = delivery["correlation_id"]
        self.attributes: Dict[str, Any] = delivery["event"]
        self.id: str = self.attributes["id"]
        self.name: str = self.attributes["type"]
        self.data: Any = self.attributes.get("data")

    def publish(self, name: str, data: Any, *, key: Optional[str] = None, at: Optional[datetime] = None, delay: Optional[Span] = None) -> None:
        """Publishes an event for everybody; later, if `at` or `delay` says so. A key gives it the same id at each attempt."""
        self._publish.append(_message("event", name, data, at, delay, {"key": key}))

    def task(self, name: str, data: Any, *, key: Optional[str] = None, at: Optional[datetime] = None, delay: Optional[Span] = None) -> None:
        """Publishes a task of this service."""
        self._publish.append(_message("task", name, data, at, delay, {"key": key}))

    def dead(self, reason: str) -> None:
        """It can never work: to the dead letters, at the end of the block."""
        self._outcome = {"outcome": "dead", "reason": _words(reason)}

    def retry(self, reason: str, after: Optional[Span] = None) -> None:
        """Another attempt later, by the policy or after this time."""
        self._outcome = {"outcome": "retry", "reason": _words(reason), "after": _span(after)}

    def snooze(self, after: Span, reason: Optional[str] = None) -> None:
        """The same attempt again after this time; none is spent."""
        words = None if reason is None else _words(reason)
        self._outcome = {"outcome": "snooze", "after": _span(after), "reason": words}

    def release(self) -> None:
        """Back to its queue, for any replica; no attempt is spent."""
        self._outcome = {"outcome": "release"}

    def skip(self) -> None:
        """There was nothing to do."""
        self._outcome = {"outcome": "skip"}

    def extend(self, by: Span) -> None:
        """Takes more time: as long from now."""
        extended = self._bus._ask("POST", f"/v1/deliveries/{self.token}/extend", _json({"by": _span(by)}))
        self.deadline = extended.get("deadline", self.deadline)

    def __enter__(self) -> Event:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> bool:
        if kind is not None and not issubclass(kind, Exception):
            # whoever interrupts it is not kept waiting, and not told of anything else
            try:
                self._settle({"outcome": "release"}, patience=0.0)
            except BusError as unsettled:
                log.warning("%s %s comes again after its deadline: %s", self.name, self.id, unsettled)
            return False
        if kind is not None:
            log.error("%s %s failed", self.name, self.id, exc_info=error)
            self.retry(_words(f"{kind.__name__}: {_words(error)}"))
        outcome = {key: value for key, value in self._outcome.items() if value is not None}
        try:
            self._settle(outcome, self._publish)
        except BusError as refused:
            if refused.status not in (400, 413, 422):
                raise
            # what it publishes is not declared, breaks its contract, or is too much: this attempt has failed
            log.error("%s %s was refused: %s", self.name, self.id, refused)
            self._settle({"outcome": "retry", "reason": _words(refused)})
        return kind is not None

    def _settle(self, outcome: Dict[str, Any], publish: Optional[List[bytes]] = None, patience: Optional[float] = None) -> None:
        text = _json(outcome)
        if outcome["outcome"] == "done" and publish:
            text = text[:-1] + b', "publish": [' + b", ".join(publish) + b"]}"
        try:
            ended = self._bus._ask("POST", f"/v1/deliveries/{self.token}", text, patience)
        except BusError as error:
            if error.status not in (404, 409, 410):
                raise
            log.warning("%s %s comes again: %s", self.name, self.id, error)
            return
        expected = {"retry": "retried", "snooze": "snoozed", "release": "released", "skip": "skipped"}
        if ended.get("ended") != expected.get(outcome["outcome"], outcome["outcome"]):
            log.warning("%s %s ended as %s: %s", self.name, self.id, ended.get("ended"), ended.get("reason"))


class Bus:
    """`ponos serve` at `http://127.0.0.1:7313`, or where `PONOS_SERVE` says: a URL, or `unix:PATH`. Threads may share one."""

    def __init__(self, url: Optional[str] = None, *, token: Optional[str] = None, signals: bool = True, patience: float = 60.0) -> None:
        self._url = url or os.environ.get("PONOS_SERVE") or "http://127.0.0.1:7313"
        self._place = _place(self._url)
        self._token, self._patience = token or os.environ.get("PONOS_TOKEN"), patience
        self._local, self._stopped, self._signalled = threading.local(), False, False
        self._process, self._polls = os.getpid(), set()  # type: Tuple[int, Set[socket.socket]]
        if signals and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._signal)

    def _signal(self, number: int, frame: Optional[FrameType]) -> None:
        """The first one ends it between two events; the second one interrupts the handler, and a third one kills."""
        if not self._signalled:
            self._signalled = True
            return self.stop()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _waiting(self) -> Set[socket.socket]:
        """The connections that wait for an event; after a fork those of the parent are not this process's."""
        if self._process != os.getpid():
            self._process, self._polls = os.getpid(), set()
        return self._polls

    def stop(self) -> None:
        """Ends the waiting for events: `receive` raises `Stopped`."""
        self._stopped = True
        for waiting in list(self._waiting()):
            try:
                # by halves, so that an event that is on its way still comes
                waiting.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def receive(self, queue: Optional[str] = None) -> Event:
        """Waits for the next event, of this queue if one is named (its full name)."""
        path = f"/v1/receive?wait={WAIT}s" + ("" if queue is None else f"&queue={quote(queue, safe='')}")
        while not self._stopped:
            delivery = self._ask("POST", path)
            if delivery is not None:
                try:
                    return Event(self, delivery)
                except (KeyError, TypeError) as missing:
                    raise BusError(0, "unreadable", f"what listens at {self._url} is not ponos serve") from missing
        raise Stopped

    def publish(self, name: str, data: Any, *, at: Optional[datetime] = None, delay: Optional[Span] = None, **more: Optional[str]) -> Dict[str, Any]:
        """Publishes an event outside of a delivery, and returns when the broker has it: `{"id": ...}`. `more` is key, id,
        subject, correlation_id: with the same id or key, what is published again is handled once by whoever has an inbox."""
        return self._send("event", name, data, at, delay, more)

    def task(self, name: str, data: Any, *, at: Optional[datetime] = None, delay: Optional[Span] = None, **more: Optional[str]) -> Dict[str, Any]:
        """The same with a task of this service."""
        return self._send("task", name, data, at, delay, more)

    def _send(self, kind: str, name: str, data: Any, at: Optional[datetime], delay: Optional[Span], more: Dict[str, Optional[str]]) -> Any:
        if more.get("id") is None and more.get("key") is None:
            # so that an answer that was lost can be asked for again
            more = {**more, "id": str(uuid4())}
        return self._ask("POST", "/v1/publish", _message(kind, name, data, at, delay, more))

    def contracts(self) -> Dict[str, Any]:
        """What the service takes and publishes."""
        return self._ask("GET", "/v1/contracts")

    def close(self) -> None:
        """Closes this thread's connection; what is asked later opens another."""
        connection = self._kept()
        if connection is not None:
            connection.close()

    def _ask(self, method: str, path: str, text: bytes = b"", patience: Optional[float] = None) -> Any:
        """Asks until there is an answer, and not for longer than `patience`. All that is asked may be asked again."""
        polls, pause = path.startswith("/v1/receive"), 0.1
        begun, patience = time.monotonic(), self._patience if patience is None else patience
        until = begun + patience
        while True:
            try:
                status, answer = self._once(method, path, text, polls)
            except (OSError, http.client.HTTPException) as error:
                status, answer = 0, {"code": "unreachable", "detail": f"ponos serve at {self._url}: {error}"}
            if 200 <= status < 300:
                return answer
            if polls and self._stopped:
                raise Stopped
            code, now = answer.get("code", ""), time.monotonic()
            if code == "settling":
                # it is being carried out, which can't be waited for in one request
                until = min(now + patience, begun + max(patience, REMEMBERED)) if patience else until
            if status not in (0, 429, 503, 504) or now + pause > until:
                raise BusError(status, code, answer.get("detail") or f"ponos serve answered {status}")
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _kept(self) -> Optional[_Connection]:
        """Takes this thread's connection, if it may be used again."""
        connection, used, process = getattr(self._local, "kept", (None, 0.0, 0))
        self._local.kept = (None, 0.0, 0)
        if connection is not None and (process != os.getpid() or time.monotonic() - used > 30):
            # of a parent's, its end alone
            connection.close()
            connection = None
        return connection

    def _once(self, method: str, path: str, text: bytes, polls: bool) -> Tuple[int, Any]:
        connection, waiting, sock = self._kept() or _Connection(self._place), self._waiting(), None
        try:
            if connection.sock is None:
                connection.connect()
            if polls:
                sock = connection.sock
                waiting.add(sock)
                if self._stopped:
                    raise Stopped
            headers = {"Content-Type": "application/json", "Host": "localhost"}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            # an answer that has begun is read to its end
            waiting.discard(sock)
            read = response.read()
        except BaseException:
            connection.close()
            raise
        finally:
            waiting.discard(sock)
        if polls and self._stopped:
            connection.close()
        else:
            self._local.kept = (connection, time.monotonic(), os.getpid())
        try:
            answer = json.loads(read) if read else None
        except ValueError:
            answer = read
        if 200 <= response.status < 300 and (isinstance(answer, dict) or response.status == 204):
            return response.status, answer
        if 200 <= response.status < 300:
            return 0, {"code": "unreadable", "detail": f"what listens at {self._url} is not ponos serve"}
        return response.status, answer if isinstance(answer, dict) else {}
