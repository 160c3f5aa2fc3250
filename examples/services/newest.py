#!/usr/bin/env python3
"""Knows what is left of each item: each count is an event, with what was there and a number that grows.

    ponos serve --config newest.toml &
    newest.py [DATABASE]

Each event has the whole state, so that no event needs another. They may come in any order, and some never: the newest wins.
"""

import sqlite3
import sys

from ponos_bus import Bus

NEWER = """
insert into shelf values (:item, :version, :left)
on conflict (item) do update set version = excluded.version, left = excluded.left where version < excluded.version
"""


def main():
    database = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "shelves.db")
    database.execute("create table if not exists shelf (item text primary key, version integer, left integer)")
    bus = Bus()
    while True:
        with bus.receive() as event, database:
            if database.execute(NEWER, event.data).rowcount:
                print("{item}: {left} left at version {version}".format_map(event.data), flush=True)
            else:
                print("{item}: version {version} is old".format_map(event.data), flush=True)
                event.skip()


if __name__ == "__main__":
    main()
