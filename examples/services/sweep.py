#!/usr/bin/env python3
"""Sweeps away baskets that nobody has touched for 30 days, at night, when the shop is quiet.

    ponos serve --config sweep.toml &
    sweep.py [DATABASE]

The clock says each hour that an hour has passed, and knows nothing of baskets or nights: this service makes a task of its own of it.
"""

import sqlite3
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ponos_bus import Bus

ZONE = ZoneInfo("Europe/Paris")
KEPT = timedelta(days=30)
BATCH = 500  # baskets in one task: it is short, and holds no lock for long


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def main():
    database = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "baskets.db")
    database.execute("create table if not exists basket (id integer primary key, touched real)")
    bus = Bus()
    while True:
        with bus.receive() as event, database:
            if event.name == "basket.item.added":
                touched = instant(event.attributes["time"]).timestamp()
                database.execute("insert or replace into basket values (?, ?)", (event.data["basket"], touched))
                print(f"basket {event.data['basket']} is in use", flush=True)
            elif event.name == "time.one-hour.passed":
                # when it was due, not what the time is now: an event that comes late means the same, and so does one that comes twice
                due = instant(event.data["due_at"])
                if 6 <= due.astimezone(ZONE).hour < 22:
                    print("the shop is open: nothing is swept", flush=True)
                    event.skip()
                else:
                    event.task("basket.stale.sweep", {"before": (due - KEPT).isoformat()}, key="sweep")
            elif event.name == "basket.stale.sweep":
                before = instant(event.data["before"]).timestamp()
                stale = "select id from basket where touched < ? limit ?"
                swept = database.execute(f"delete from basket where id in ({stale})", (before, BATCH)).rowcount
                print(f"swept: {swept}", flush=True)
                if swept == BATCH:
                    event.task("basket.stale.sweep", event.data, key="more")


if __name__ == "__main__":
    main()
