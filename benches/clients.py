#!/usr/bin/env python3
"""Messages a second with the clients of `clients/` beside what their languages have, in turns on one RabbitMQ of its own: a trivial
handler, from the first message handled to the last, all of them waiting in a quorum queue before (Celery's: a classic one of its own).

    benches/clients.py [PONOS]    the program; target/release/ponos if left out

`benches/clients.sh` installs the peers and runs it. MESSAGES (5000), ROUNDS (5), ONLY (such as 0,3: these of the list below),
SCRATCH (.scratch), where peers/ is an environment with celery, faststream and pika, and node/ has amqplib.
"""

import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pika

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = Path(os.environ.get("SCRATCH", ROOT / ".scratch"))
PONOS = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/ponos").resolve()
MESSAGES, ROUNDS = int(os.environ.get("MESSAGES", 5000)), int(os.environ.get("ROUNDS", 5))
LIMIT = 120  # seconds for which anything is waited for
NAME = "order.parcel.shipped"
PLAIN = "bench"  # what peers consume
SERVED = f"bench.{NAME}"  # what `ponos serve` consumes
CONFIG = f"""
service = "bench"
[[queues]]
on = ["{NAME}"]
concurrency = 64
"""
PAYLOAD = {
    "customer": "0198a1f0-9d5b-7cc4-8a3e-5b7f1c2d3e4f",
    "weight": 12.25,
    "items": [{"sku": "chair-oak-natural", "count": 4}, {"sku": "table-oak-natural", "count": 1}, {"sku": "lamp-brass", "count": 2}],
    "note": "leave it with the neighbours on the ground floor if nobody opens, and ring twice please: the bell is hard to hear",
}

PYTHON = [str(SCRATCH / "peers/bin/python")]
OURS, WORKERS = ROOT / "benches/peers", ROOT / "crates/ponos/benches/peers"
# What it is, with which of its language it is compared, its command, and where its messages wait (Celery sends its own).
CONTESTANTS = [
    ("Python: ponos-bus, 1 process with 1 thread", 3, [*PYTHON, OURS / "ponos_worker.py", "SERVE", "COUNT", "1", "1"], SERVED),
    ("Python: ponos-bus, 1 process with 8 threads", 3, [*PYTHON, OURS / "ponos_worker.py", "SERVE", "COUNT", "1", "8"], SERVED),
    ("Python: ponos-bus, 2 processes with 4 threads", 3, [*PYTHON, OURS / "ponos_worker.py", "SERVE", "COUNT", "2", "4"], SERVED),
    ("Python: pika, prefetch 100, each acked", 3, [*PYTHON, OURS / "pika_worker.py", "AMQP", PLAIN, "COUNT", "100"], PLAIN),
    ("Python: FastStream, prefetch 100", 3, [*PYTHON, WORKERS / "faststream_worker.py", "AMQP", PLAIN, "COUNT", "100"], PLAIN),
    ("Python: Celery, prefork 2, prefetch 100", 3, [*PYTHON, WORKERS / "celery_worker.py", "AMQP", "celery", "COUNT", "100"], None),
    ("Node: ponos-bus, 1 at once", 8, ["node", OURS / "ponos_worker.mjs", "SERVE", "COUNT", "1"], SERVED),
    ("Node: ponos-bus, 16 at once", 8, ["node", OURS / "ponos_worker.mjs", "SERVE", "COUNT", "16"], SERVED),
    ("Node: amqplib, prefetch 100, each acked", 8, ["node", WORKERS / "amqplib.js", "AMQP", PLAIN, "COUNT", "100"], PLAIN),
]


