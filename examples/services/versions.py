#!/usr/bin/env python3
"""Keeps balances: each event moves one by an amount, and is the next version of its account.

    ponos serve --config versions.toml &
    versions.py [DATABASE]

A move builds upon the one before it. One that comes too early is tried again later, one that comes twice is skipped; the row's version
says which it is, in the same statement that writes.
"""

import sqlite3
import sys

from ponos_bus import Bus


def main():
    database = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "accounts.db")
    database.execute("create table if not exists account (id integer primary key, version integer, balance integer)")
    bus = Bus()
    while True:
        with bus.receive() as event, database:
            account, version, amount = (event.data[key] for key in ("account", "version", "amount"))
            database.execute("insert or ignore into account values (?, 0, 0)", (account,))
            move = "update account set version = version + 1, balance = balance + ? where id = ? and version = ? - 1"
            moved = database.execute(move, (amount, account, version)).rowcount
            query = "select version, balance from account where id = ?"
            stands, balance = database.execute(query, (account,)).fetchone()
            if moved:
                print(f"account {account} has {balance} at version {stands}", flush=True)
            elif version <= stands:
                print(f"version {version} of account {account} came before", flush=True)
                event.skip()
            else:
                print(f"version {version} of account {account} is too early", flush=True)
                event.retry(f"it builds upon version {version - 1}, and account {account} is at {stands}", after=1)


if __name__ == "__main__":
    main()
