#!/usr/bin/env python3
"""Sends a command to the clock over RabbitMQ, from Python (pika 1.2 or newer), and prints the answer; see docs/commands.md.

    commands.py schedule.get '{"name": "invoices"}'
    commands.py schedule.list '{"domain": "billing", "limit": 10}'
    commands.py schedule.preview '{"name": "invoices", "count": 3}'

The URL of the broker is --url or AMQP_URL. It ends with 0 when the command was done, with 1 when it was refused, and with 75
when no answer came: then the same command under the same id (--id) may be sent again, and is done once.
"""

import argparse
import json
import os
import sys
import time
import uuid

import pika
from pika.exceptions import AMQPError

EXCHANGE = "khronos.commands"
DIRECT = "amq.rabbitmq.reply-to"  # the broker makes a name of it that leads back to this channel


class Clock:
    """Asks the clock, one command at a time. Use it in `with`."""

    def __init__(self, url):
        parameters = pika.URLParameters(url)
        self.user = parameters.credentials.username
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()  # a full queue is an error at once, and not silence
        self.channel.basic_consume(DIRECT, self._on_answer, auto_ack=True)
        self.answers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.connection.is_open:
            self.connection.close()

    def ask(self, type, body, id=None, timeout=30):
        """Returns {"status": ..., "body": ...}; raises TimeoutError when no answer comes in time."""
        id = id or str(uuid.uuid4())
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=2,  # persistent: it outlives the broker's restart
            type=type,
            message_id=id,  # the same command again has the same id
            user_id=self.user,  # the broker vouches for it
            reply_to=DIRECT,
            correlation_id=id,
        )
        # the routing key is the type; mandatory: a clock that takes no commands is an error at once
        self.channel.basic_publish(EXCHANGE, type, json.dumps(body), properties, mandatory=True)
        deadline = time.monotonic() + timeout
        while id not in self.answers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer to {type} within {timeout} s")
            self.connection.process_data_events(time_limit=left)
        return self.answers.pop(id)

    def _on_answer(self, _channel, _method, properties, body):
        self.answers = {properties.correlation_id: json.loads(body)}  # only the last one is waited for


def main():
    parser = argparse.ArgumentParser(description="Sends a command to the clock.")
    parser.add_argument("type", help="such as schedule.get")
    parser.add_argument("body", type=json.loads, nargs="?", default={}, help="JSON")
    parser.add_argument("--id", help="a random UUID if left out")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS")
    parser.add_argument("--url", default=os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672"))
    args = parser.parse_args()
    try:
        with Clock(args.url) as clock:
            answer = clock.ask(args.type, args.body, args.id, args.timeout)
    except (AMQPError, TimeoutError) as error:
        print(f"no answer: {error!r}", file=sys.stderr)
        sys.exit(75)
    body = answer.get("body")
    if answer["status"] < 400:
        print(json.dumps(body, indent=2))
        return
    print(f"{answer['status']} {body['code']}: {body['detail']}", file=sys.stderr)
    for error in body.get("errors", []):
        print(f"  {error.get('pointer') or error.get('parameter')}: {error['detail']}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
