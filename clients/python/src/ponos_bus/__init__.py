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
from types import TracebackType
from typing import Any, Dict, List, Optional, Tuple, Type, Union
from urllib.parse import quote

__all__ = ["Bus", "BusError", "Event", "Stopped"]
Span = Union[str, float, timedelta]
log = logging.getLogger("ponos_bus")
WAIT = 20  # seconds of one long poll


class BusError(Exception):
    """`ponos serve` refused something, or can't be reached; `status` is 0 then."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code = status, code


class Stopped(SystemExit):
    """A signal asked for the end. Not caught, it ends the program with code 0."""

    def __init__(self) -> None:
        super().__init__(0)


class _Unix(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def _span(span: Optional[Span]) -> Optional[str]:
    if span is None or isinstance(span, str):
        return span
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    return f"{max(0, round(seconds * 1000))}ms"


def _message(kind: str, name: str, data: Any, at: Optional[datetime], delay: Optional[Span], more: Any) -> Dict[str, Any]:
    if at is not None and at.tzinfo is None:
        raise ValueError("'at' needs a time zone")
    instant = None if at is None else at.isoformat(timespec="milliseconds")
    fields = {kind: name, "data": data, "at": instant, "in": _span(delay), **more}
    return {key: value for key, value in fields.items() if key == "data" or value is not None}


class Event:
    """One delivery, for use in `with`. What it publishes is sent when it is done."""

    def __init__(self, bus: Bus, delivery: Dict[str, Any]) -> None:
        self._bus, self._publish = bus, []  # type: Tuple[Bus, List[Dict[str, Any]]]
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
        self._outcome = {"outcome": "dead", "reason": reason}

    def retry(self, reason: str, after: Optional[Span] = None) -> None:
        """Another attempt later, by the policy or after this time."""
        self._outcome = {"outcome": "retry", "reason": reason, "after": _span(after)}

    def snooze(self, after: Span, reason: Optional[str] = None) -> None:
        """The same attempt again after this time; none is spent."""
        self._outcome = {"outcome": "snooze", "after": _span(after), "reason": reason}

    def release(self) -> None:
        """Back to its queue, for any replica; no attempt is spent."""
        self._outcome = {"outcome": "release"}

    def skip(self) -> None:
        """There was nothing to do."""
        self._outcome = {"outcome": "skip"}

    def extend(self, by: Span) -> None:
        """Takes more time: as long from now."""
        self.deadline = self._bus._ask("POST", f"/v1/deliveries/{self.token}/extend", {"by": _span(by)})["deadline"]

    def __enter__(self) -> Event:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> bool:
        if kind is not None and not issubclass(kind, Exception):
            self.release()
        elif kind is not None:
            log.error("%s %s failed", self.name, self.id, exc_info=error)
            self.retry(f"{kind.__name__}: {error}")
        outcome = {key: value for key, value in self._outcome.items() if value is not None}
        if outcome["outcome"] == "done" and self._publish:
            outcome["publish"] = self._publish
        try:
            self._settle(outcome)
        except BusError as refused:
            if refused.status != 422:
                raise
            # what it publishes is not declared, or breaks its contract: this attempt has failed
            log.error("%s %s was refused: %s", self.name, self.id, refused)
            self._settle({"outcome": "retry", "reason": str(refused)})
        return kind is not None and issubclass(kind, Exception)

    def _settle(self, outcome: Dict[str, Any]) -> None:
        try:
            ended = self._bus._ask("POST", f"/v1/deliveries/{self.token}", outcome)
        except BusError as error:
            if error.status not in (404, 409, 410):
                raise
            log.warning("%s %s comes again: %s", self.name, self.id, error)
            return
        expected = {"retry": "retried", "snooze": "snoozed", "release": "released", "skip": "skipped"}
        if ended["ended"] != expected.get(outcome["outcome"], outcome["outcome"]):
            log.warning("%s %s ended as %s: %s", self.name, self.id, ended["ended"], ended.get("reason"))


class Bus:
    """`ponos serve` at `http://127.0.0.1:7313`, or where `PONOS_SERVE` says: a URL, or `unix:PATH`. Threads may share one."""

    def __init__(self, url: Optional[str] = None, *, token: Optional[str] = None, signals: bool = True, patience: float = 60.0) -> None:
        self._url = url or os.environ.get("PONOS_SERVE") or "http://127.0.0.1:7313"
        self._token, self._patience = token or os.environ.get("PONOS_TOKEN"), patience
        self._local, self._stopped, self._polls = threading.local(), False, set()
        if signals and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """Ends the waiting for events: `receive` raises `Stopped`."""
        self._stopped = True
        for waiting in list(self._polls):
            try:
                waiting.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def receive(self, queue: Optional[str] = None) -> Event:
        """Waits for the next event, of this queue if one is named (its full name)."""
        path = f"/v1/receive?wait={WAIT}s" + ("" if queue is None else f"&queue={quote(queue, safe='')}")
        while not self._stopped:
            delivery = self._ask("POST", path, None)
            if delivery is not None:
                return Event(self, delivery)
        raise Stopped

    def publish(self, name: str, data: Any, *, at: Optional[datetime] = None, delay: Optional[Span] = None, **more: Optional[str]) -> Dict[str, Any]:
        """Publishes an event outside of a delivery, and returns when the broker has it: `{"id": ...}`. `more` is key, id,
        subject, correlation_id: with an id or a key, what is published again is handled once by whoever has an inbox."""
        return self._ask("POST", "/v1/publish", _message("event", name, data, at, delay, more))

    def task(self, name: str, data: Any, *, at: Optional[datetime] = None, delay: Optional[Span] = None, **more: Optional[str]) -> Dict[str, Any]:
        """The same with a task of this service."""
        return self._ask("POST", "/v1/publish", _message("task", name, data, at, delay, more))

    def contracts(self) -> Dict[str, Any]:
        """What the service takes and publishes."""
        return self._ask("GET", "/v1/contracts", None)

    def close(self) -> None:
        """Closes this thread's connection; what is asked later opens another."""
        connection, _ = getattr(self._local, "kept", (None, 0.0))
        self._local.kept = (None, 0.0)
        if connection is not None:
            connection.close()

    def _ask(self, method: str, path: str, body: Any) -> Any:
        """Asks until there is an answer, and not for longer than `patience`."""
        text = b"" if body is None else json.dumps(body, allow_nan=False).encode()
        polls, until, pause = path.startswith("/v1/receive"), time.monotonic() + self._patience, 0.1
        while True:
            try:
                status, answer = self._once(method, path, text, polls)
            except (OSError, http.client.HTTPException) as error:
                status, answer = 0, {"code": "unreachable", "detail": f"ponos serve at {self._url}: {error}"}
            if 200 <= status < 300:
                return answer
            if polls and self._stopped:
                raise Stopped
            may_come_right = status in (0, 429, 503) or status == 504 and ("id" in (body or {}) or "key" in (body or {}))
            if not may_come_right or path == "/v1/publish" and status == 0 and not {"id", "key"} & set(body):
                raise BusError(status, answer.get("code", ""), answer.get("detail", ""))
            if time.monotonic() + pause > until:
                raise BusError(status, answer.get("code", ""), answer.get("detail", ""))
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _once(self, method: str, path: str, text: bytes, polls: bool) -> Tuple[int, Any]:
        connection, used = getattr(self._local, "kept", (None, 0.0))
        if connection is not None and time.monotonic() - used > 30:
            connection.close()
            connection = None
        if connection is None:
            unix = self._url.startswith("unix:")
            place = self._url[5:] if unix else self._url.split("://", 1)[-1].rstrip("/")
            connection = (_Unix if unix else http.client.HTTPConnection)(place, timeout=WAIT + 70)
        self._local.kept = (None, 0.0)
        try:
            if connection.sock is None:
                connection.connect()
            if polls:
                self._polls.add(connection.sock)
                if self._stopped:
                    raise Stopped
            headers = {"Content-Type": "application/json", "Host": "localhost"}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            read = response.read()
        except BaseException:
            self._polls.discard(connection.sock)
            connection.close()
            raise
        self._polls.discard(connection.sock)
        self._local.kept = (connection, time.monotonic())
        return response.status, json.loads(read) if read else None
