#!/usr/bin/env python3
"""Has invoices printed by somebody else, who takes few requests a second and says so.

    ponos serve --config letters.toml &
    PRINTER=https://printer.example/letters letters.py

The rate of the queue keeps to what was agreed. Where the other side is busy all the same, it says until when: the letter is put off
until then, and no attempt is spent. What it refuses will never work; anything else is worth another attempt.
"""

import json
import os
import urllib.error
import urllib.request

from ponos_bus import Bus

PRINTER = os.environ.get("PRINTER", "http://127.0.0.1:8080/letters")


def hand_over(event):
    """The answer's status, and after how many seconds to ask again if it is busy."""
    headers = {
        "Content-Type": "application/json",
        # an event may come twice: by the same key it is one letter for the other side, too
        "Idempotency-Key": event.id,
    }
    request = urllib.request.Request(PRINTER, json.dumps(event.data).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, None
    except urllib.error.HTTPError as refusal:
        with refusal:
            after = refusal.headers.get("Retry-After", "")
            return refusal.code, int(after) if after.isdecimal() else 60


def main():
    bus = Bus()
    while True:
        with bus.receive() as event:
            invoice = event.data["invoice"]
            status, after = hand_over(event)
            print(f"invoice {invoice}: {status} at attempt {event.attempt}", flush=True)
            if status in (429, 503):
                event.snooze(after, f"the printer is busy ({status})")
            elif 400 <= status < 500:
                event.dead(f"the printer refuses invoice {invoice} ({status})")
            elif status >= 500:
                raise RuntimeError(f"the printer answered {status}")


if __name__ == "__main__":
    main()
