"""The client of clients/python: handles COUNT messages of the `ponos serve` at URL in PROCESSES with THREADS each, and prints the
seconds from the first to the last.

    PYTHONPATH=clients/python/src python ponos_worker.py URL COUNT PROCESSES THREADS
"""

import multiprocessing
import sys
import threading
import time

from ponos_bus import Bus, Stopped

URL, COUNT, PROCESSES, THREADS = sys.argv[1], *map(int, sys.argv[2:5])
fork = multiprocessing.get_context("fork")
handled, began, done = fork.Value("q", 0), fork.Value("d", 0.0), fork.Event()


def note():
    with handled.get_lock():
        if handled.value == 0:
            began.value = time.monotonic()
        handled.value += 1
        if handled.value == COUNT:
            print(time.monotonic() - began.value, flush=True)
            done.set()


def handle_all(bus):
    total = 0
    try:
        while True:
            with bus.receive() as event:
                total += event.data["number"]
                note()
    except Stopped:
        bus.close()


def work():
    bus = Bus(URL, signals=False)
    threads = [threading.Thread(target=handle_all, args=(bus,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    done.wait()
    bus.stop()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    processes = [fork.Process(target=work) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
