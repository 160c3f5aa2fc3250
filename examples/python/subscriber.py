#!/usr/bin/env python3
"""A subscriber in Python (pika 1.2 or newer): prints each event of the clock, one a line.

    subscriber.py [URL] [--event NAME] [--count N]        the URL may stand in AMQP_URL

The queue is durable and of its own name: what is sent while nobody listens waits in it. A message is acked once its
work is done. Whatever is sent again carries the same id: the id is what tells one sending from two.
"""

import argparse
import collections
import json
import os
import random
import sys
import time

import pika
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

EXCHANGE = "events"
PREFETCH = 10  # unacked deliveries at a time: after a crash at most these are done again
REMEMBERED = 1000  # ids; a real service keeps them where it keeps its results, in the same transaction
SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 10  # seconds between two attempts to connect

seen = collections.deque(maxlen=REMEMBERED)


def consume(args):
    """Handles events on one connection; yields after each."""
    connection = pika.BlockingConnection(pika.URLParameters(args.url))
    try:
        channel = connection.channel()
        queue = f"example.{args.event}"
        channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(queue, EXCHANGE, routing_key=args.event)
        channel.basic_qos(prefetch_count=PREFETCH)
        print("connected", file=sys.stderr)
        for method, properties, body in channel.consume(queue):
            try:
                line = f"{json.loads(body)['due_at']}  {properties.type}  {properties.message_id}"
            except (ValueError, KeyError, TypeError) as error:
                # It would fail again each time: to the dead letters, if the queue has any.
                print(f"no event: {error!r}", file=sys.stderr)
                channel.basic_reject(method.delivery_tag, requeue=False)
                continue
            again = properties.message_id in seen  # done before: only the ack was lost
            if not again:
                print(line, flush=True)
                seen.append(properties.message_id)
            channel.basic_ack(method.delivery_tag)
            if not again:
                yield
    finally:
        if connection.is_open:
            connection.close()


def main():
    parser = argparse.ArgumentParser(description="Prints each event of the clock.")
    parser.add_argument("url", nargs="?", default=os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672"))
    parser.add_argument("--event", default="time.one-minute.passed")
    parser.add_argument("--count", type=int, help="end after so many events")
    args = parser.parse_args()
    handled, pause = 0, SHORTEST_PAUSE
    while True:
        try:
            for _ in consume(args):
                handled, pause = handled + 1, SHORTEST_PAUSE
                if handled == args.count:
                    return
        except (ProbableAccessDeniedError, ProbableAuthenticationError) as error:
            sys.exit(f"refused by the broker: {error!r}")
        except ChannelClosedByBroker as error:
            # 403 no permission, 406 it exists with other arguments: only a person can mend that.
            sys.exit(f"refused by the broker: {error}")
        except (AMQPError, OSError) as error:
            print(f"no connection ({error!r}); trying again", file=sys.stderr)
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(pause * 2, LONGEST_PAUSE)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
