"""What docs/operations.md says about backups and credentials, done with the real programs; and that the pages' links lead somewhere."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import unittest

import broker
import tools
from tools import http, wait_until

URL = "http://127.0.0.1:7650"


class Handbook(unittest.TestCase):
    def clock(self, folder, **variables):
        """A clock on the state in `folder`; ended when the test ends, or by `self.end`."""
        environment = {**os.environ, "KHRONOS_STORE_PATH": str(folder / "khronos"), "KHRONOS_HTTP_OPEN_READS": "true", **variables}
        with open(folder / "log", "a") as log:
            process = subprocess.Popen([tools.PROGRAMS / "khronos", "run"], env=environment, cwd=folder, stderr=log)
        self.addCleanup(process.kill)
        wait_until("the clock answers", lambda: http(f"{URL}/healthz")[0] == 200)
        return process

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 0)

    def khronos(self, folder, *words, stdin=None):
        return tools.run(tools.PROGRAMS / "khronos", *words, stdin=stdin, env={"KHRONOS_STORE_PATH": str(folder / "khronos")}).stdout

    def test_a_restored_copy_is_the_state_that_was_copied_and_what_came_after_it_is_put_again(self):
        folder = tools.folder("machine")
        put = lambda name: self.khronos(folder, "put", "-f", "-", stdin=f'{{"name": "{name}", "event": "a.b.due", "every": "1 day"}}')
        clock = self.clock(folder)
        put("before")
        self.end(clock)
        tools.run("tar", "-C", folder, "-cf", folder / "copy.tar", "khronos")
        clock = self.clock(folder)
        put("after")
        (folder / "since.toml").write_text(self.khronos(folder, "export"))
        self.end(clock)
        shutil.rmtree(folder / "khronos")
        tools.run("tar", "-C", folder, "-xpf", folder / "copy.tar")
        clock = self.clock(folder)
        listed = self.khronos(folder, "list", "--origin", "client")
        self.assertIn("before", listed)
        self.assertNotIn("after", listed)
        said = self.khronos(folder, "put", "-f", folder / "since.toml")
        self.assertIn("before unchanged", said)
        self.assertIn("after created", said)
        self.end(clock)

    def test_another_user_of_the_broker_takes_over_without_a_restart(self):
        node, folder = broker.shared(), tools.folder("machine")
        url = folder / "broker-url"
        for user in ("clock-1", "clock-2"):
            node.put(f"api/users/{user}", {"password": (password := secrets.token_hex(8)), "tags": ""})
            node.put(f"api/permissions/%2F/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
            text = f"amqp://{user}:{password}@127.0.0.1:5672\n"
            if user == "clock-1":
                url.write_text(text)
        clock = self.clock(folder, KHRONOS_BROKER_URL_FILE=str(url))
        users = lambda: {connection["user"] for connection in node.ask("api/connections") or []}
        wait_until("it is ready", lambda: http(f"{URL}/readyz")[0] == 200 and "clock-1" in users())
        url.write_text(text)
        node.delete("api/users/clock-1")
        wait_until("the other one is there", lambda: "clock-2" in users() and "clock-1" not in users())
        wait_until("it is ready again", lambda: http(f"{URL}/readyz")[0] == 200)
        self.assertIsNone(clock.poll())
        self.end(clock)

    def test_every_link_of_the_pages_leads_to_a_file_and_to_a_heading_of_it(self):
        pages = [*tools.ROOT.glob("*.md"), *tools.ROOT.glob("docs/*.md"), *tools.ROOT.glob("crates/*/README.md")]
        anchors = lambda path: {
            re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            for line in path.read_text().splitlines() if line.startswith("#")}
        wrong, seen = [], 0
        for page in pages:
            prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
            for target in re.findall(r"\]\(([^)\s]+)\)", prose):
                if re.match(r"\w+:", target):
                    continue
                seen += 1
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                if not file.exists() or anchor and anchor not in anchors(file):
                    wrong.append(f"{page.relative_to(tools.ROOT)}: {target}")
        self.assertGreater(seen, 100)
        self.assertEqual(wrong, [])

    def test_every_page_stands_in_the_index(self):
        index = (tools.ROOT / "docs/README.md").read_text()
        missing = [page.name for page in (tools.ROOT / "docs").glob("*.md") if f"({page.name}" not in index]
        self.assertEqual(missing, ["README.md"])


if __name__ == "__main__":
    unittest.main()
