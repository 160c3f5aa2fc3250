#!/usr/bin/env python3
"""Delayed events by message over RabbitMQ, from Python (pika 1.2 or newer); see docs/commands.md.

    later_by_message.py put NAME < ITEM.json
    later_by_message.py list PREFIX
    later_by_message.py cancel NAME

The URL of the broker is AMQP_URL. It ends with 1 when the command was refused, and with 75 when no answer came.
"""

import argparse
import json
import os
import sys
import time
import uuid

from commands import Clock
from pika.exceptions import AMQPError

ATTEMPTS = 3
LATER = {429, 503, 507}  # too often, not now, the disk is full: the same again, later


def ask(clock, command, body):
    """The answer's body. The same command is sent again under the same id, and so done once: without an answer, or where it
    was refused for now."""
    id = str(uuid.uuid4())
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = clock.ask(command, body, id, timeout=10)
        except TimeoutError:
            if attempt == ATTEMPTS:
                raise
            continue
        if answer["status"] < 400:
            return answer.get("body")
        if answer["status"] not in LATER or attempt == ATTEMPTS:
            sys.exit(f"{answer['status']} {answer['body']['code']}: {answer['body']['detail']}")
        time.sleep(answer.get("retry_after", 1))


def pending(clock, prefix):
    """All that are pending and whose names begin so, page by page."""
    body = {"prefix": prefix}
    while True:
        page = ask(clock, "event.list", body)
        yield from page["events"]
        if page["next"] is None:
            return
        body["page"] = page["next"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["put", "list", "cancel"])
    parser.add_argument("name")
    asked = parser.parse_args()
    try:
        with Clock(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672")) as clock:
            if asked.verb == "put":
                said = ask(clock, "event.put", {"item": json.load(sys.stdin) | {"name": asked.name}})
                print(f"{said['name']} {said['outcome']}, due {said['due_at']}")
            elif asked.verb == "list":
                for event in pending(clock, asked.name):
                    print(f"{event['name']} is due {event['due_at']}")
            else:
                ask(clock, "event.delete", {"name": asked.name})
                print(f"{asked.name} is gone")
    except (AMQPError, TimeoutError) as error:
        print(f"no answer: {error!r}", file=sys.stderr)
        sys.exit(75)


if __name__ == "__main__":
    main()
