#!/usr/bin/env python3
"""Delayed events over HTTP, from Python (requests 2.28 or newer).

    later.py put NAME < ITEM.json        creates or moves the event of this name
    later.py post KEY < ITEM.json        the clock names it; the same again under the key (Idempotency-Key) is the same event
    later.py batch < ITEMS.ndjson        one item in each line, with its name
    later.py cancel NAME

The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.

By its name or key a put is safe to repeat, so that whatever got no answer is simply sent again. A batch has no key: there each item
says its name.
"""

import argparse
import sys
from urllib.parse import quote

import requests
from schedules import Bearer, ask, fail

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["put", "post", "batch", "cancel"])
    parser.add_argument("name", nargs="?", help="the name; of post, the key")
    asked = parser.parse_args()
    if (asked.verb == "batch") != (asked.name is None):
        parser.error("batch takes no name, and the others take one")
    path = "/v1/events/" + quote(asked.name or "", safe="")
    with requests.Session() as session:
        session.auth = Bearer()
        if asked.verb == "cancel":
            status, _, said = ask(session, "DELETE", path)
        elif asked.verb == "batch":
            status, _, said = ask(session, "POST", "/v1/events:batch", sys.stdin.buffer.read(), LINES)
        elif asked.verb == "post":
            headers = JSON | {"Idempotency-Key": asked.name}
            status, _, said = ask(session, "POST", "/v1/events", sys.stdin.buffer.read(), headers)
        else:
            status, _, said = ask(session, "PUT", path, sys.stdin.buffer.read(), JSON)
    if status not in (200, 201, 204):
        fail(said)
    if asked.verb == "cancel":
        print(f"{asked.name} is gone")
        return
    outcomes = said["results"] if asked.verb == "batch" else [said]
    for one in outcomes:
        if problem := one.get("problem"):  # the others are done all the same
            print(f"{one['name']} refused: {problem['detail']}", file=sys.stderr)
        else:
            print(f"{one['name']} {one['outcome']}, due {one['due_at']}")
    sys.exit(1 if any("problem" in one for one in outcomes) else 0)


if __name__ == "__main__":
    main()
