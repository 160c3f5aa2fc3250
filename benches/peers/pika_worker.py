"""pika, each acked: handles COUNT messages of QUEUE at URL, and prints the seconds from the first to the last.

    python pika_worker.py URL QUEUE COUNT PREFETCH
"""

import json
import sys
import time

import pika


def main(url, queue, count, prefetch):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=prefetch)
    handled, began, total = 0, 0.0, 0

    def handle(channel, method, properties, body):
        nonlocal handled, began, total
        if handled == 0:
            began = time.perf_counter()
        total += json.loads(body)["number"]
        handled += 1
        if handled == count:
            print(time.perf_counter() - began, flush=True)
            channel.stop_consuming()
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(queue, handle)
    channel.start_consuming()
    channel.connection.close()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
