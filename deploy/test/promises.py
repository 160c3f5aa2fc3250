"""Clients of a clock that write down what they were promised; and what was not kept of it.

Each puts, moves and cancels delayed events, and creates, changes and deletes schedules, one request after the other. What was
answered is to be so for ever; of a request without an answer either may be true, and nothing is asked of that name again.
"""

import datetime
import http.client
import itertools
import json
import random
import threading

ADDRESS = ("127.0.0.1", 7650)
EVENT = "power.parcel.ordered"
#: What a name has where there is nothing.
NOTHING = None
_now = lambda: datetime.datetime.now(datetime.timezone.utc)


class Unanswered(Exception):
    """The clock is gone, or says that it could not write."""


class Connection:
    """To a clock that may be gone at any time."""

    def __init__(self):
        self._http = http.client.HTTPConnection(*ADDRESS, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.close()

    def ask(self, method, path, content=None, **headers):
        """Status and body of the answer."""
        body = None if content is None else json.dumps(content)
        try:
            self._http.request(method, path, body, {"Content-Type": "application/json", **headers})
            answer = self._http.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise Unanswered(str(error)) from error
        if answer.status >= 500:
            raise Unanswered(f"{answer.status} {text}")
        return answer.status, json.loads(text) if text.startswith("{") else text


class Client:
    """Its names begin with its own. `chance` seeds what it asks for."""

    def __init__(self, name, chance):
        self.name, self._random, self._numbers = name, random.Random(chance.random()), itertools.count(1)
        #: Of each name, the versions of it that may be there; one of them unless an answer is missing.
        self.events, self.schedules = {}, {}
        #: Of each (name, version) of an event, when it is due, and its id where that was answered.
        self.due, self.ids = {}, {}
        #: Names of batches without an answer: all of one are there, or none.
        self.unanswered = []
        #: How many requests were answered, and what was answered that never should be.
        self.answered, self.wrong = 0, []

    def work(self):
        """Asks until there is no answer."""
        with Connection() as connection:
            try:
                while True:
                    asked = self._random.choices((self._put, self._move, self._cancel, self._schedule, self._batch), (8, 5, 3, 2, 1))
                    asked[0](connection)
            except Unanswered:
                pass

    def _one_of(self, names):
        """A name of which is known that there is something."""
        known = [name for name, versions in names.items() if len(versions) == 1 and NOTHING not in versions]
        return self._random.choice(known[-40:]) if known else None

    def _put(self, connection):
        self._event(connection, f"{self.name}-{next(self._numbers)}")

    def _move(self, connection):
        name = self._one_of(self.events)
        if name is not None:
            self._event(connection, name)

    def _event(self, connection, name):
        version, item = self._item(name, 0.3)
        answer = self._ask(connection, self.events, name, version, "PUT", f"/v1/events/{name}", item)
        if answer is not None:
            self.ids[name, version] = answer["event_id"]

    def _item(self, name, share_of_late, **more):
        """A new version of an event, and what is asked for by it: it comes while the test runs, or is to be there at its end."""
        delay = 86_400 if self._random.random() < share_of_late else self._random.uniform(0.02, 3)
        due = (_now() + datetime.timedelta(seconds=delay)).isoformat(timespec="milliseconds")
        version = next(self._numbers)
        self.due[name, version] = datetime.datetime.fromisoformat(due)
        return version, {"event": EVENT, "at": due, "data": {"name": name, "version": version, **more}}

    def _batch(self, connection):
        """Many new ones in one write, of many pages."""
        asked = {}
        for _ in range(self._random.randrange(2, 100)):
            name = f"{self.name}-{next(self._numbers)}"
            version, item = self._item(name, 0.9, long="x" * self._random.randrange(3_000))
            self.events[name], asked[name] = {NOTHING, version}, (version, {"name": name, **item})
        items = [item for _, item in asked.values()]
        self.unanswered.append(list(asked))
        status, answer = connection.ask("POST", "/v1/events:batch?atomic=true", items)
        self.answered += 1
        self.unanswered.pop()
        if status != 200:
            self.wrong.append(f"a batch: {status} {answer}")
        self.events |= {name: {version} for name, (version, _) in asked.items()}

    def _cancel(self, connection):
        name = self._one_of(self.events)
        if name is not None:
            self._ask(connection, self.events, name, NOTHING, "DELETE", f"/v1/events/{name}")

    def _schedule(self, connection):
        name = self._one_of(self.schedules) if self._random.random() < 0.6 else f"{self.name}-{next(self._numbers)}"
        if name is None:
            return
        path = f"/v1/schedules/{name}"
        if name in self.schedules and self._random.random() < 0.4:
            self._ask(connection, self.schedules, name, NOTHING, "DELETE", path)
            return
        version = next(self._numbers)
        item = {"event": "power.month.passed", "every": "30 days", "data": version}
        self._ask(connection, self.schedules, name, version, "PUT", path, item)

    def _ask(self, connection, names, name, version, method, path, content=None):
        """Asks for a version; gives the answer if it is there now. What was too late (409) changed nothing."""
        before = names.get(name, {NOTHING})
        names[name] = before | {version}
        # What is to be there is changed only if it is.
        headers = {} if NOTHING in before else {"If-Match": "*"}
        status, answer = connection.ask(method, path, content, **headers)
        self.answered += 1
        if status in (200, 201, 204):
            names[name] = {version}
            return answer
        names[name] = before
        if status != 409 or names is self.schedules:
            self.wrong.append(f"{method} {path}: {status} {answer}; there should be {before}")
        return None


def together(clients, until):
    """Has them work at once; `until` is called meanwhile, and is to end what they ask."""
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    try:
        until()
    finally:
        for thread in threads:
            thread.join()


class There:
    """What a clock has: of names of delayed events that are pending when they are due, of names of schedules their versions."""

    def __init__(self, connection):
        self.events, page = {}, ""
        while page is not None:
            answer = connection.ask("GET", f"/v1/events?limit=1000{page and f'&page={page}'}")[1]
            self.events |= {event["name"]: datetime.datetime.fromisoformat(event["due_at"]) for event in answer["events"]}
            page = answer["next"]
        exported = connection.ask("GET", "/v1/export?format=json")[1]
        self.schedules = {schedule["name"]: schedule["data"] for schedule in exported["schedules"]}


def broken(client, there, came):
    """The promises to a client that were not kept, in words. `came` has of each name the ids of the versions that arrived."""
    found = list(client.wrong)
    for name, versions in client.schedules.items():
        if there.schedules.get(name, NOTHING) not in versions:
            found.append(f"schedule {name}: {there.schedules.get(name)} is there, promised was {versions}")
    for names in client.unanswered:
        some = [name for name in names if name in there.events or name in came]
        if len(some) not in (0, len(names)):
            found.append(f"event {some}: is there, of a batch {names}")
    for name, versions in client.events.items():
        seen = set(came.get(name, ()))
        if name in there.events:
            pending = [v for v in versions if v is not NOTHING and client.due[name, v] == there.events[name]]
            seen.add(pending[0] if pending else f"one of {there.events[name]}")
        if len(seen) > 1 or next(iter(seen), NOTHING) not in versions:
            found.append(f"event {name}: {seen} arrived or is pending, promised was {versions}")
        for version, id_ in came.get(name, {}).items():
            if client.ids.get((name, version), id_) != id_:
                found.append(f"event {name}: it came as {id_}, promised was {client.ids[name, version]}")
    return found
