"""A private Postgres of this machine's Debian, for one run of the tests."""

import atexit
import glob
import os
import pwd
import subprocess

import tools
from tools import wait_until

_shared = None


def shared():
    """The one Postgres of this run; started by whoever wants it first."""
    global _shared
    if _shared is None:
        _shared = Postgres()
    return _shared


class Postgres:
    """Its user `clock` may do everything."""

    def __init__(self):
        self.folder, user = tools.folder("postgres"), pwd.getpwnam("postgres")
        tools.WORK.chmod(0o711)
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        data = self.folder / "data"
        as_user = lambda *words: ["runuser", "-u", "postgres", "--", *map(str, words)]
        tools.run(*as_user(f"{programs}/initdb", "--pgdata", data, "--auth", "trust", "--username", "clock"))
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(
                as_user(f"{programs}/postgres", "-D", data, "-h", "127.0.0.1", "-p", "5432", "-k", data), stdout=log, stderr=log)
        atexit.register(self.process.wait)
        atexit.register(self.process.terminate)
        #: Of the database that is there from the start.
        self.url = "postgres://clock:secret@127.0.0.1:5432/postgres"
        wait_until("Postgres answers", lambda: tools.run("psql", self.url, "-c", "select 1", check=False).returncode == 0)

    def ask(self, query):
        return tools.run("psql", self.url, "--tuples-only", "--no-align", "-c", query).stdout.strip()

    def database(self, name):
        """The URL of a new database."""
        self.ask(f"create database {name}")
        return self.url.rsplit("/", 1)[0] + f"/{name}"
