"""FastStream: handles COUNT messages of QUEUE at URL, and prints the seconds from the first to the last.

    python faststream_worker.py URL QUEUE COUNT PREFETCH
"""

import asyncio
import logging
import sys
import time

from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from pydantic import BaseModel


class Item(BaseModel):
    sku: str
    count: int


class Parcel(BaseModel):
    number: int
    customer: str
    weight: float
    items: list[Item]
    note: str | None = None


async def main(url: str, queue: str, count: int, prefetch: int) -> None:
    broker = RabbitBroker(url, logger=None, log_level=logging.ERROR, default_channel=Channel(prefetch_count=prefetch))
    done = asyncio.Event()
    handled, began = 0, 0.0

    @broker.subscriber(RabbitQueue(queue, declare=False))
    async def handle(parcel: Parcel) -> None:
        nonlocal handled, began
        if handled == 0:
            began = time.perf_counter()
        handled += 1
        if handled == count:
            print(time.perf_counter() - began, flush=True)
            done.set()

    await broker.start()
    await done.wait()
    await asyncio.sleep(0.5)  # for the last acks
    await broker.stop()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