def until(what, condition):
    end = time.monotonic() + LIMIT
    while not (found := condition()):
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {LIMIT} s")
        time.sleep(0.05)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process, limit=30):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Broker:
    """A private RabbitMQ on loopback, gone at the end."""

    def __init__(self, folder):
        port, epmd = free_port(), free_port()
        self.url, home = f"amqp://guest:guest@127.0.0.1:{port}", folder / "rabbitmq"
        home.mkdir()
        (home / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\ndisk_free_limit.absolute = 1MB\n")
        (home / "enabled_plugins").write_text("[].\n")
        (home / "rabbitmq-env.conf").write_text("")
        cookie = home / ".erlang.cookie"
        cookie.write_text(f"CLIENTS{port}")
        cookie.chmod(0o400)
        names = ["CONFIG_FILE=rabbitmq.conf", "CONF_ENV_FILE=rabbitmq-env.conf", "ENABLED_PLUGINS_FILE=enabled_plugins",
                 "MNESIA_BASE=mnesia", "LOG_BASE=log", "GENERATED_CONFIG_DIR=generated", "PID_FILE=pid"]
        environment = {f"RABBITMQ_{name}": str(home / file) for name, file in (pair.split("=") for pair in names)}
        environment |= {
            "PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_NODENAME": f"clients{port}@localhost", "RABBITMQ_DIST_PORT": str(free_port()), "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        log = open(home / "console.log", "wb")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "start_new_session": True}
        self.epmd = subprocess.Popen(["epmd", "-port", str(epmd), "-address", "127.0.0.1"], **quiet)
        self.server = subprocess.Popen(["/usr/lib/rabbitmq/bin/rabbitmq-server"], env=environment, **quiet)
        self.connection = until("RabbitMQ", self.connected)
        self.channel = self.connection.channel()

    def connected(self):
        try:
            return pika.BlockingConnection(pika.URLParameters(f"{self.url}?heartbeat=0"))
        except (pika.exceptions.AMQPError, OSError):
            return None

    def waiting(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def fill(self, queue, count):
        """So many events wait there, and nothing else."""
        self.channel.queue_purge(queue)
        for number in range(1, count + 1):
            id = f"00000000-0000-5000-8000-{number:012}"
            headers = {"specversion": "1.0", "id": id, "source": "/bench", "type": NAME, "time": "2026-12-01T00:00:00.000Z"}
            properties = pika.BasicProperties(
                content_type="application/json", delivery_mode=2, message_id=id, type=NAME,
                headers={f"cloudEvents_{name}": value for name, value in headers.items()})
            self.channel.basic_publish("", queue, json.dumps({"number": number, **PAYLOAD}), properties)
        until(f"{count} messages in {queue}", lambda: self.waiting(queue) == count)

    def stop(self):
        stop(self.server)
        stop(self.epmd)


class Sidecar:
    """`ponos serve`, while it is used."""

    def __init__(self, folder, broker):
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "serve.log"
        command = [PONOS, "serve", "--config", folder / "ponos.toml", "--listen", self.url[7:]]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, env={**os.environ, "PONOS_URL": broker.url}, stderr=log, start_new_session=True)
        until("ponos serve", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            sys.exit(self.log.read_text())
        try:
            return urllib.request.urlopen(f"{self.url}/v1/contracts", timeout=5).status == 200
        except OSError:
            return False


def turn(folder, broker, command, queue):
    """Messages a second, and milliseconds of processor time a message; of a program of ours, with its sidecar."""
    if queue:
        broker.fill(queue, MESSAGES)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    sidecar = Sidecar(folder, broker) if queue == SERVED else None
    words = {"AMQP": broker.url, "COUNT": str(MESSAGES), "SERVE": sidecar.url if sidecar else ""}
    environment = {
        **os.environ, "NODE_PATH": str(SCRATCH / "node/node_modules"), "PYTHONPATH": str(ROOT / "clients/python/src"),
        "PYTHONDONTWRITEBYTECODE": "1"}
    command = [words.get(str(word), str(word)) for word in command]
    try:
        ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=LIMIT * 5)
    finally:
        if sidecar:
            stop(sidecar.process)
    try:
        seconds = float(ended.stdout.split()[0])
    except (IndexError, ValueError):
        sys.exit(f"{command} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (MESSAGES - 1) / seconds, used * 1000 / MESSAGES


def main():
    only = [int(number) for number in os.environ.get("ONLY", "0,1,2,3,4,5,6,7,8").split(",")]
    with tempfile.TemporaryDirectory(prefix="clients-bench-") as folder:
        folder = Path(folder)
        (folder / "ponos.toml").write_text(CONFIG)
        broker = Broker(folder)
        try:
            subprocess.run([PONOS, "declare", "--config", folder / "ponos.toml"], env={**os.environ, "PONOS_URL": broker.url}, check=True)
            broker.channel.queue_declare(PLAIN, durable=True, arguments={"x-queue-type": "quorum"})
            turns = {at: [] for at in only}
            for number in range(ROUNDS):
                for place in range(len(only)):
                    at = only[(number + place) % len(only)]
                    words, _, command, queue = CONTESTANTS[at]
                    turns[at].append(turn(folder, broker, command, queue))
                    print(f"round {number + 1}: {words}: {turns[at][-1][0]:.0f} a second", file=sys.stderr)
        finally:
            broker.stop()
    medians = {at: [statistics.median(part) for part in zip(*measured)] for at, measured in turns.items()}
    print(f"{MESSAGES} messages of {len(json.dumps({'number': 1, **PAYLOAD}))} bytes, medians of {ROUNDS}; load {os.getloadavg()[0]:.1f}\n")
    print("| who | messages/s (least to most) | of the bare client | processor ms a message, start and end included |\n| --- | --- | --- | --- |")
    for at, (rate, used) in medians.items():
        words, bare, _, _ = CONTESTANTS[at]
        rates = [rate for rate, _ in turns[at]]
        of = f"{rate / medians[bare][0]:.2f}" if bare in medians else ""
        print(f"| {words} | {rate:,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | {of} | {used:.2f} |")


if __name__ == "__main__":
    main()
