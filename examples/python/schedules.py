#!/usr/bin/env python3
"""Schedules at run time over HTTP, from Python (requests 2.28 or newer).

    schedules.py put NAME [--if-revision CREATION.REVISION] < DEFINITION.json
    schedules.py delete NAME

The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.

A put says how a schedule is to be. Sent again it changes nothing, so that whatever got no answer is simply sent again.
"""

import argparse
import os
import sys
import time
from urllib.parse import quote

import requests

ATTEMPTS = 8
LONGEST_PAUSE = 30  # seconds
LATER = {429, 503, 507}  # too often, not now, the disk is full: the same again, later


def ask(session, method, path, body=None, headers=None):
    """The answer: status, ETag and JSON. Tries again where that may help."""
    url = os.environ.get("KHRONOS_URL", "http://127.0.0.1:7650").rstrip("/") + path
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = session.request(method, url, data=body, headers=headers, timeout=30)
            said = answer.json() if answer.content else None
            if answer.status_code not in LATER or attempt == ATTEMPTS:
                return answer.status_code, answer.headers.get("ETag"), said
            pause, why = float(answer.headers.get("Retry-After", 1)), said.get("detail")
        except requests.RequestException as lost:  # not reached, or the connection was lost before the answer
            if attempt == ATTEMPTS:
                return None, None, {"detail": str(lost)}
            pause, why = 2.0**attempt / 8, lost
        print(f"trying again: {why}", file=sys.stderr)
        time.sleep(min(pause, LONGEST_PAUSE))


class Bearer(requests.auth.AuthBase):
    """Sends the token, where there is one, and nothing of ~/.netrc in its place."""

    def __call__(self, request):
        if token := os.environ.get("KHRONOS_TOKEN"):
            request.headers["Authorization"] = f"Bearer {token}"
        return request


def fail(problem):
    """Says all that is wrong, each at its place."""
    print(problem.get("detail"), file=sys.stderr)
    for error in problem.get("errors", []):
        print(f"  {error.get('pointer') or '/'}: {error['detail']}", file=sys.stderr)
    sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["put", "delete"])
    parser.add_argument("name")
    parser.add_argument("--if-revision", help="only if the clock has this revision, as its ETag says")
    args = parser.parse_args()
    path = "/v1/schedules/" + quote(args.name, safe="")
    headers = {"If-Match": f'"{args.if_revision}"'} if args.if_revision else {}
    body = sys.stdin.buffer.read() if args.what == "put" else None
    with requests.Session() as session:  # one connection for all that a program asks
        session.auth = Bearer()
        session.headers["Content-Type"] = "application/json"
        status, tag, answer = ask(session, args.what.upper(), path, body, headers)
    if status in (200, 201):
        left = answer["occurrences_left"]
        coming = answer["next_due_at"][0] if answer["next_due_at"] else "never"
        print(f"{args.name} {answer['outcome']}, revision {tag}, next due {coming}, left {left}")
    elif status == 204:
        print(f"{args.name} is gone")
    else:
        fail(answer)


if __name__ == "__main__":
    main()
