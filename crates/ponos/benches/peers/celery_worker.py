"""Celery, prefork with two processes: COUNT tasks at URL, and prints the seconds from the first to the last.

    python celery_worker.py URL QUEUE COUNT PREFETCH

It fills a queue of its own with Celery's messages of the same payload, runs `celery worker` (acks late, as the others
do), and reads the instants that its processes note in a file.
"""

import os
import signal
import struct
import subprocess
import sys
import time

from celery import Celery

URL = os.environ.get("BENCH_URL") or sys.argv[1]
NOTES = os.environ.get("BENCH_NOTES") or f"/tmp/celery-bench-{os.getpid()}"

app = Celery("celery_worker", broker=URL)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue=os.environ.get("BENCH_QUEUE", "celery-bench"),
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "50")),
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)

PAYLOAD = {
    "customer": "0198a1f0-9d5b-7cc4-8a3e-5b7f1c2d3e4f",
    "weight": 12.25,
    "items": [{"sku": "chair-oak-natural", "count": 4}, {"sku": "table-oak-natural", "count": 1}, {"sku": "lamp-brass", "count": 2}],
    "note": "leave it with the neighbours on the ground floor if nobody opens, and ring twice please: the bell is hard to hear",
}


@app.task(name="handle")
def handle(parcel):
    with open(NOTES, "ab", buffering=0) as notes:
        notes.write(struct.pack("q", time.monotonic_ns()))


def main(count, prefetch):
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            handle.apply_async(({"number": number, **PAYLOAD},), producer=producer)
    open(NOTES, "wb").close()
    environment = {**os.environ, "BENCH_URL": URL, "BENCH_NOTES": NOTES, "BENCH_PREFETCH": str(max(1, prefetch // 2))}
    command = [sys.executable, "-m", "celery", "-A", "celery_worker", "worker", "--concurrency=2", "--pool=prefork",
               "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    worker = subprocess.Popen(command, env=environment, cwd=os.path.dirname(os.path.abspath(__file__)),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while os.path.getsize(NOTES) < count * 8 and time.monotonic() < deadline:
        time.sleep(0.1)
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    with open(NOTES, "rb") as notes:
        instants = [instant for (instant,) in struct.iter_unpack("q", notes.read())]
    os.remove(NOTES)
    if len(instants) < count:
        sys.exit(f"only {len(instants)} of {count}")
    print((max(instants) - min(instants)) / 1e9)


if __name__ == "__main__":
    main(int(sys.argv[3]), int(sys.argv[4]))
