#!/usr/bin/env python3
"""Publishes an event, or a task for a service, from Python (pika 1.2 or newer); docs/publishing.md has the wire format.

    publisher.py order.item.shipped '{"item": "cup", "count": 2}' --source /shop
    publisher.py docker.images.cleanup '{"older_than_days": 7}' --source /shop --task docker

The URL of the broker is --url or AMQP_URL. It ends with 0 when the broker has confirmed the message, and prints its id. What
is sent again under the same id (--id), because no confirm came, is handled once by whoever keeps an inbox.
"""

import argparse
import datetime
import json
import os
import sys
import uuid

import pika
from pika.exceptions import AMQPError, UnroutableError


def publish(channel, name, data, source, task=None, id=None):
    """Publishes, and returns the id once the broker has confirmed it; the channel must have confirm_delivery()."""
    id = id or str(uuid.uuid4())
    now = datetime.datetime.now(datetime.timezone.utc)
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,  # persistent
        message_id=id,  # for people and tools; the headers decide
        type=name,
        headers={
            "cloudEvents_specversion": "1.0",
            "cloudEvents_id": id,
            "cloudEvents_source": source,
            "cloudEvents_type": name,
            "cloudEvents_time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
    )
    exchange, key = ("tasks", f"{task}.{name}") if task else ("events", name)
    # a task must reach its queue; an event goes to whom it concerns, be it nobody
    channel.basic_publish(exchange, key, json.dumps(data), properties, mandatory=task is not None)
    return id


def main():
    parser = argparse.ArgumentParser(description="Publishes an event or a task.")
    parser.add_argument("name", help="three or more words, such as order.item.shipped")
    parser.add_argument("data", type=json.loads, help="JSON")
    parser.add_argument("--source", required=True, help="who says it: a path such as /shop")
    parser.add_argument("--task", metavar="SERVICE", help="a task for this service")
    parser.add_argument("--id", help="a random UUID if left out")
    parser.add_argument("--url", default=os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672"))
    args = parser.parse_args()
    try:
        connection = pika.BlockingConnection(pika.URLParameters(args.url))
        channel = connection.channel()
        channel.confirm_delivery()
        print(publish(channel, args.name, args.data, args.source, args.task, args.id))
        connection.close()
    except UnroutableError:
        sys.exit(f"no queue takes the task '{args.name}' of '{args.task}': has its worker ever run?")
    except AMQPError as error:
        sys.exit(f"not confirmed: {error!r}")


if __name__ == "__main__":
    main()
