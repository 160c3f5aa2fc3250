"""The clock on a disk that loses its power at any moment: what was answered is there afterwards, and nothing is missing.

It needs root, loop devices and ext4 (`mount -o loop`), a C compiler, and FUSE for the disk with a cache, which is left out without.
TEST_SCALE=10 makes ten times as many losses.
"""

import collections
import datetime
import json
import os
import random
import signal
import subprocess
import threading
import time
import unittest

import broker
import device
import promises
import tools
from disk import CachedDisk, Disk
from promises import EVENT, Client, Connection
from tools import http, wait_until

SCALE = int(os.environ.get("TEST_SCALE", "1"))
URL = "http://127.0.0.1:7650"
SCHEDULES = """
[[schedule]]
name = "tenth"
event = "power.tenth.passed"
every = "100ms"
catch_up = { policy = "all" }
[[schedule]]
name = "quarter"
event = "power.quarter.passed"
every = "250ms"
catch_up = { policy = "all" }
data = { some = ["payload", 1, { deep = true }] }
[[schedule]]
name = "second"
event = "power.second.passed"
every = "1s"
phase = "137ms"
catch_up = { policy = "all", grace = "50ms" }
[[schedule]]
name = "latest"
event = "power.latest.passed"
every = "100ms"
catch_up = { policy = "latest", grace = "150ms" }
"""
#: Of those that are sent singly, the milliseconds between two.
PERIODS = {"tenth": 100, "quarter": 250, "second": 1000}
_now = lambda: datetime.datetime.now(datetime.timezone.utc)


class DoesNotStart(AssertionError):
    """The clock ended by itself, or does without its delayed events."""


class Clock:
    """`khronos run` on a store that lies on a disk."""

    def __init__(self, disk, node):
        self.folder, self.disk, self.process = tools.folder("clock"), disk, None
        (self.folder / "schedules").mkdir()
        (self.folder / "schedules/power.toml").write_text(SCHEDULES)
        self.environment = {
            **os.environ, "KHRONOS_STORE_PATH": str(disk.place / "store"), "KHRONOS_BROKER_URL": node.url,
            "KHRONOS_SCHEDULES_FOLDER": str(self.folder / "schedules"), "KHRONOS_HTTP_OPEN": "true",
        }

    def start(self, **variables):
        environment = {**self.environment, **variables}
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(
                [tools.PROGRAMS / "khronos", "run"], env=environment, cwd=self.folder, stdout=log, stderr=log)

    def ready(self):
        def is_ready():
            status, said = http(f"{URL}/readyz")
            if self.process.poll() is not None or "given up" in said:
                raise DoesNotStart(self.log())
            return status == 200
        wait_until("the clock is ready", is_ready)

    def lose_power(self):
        """What it does before it is killed is on a disk that takes nothing any more."""
        with self.disk.without_power():
            self.process.kill()
        self.process.wait()
        self.disk.come_back()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        assert status == 0, f"the clock ended with {status}:\n{self.log()}"

    def audit(self):
        """What `khronos audit` says; that it agrees."""
        said = tools.run(tools.PROGRAMS / "khronos", "audit", "--json", env=self.environment)
        return [json.loads(line) for line in said.stdout.splitlines()]

    def log(self):
        return (self.folder / "log").read_text()[-4000:]

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.disk.remove()


class Arrivals:
    """All that comes into a queue of all events, with the instant at which it was taken out of it."""

    def __init__(self, node):
        self.node, self.queue, self.all, self._ended = node, tools.folder("queue").name, [], threading.Event()
        node.put(f"api/queues/%2F/{self.queue}", {"durable": True})
        node.put("api/exchanges/%2F/events", {"type": "topic", "durable": True})
        node.bind("events", self.queue, "power.#")
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self):
        while not self._ended.wait(0.1):
            self._take_all()

    def _take_all(self):
        for message in self.node.take(self.queue, 10_000):
            self.all.append(Arrival(_now(), message["properties"]["headers"], message["payload"]))

    def end(self):
        """Nothing is taken any more, once all that is there was."""
        self._ended.set()
        self._thread.join()
        if self.queue is not None:
            self._take_all()
            self.node.delete(f"api/queues/%2F/{self.queue}")
            self.queue = None


class Arrival:
    def __init__(self, at, headers, body):
        attribute = lambda name: headers.get(f"cloudEvents_{name}")
        self.at, self.body, self.id, self.event = at, body, attribute("id"), attribute("type")
        self.subject, self.due = attribute("subject"), datetime.datetime.fromisoformat(attribute("time"))

    def wrong(self, bodies):
        """What is wrong with it by itself, given the bodies of all ids so far."""
        if bodies.setdefault(self.id, self.body) != self.body:
            yield f"two bodies of {self.id}: {self.body} and {bodies[self.id]}"
        if self.at < self.due:
            yield f"early, at {self.at}: {self.id} of {self.due}: {self.body}"


def missing(arrivals, audit):
    """What of the schedules did not arrive: between the first and the last, and by how many they called for."""
    for name, period in PERIODS.items():
        due = {arrival.due for arrival in arrivals if arrival.subject == name}
        at, step = min(due, default=None), datetime.timedelta(milliseconds=period)
        while due and at <= max(due):
            if at not in due:
                yield f"{name} of {at}"
            at += step
        (called_for,) = (entry["expected"] - entry["pending"] for entry in audit if entry.get("schedule") == name)
        if called_for != len(due):
            yield f"{name}: {len(due)} arrived, its schedule calls for {called_for}: {audit}"


