#!/usr/bin/env python3
"""Delayed events over HTTP, from Python (requests 2.28 or newer).

    later.py put NAME < ITEM.json
    later.py cancel NAME

The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.

By its name a put is safe to repeat, so that whatever got no answer is simply sent again.
"""

import argparse
import sys
from urllib.parse import quote

import requests
from schedules import Bearer, ask, fail


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["put", "cancel"])
    parser.add_argument("name")
    asked = parser.parse_args()
    path = "/v1/events/" + quote(asked.name, safe="")
    with requests.Session() as session:
        session.auth = Bearer()
        if asked.verb == "put":
            headers = {"Content-Type": "application/json"}
            status, _, said = ask(session, "PUT", path, sys.stdin.buffer.read(), headers)
            if status not in (200, 201):
                fail(said)
            print(f"{said['name']} {said['outcome']}, due {said['due_at']}")
        else:
            status, _, said = ask(session, "DELETE", path)
            if status != 204:
                fail(said)
            print(f"{asked.name} is gone")


if __name__ == "__main__":
    main()
