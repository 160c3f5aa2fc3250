#!/usr/bin/env python3
"""Schedules at run time over HTTP, with Python's own library alone.

    schedules.py put NAME [--if-revision CREATION.REVISION] < DEFINITION.json
    schedules.py delete NAME

The clock's address is in KHRONOS_URL (http://127.0.0.1:7650 if left out), the token in KHRONOS_TOKEN.

A put says how a schedule is to be. Sent again it changes nothing, so that whatever got no answer is simply sent again.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ATTEMPTS = 8
LONGEST_PAUSE = 30  # seconds
LATER = {429, 503, 507}  # too often, not now, the disk is full: the same again, later


def ask(method, path, body=None, headers=None):
    """The answer: status, ETag and JSON. Tries again where that may help."""
    url = os.environ.get("KHRONOS_URL", "http://127.0.0.1:7650").rstrip("/") + path
    headers = {"Content-Type": "application/json", **(headers or {})}
    if token := os.environ.get("KHRONOS_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    for attempt in range(ATTEMPTS):
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers.get("ETag"), json.loads(answer.read() or "null")
        except urllib.error.HTTPError as refused:
            problem = json.loads(refused.read() or "{}")
            if refused.code not in LATER or attempt == ATTEMPTS - 1:
                return refused.code, None, problem
            pause = float(refused.headers.get("Retry-After") or 1)
            why = problem.get("detail")
        except OSError as lost:  # not reached, or the connection was lost before the answer
            if attempt == ATTEMPTS - 1:
                return None, None, {"detail": str(lost)}
            pause, why = 2.0**attempt / 4, lost
        print(f"trying again: {why}", file=sys.stderr)
        time.sleep(min(pause, LONGEST_PAUSE))


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
    path = "/v1/schedules/" + urllib.parse.quote(args.name, safe="")
    headers = {"If-Match": f'"{args.if_revision}"'} if args.if_revision else {}
    body = sys.stdin.buffer.read() if args.what == "put" else None
    status, tag, answer = ask(args.what.upper(), path, body, headers)
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