def due_soon(connection):
    """Delayed events that are pending and come within the hour."""
    hence = f"{_now() + datetime.timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    return connection.ask("GET", f"/v1/events?due_before={hence}")[1]["events"]


def is_calm():
    status, said = http(f"{URL}/readyz")
    return status == 200 and json.loads(said)["outstanding"] == 0


class PowerLoss(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.chance = random.Random(random.randrange(1 << 32))

    def play(self, disk, losses, **variables):
        """Clients and schedules through so many losses of power; gives in words what is not as it should be afterwards. With these
        variables the clock runs once it has made its store."""
        node = broker.shared()
        arrivals, clock = Arrivals(node), Clock(disk, node)
        try:
            clock.start()
            clock.ready()
            clock.stop()
            clients = [Client(f"client-{number}", self.chance) for number in range(3)]
            for loss in range(losses):
                clock.start(**variables)
                # Some power is lost while it starts.
                if loss == 0 or self.chance.random() < 0.8:
                    clock.ready()
                promises.together(clients, lambda: self.lose_power(clock, clients))
            clock.start()
            clock.ready()
            with Connection() as connection:
                wait_until("all that is due was sent", lambda: not due_soon(connection) and is_calm())
                there = promises.There(connection)
            clock.stop()
            arrivals.end()
            return self.compare(clients, there, arrivals.all, clock)
        finally:
            arrivals.end()
            clock.end()

    def lose_power(self, clock, clients):
        """At a moment that nothing is bound to; the first time once enough was promised to be lost."""
        time.sleep(self.chance.uniform(0.2, 2))
        try:
            wait_until("there is something to lose", lambda: sum(client.answered for client in clients) > 100)
        finally:
            clock.lose_power()

    def compare(self, clients, there, arrivals, clock):
        found, bodies, came = [], {}, collections.defaultdict(dict)
        for arrival in arrivals:
            found += arrival.wrong(bodies)
            if arrival.event == EVENT:
                data = json.loads(arrival.body)
                came[data["name"]][data["version"]] = arrival.id
        for client in clients:
            found += promises.broken(client, there, came)
        found += missing(arrivals, clock.audit())
        print(f"{clock.disk}: {sum(client.answered for client in clients)} answers; {len(there.events)} delayed events pending, "
              f"{len(came)} sent; {len(bodies)} events in {len(arrivals)} messages", flush=True)
        return found

    def test_what_was_answered_outlives_it(self):
        self.assertEqual(self.play(Disk(), 4 * SCALE), [])

    def test_what_was_answered_outlives_it_where_the_file_system_does_not_order_data(self):
        self.assertEqual(self.play(Disk("data=writeback"), 3 * SCALE), [])

    def test_what_was_answered_outlives_it_where_the_device_keeps_any_part_of_what_was_not_flushed(self):
        options = self.chance.choice(("data=ordered", "data=writeback"))
        self.assertEqual(self.play(CachedDisk(self.chance, options=options), 4 * SCALE), [])

    def made_anew(self, disk, times):
        """New stores, whose making is cut short."""
        clock = Clock(disk, broker.shared())
        self.addCleanup(clock.end)
        for number in range(times):
            store = disk.place / f"store-{number}"
            clock.environment["KHRONOS_STORE_PATH"] = str(store)
            clock.start()
            wait_until("it makes its store", store.exists)
            time.sleep(self.chance.uniform(0, 0.3))
            clock.lose_power()
            clock.start()
            clock.ready()
            clock.stop()
            clock.audit()

    def test_a_store_whose_making_was_cut_short_is_opened_or_made_anew(self):
        self.made_anew(Disk(), 2 * SCALE)

    def test_a_store_whose_making_was_cut_short_is_opened_or_made_anew_where_the_device_has_a_cache(self):
        self.made_anew(CachedDisk(self.chance), 2 * SCALE)

    def unsynced(self, **parts):
        """What is found of a clock that leaves out these syncs."""
        library = tools.folder("unsynced") / "unsynced.so"
        tools.run("cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, tools.ROOT / "deploy/test/unsynced.c")
        try:
            return "\n".join(self.play(Disk(), 1, LD_PRELOAD=str(library), **parts))
        except DoesNotStart as error:
            return str(error)

    def test_a_clock_that_syncs_nothing_is_found_out(self):
        found = self.unsynced(UNSYNCED="/mounted/store")
        self.assertRegex(found, "(?m)^event client-.*, promised was")
        self.assertRegex(found, "(?m)^schedule client-.*, promised was")

    def test_a_clock_that_does_not_sync_its_delayed_events_is_found_out(self):
        found = self.unsynced(UNSYNCED="/mounted/store/delayed")
        self.assertRegex(found, "(?m)^event client-.*, promised was|store of delayed events can't be used any more")
        self.assertNotRegex(found, "(?m)^schedule ")

    def test_a_clock_that_does_not_sync_its_schedules_is_found_out(self):
        found = self.unsynced(UNSYNCED="/mounted/store", SYNCED="/mounted/store/delayed")
        self.assertRegex(found, "(?m)^schedule client-.*, promised was|/mounted/store is damaged")

    def test_a_device_that_is_not_flushed_is_found_out(self):
        found = "\n".join(self.play(CachedDisk(self.chance, (0,), options="barrier=0"), 1))
        self.assertRegex(found, "(?m)^event client-.*, promised was")


if __name__ == "__main__":
    unittest.main()
