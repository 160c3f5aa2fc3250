#!/usr/bin/env python3
"""Raises an alarm when on a working day no statement of the bank came.

    khronos put -f missing-schedule.toml
    ponos serve --config missing.toml &
    missing.py [DATABASE]

Nobody publishes that nothing has happened. The clock says when a day is over, and which time that was: the window of its event. Working
days and holidays stand in its schedule, not here.
"""

import sqlite3
import sys
from datetime import datetime

from ponos_bus import Bus


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main():
    database = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "statements.db")
    database.execute("create table if not exists received (id text primary key, at real)")
    bus = Bus()
    while True:
        with bus.receive() as event, database:
            if event.name == "bank.statement.received":
                row = (event.id, seconds(event.attributes["time"]))
                database.execute("insert or ignore into received values (?, ?)", row)
                print("a statement came", flush=True)
                continue
            window = event.data["window"]
            if window is None:  # somebody triggered it by hand
                event.skip()
                continue
            query = "select count(*) from received where at > ? and at <= ?"
            (count,) = database.execute(query, (seconds(window["from"]), seconds(window["to"]))).fetchone()
            print(f"{count} statements until {window['to']}", flush=True)
            if count == 0:
                event.publish("bank.statement.missed", {"from": window["from"], "to": window["to"]}, key="missed")
            database.execute("delete from received where at <= ?", (seconds(window["from"]),))


if __name__ == "__main__":
    main()
