"""The dashboards of deploy/grafana: held to Grafana's types, and each of their queries run on a real Prometheus that scrapes a real
clock, a real worker, a gateway, a sidecar with a program and an observer. What is absent: Grafana itself, so that nobody sees them drawn."""

import json
import os
import re
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request
import uuid

import broker
import database
import tools
from tools import http, wait_until

FOLDER = tools.ROOT / "deploy/grafana"
CLOCK, WORKER, PROMETHEUS = "127.0.0.1:7650", "127.0.0.1:9464", "127.0.0.1:9090"
GATEWAY, SERVE, GATEWAY_METRICS, SERVE_METRICS = "127.0.0.1:7314", "127.0.0.1:7313", "127.0.0.1:9465", "127.0.0.1:9466"
OBSERVER_METRICS = "127.0.0.1:9467"
SCRAPED = [CLOCK, WORKER, GATEWAY_METRICS, SERVE_METRICS, OBSERVER_METRICS]
#: What the gateway takes, and the sidecar's program receives.
ASKED = "test.help.asked"
#: One is done, tried again or given up on; one is parked, for nobody is bound.
SCHEDULES = """
[[schedule]]
name = "often"
event = "test.often.passed"
every = "200ms"
[[schedule]]
name = "needed"
event = "test.needed.passed"
every = "1 second"
unrouted = "park"
"""
#: By the clock's seconds: two of ten go to the dead letters at once, one of ten fails.
HANDLER = 'case $(date +%s) in *3|*7) exit 65;; *5) exit 1;; esac'
#: Empty while all is well, by the query's title; it returns data with a condition that always holds in place of its own.
EMPTY = {"Which schedules are silent?": (" > 5)", " > -1e10)")} # nothing is overdue by 5 s, unless the broker is away
#: What Grafana puts in, as it does for "All" and for the shortest time.
VARIABLES = {"$__rate_interval": "20s", "$__range": "5m", "${datasource}": "prometheus"}


def scraped(address):
    """The metrics there; nothing where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return answer.read()
    except OSError:
        return b""


def post(url, body=None, kind="application/json"):
    """Status and text of the answer; 0 where nobody answers."""
    data = b"" if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": kind}), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def queries():
    """Each query, with the dashboard and the panel that it is of."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []): # a row has none
                yield name, panel["title"], target


def metrics(query):
    """The names of metrics in a query: what is left without matchers, strings and labels."""
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\b(by|without|on)\s*\([^)]*\)', "", query)
    return set(re.findall(r"\b(?:(?:khronos|ponos)[_:][\w:]+|up\b)", bare))


class Dashboards(unittest.TestCase):
    def typed(self, boards):
        return tools.run("node", tools.ROOT / "deploy/test/dashboards.mjs", tools.TOOLS / "npm", stdin=json.dumps(boards), check=False)

    def test_they_are_what_grafana_takes(self):
        boards = [*dashboards().values()]
        self.assertEqual(len(boards), 2)
        found = self.typed(boards)
        self.assertEqual(found.returncode, 0, found.stderr)

    def test_what_grafana_does_not_take_would_be_found(self):
        board = dashboards()["clock"]
        board["refreshing"] = "30s"
        stat, *_ = board["panels"]
        stat["options"]["colorMode"] = "backgrounds"
        stat["targets"][0]["instantly"] = True
        found = self.typed([board])
        self.assertEqual(found.returncode, 1)
        for name in ("refreshing", "backgrounds", "instantly"):
            self.assertIn(name, found.stderr)

    def test_panels_have_a_question_and_a_hint_and_a_place_of_their_own(self):
        for name, board in dashboards().items():
            self.assertEqual(board["templating"]["list"][0]["type"], "datasource")
            places, seen = set(), set()
            for panel in board["panels"]:
                self.assertNotIn(panel["title"], seen)
                seen.add(panel["title"])
                if panel["type"] != "row":
                    self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])
                at = panel["gridPos"]
                taken = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(taken & places, f"{name}: {panel['title']} lies on another")
                self.assertLessEqual(at["x"] + at["w"], 24)
                places |= taken

    def test_the_pages_and_headings_that_they_name_are_there(self):
        seen = 0
        for name, board in dashboards().items():
            for page, heading in re.findall(r"(docs/[\w-]+\.md)(?:#([\w-]+))?", json.dumps(board)):
                lines = (tools.ROOT / page).read_text().splitlines()
                headings = [line.lstrip("#").strip().lower().replace(" ", "-") for line in lines if line.startswith("#")]
                self.assertTrue(not heading or heading in headings, f"{name}: {page}#{heading}")
                seen += 1
        self.assertGreater(seen, 5)


class Scraped(unittest.TestCase):
    """With a clock whose state is in a Postgres, a worker, a gateway, a sidecar, an observer and a Prometheus, for all of its tests."""

    @classmethod
    def setUpClass(cls):
        node, folder = broker.shared(), tools.folder("scraped")
        (folder / "schedules").mkdir()
        (folder / "schedules/test.toml").write_text(SCHEDULES)
        store = database.shared().database("scraped")
        clock = lambda name: cls.start(
            folder, name, tools.PROGRAMS / "khronos", "run", KHRONOS_BROKER_URL=node.url, KHRONOS_STORE_PATH=store,
            KHRONOS_HTTP_OPEN_READS="true", KHRONOS_SCHEDULES_FOLDER=str(folder / "schedules"), KHRONOS_METRICS_AUDIT_EVERY="1s")
        # One led before, so that nobody led for a while.
        first = clock("first")
        wait_until("the first leads", lambda: b"khronos_leader 1" in scraped(CLOCK))
        first.kill()
        first.wait()
        clock("khronos")
        cls.start(folder, "ponos", tools.PROGRAMS / "ponos", "run", "--service", "test", "--on", "test.often.passed", "--attempts", "2",
                  "--backoff", "first=1s", "--concurrency", "2", "--reports", "--within", "1s", "--metrics", WORKER,
                  "--", "/bin/sh", "-c", HANDLER, PONOS_URL=node.url)
        # Of these alone: while somebody takes all events, none is parked because nobody is bound. What goes to the dead letters is missed.
        cls.start(folder, "observer", tools.PROGRAMS / "ponos", "observe", "--on", "test.often.passed", "--metrics", OBSERVER_METRICS,
                  PONOS_URL=node.url)
        (folder / "edge.toml").write_text(f'service = "edge"\n[gateway]\nlisten = "{GATEWAY}"\n')
        cls.start(folder, "gateway", tools.PROGRAMS / "ponos", "gateway", "--config", "edge.toml", "--metrics", GATEWAY_METRICS,
                  PONOS_URL=node.url)
        cls.start(folder, "serve", tools.PROGRAMS / "ponos", "serve", "--service", "help", "--on", ASKED, "--metrics", SERVE_METRICS,
                  "--listen", SERVE, PONOS_URL=node.url)
        for rules in ("khronos.rules.yml", "ponos.rules.yml"):
            text = (tools.ROOT / "deploy/prometheus" / rules).read_text()
            (folder / rules).write_text(re.sub(r"(?m)^    interval: .*\n", "", text))
        text = (tools.ROOT / "deploy/prometheus/prometheus.yml").read_text()
        text = text.replace(f'"{WORKER}"', f'"{WORKER}", "{GATEWAY_METRICS}", "{SERVE_METRICS}", "{OBSERVER_METRICS}"')
        (folder / "prometheus.yml").write_text(text.replace("_interval: 15s", "_interval: 2s"))
        cls.start(folder, "prometheus", "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                  f"--web.listen-address={PROMETHEUS}", "--enable-feature=exemplar-storage", "--log.level=warn")
        cls.folder = folder
        wait_until("Prometheus answers", lambda: http(f"http://{PROMETHEUS}/-/ready")[0] == 200)
        wait_until("all are scraped", lambda: len(cls.ask("query", query="up == 1")["result"]) == len(SCRAPED))

    @classmethod
    def start(cls, folder, name, *command, **variables):
        with open(folder / f"{name}.log", "w") as log:
            process = subprocess.Popen([str(word) for word in command], env={**os.environ, **variables}, cwd=folder, stdout=log, stderr=log)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        return process

    @classmethod
    def asks(cls):
        """An event by the gateway, and a program that receives and settles it, and says so once more."""
        event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/test", "type": ASKED, "data": {}}
        post(f"http://{GATEWAY}/v1/events", event, "application/cloudevents+json")
        status, delivery = post(f"http://{SERVE}/v1/receive?wait=1s")
        for _ in range(2 if status == 200 else 0):
            post(f"http://{SERVE}/v1/deliveries/{json.loads(delivery)['token']}", {"outcome": "done"})

    @classmethod
    def ask(cls, what, **parameters):
        """What Prometheus answers; an error is raised with its words."""
        status, text = http(f"http://{PROMETHEUS}/api/v1/{what}?{urllib.parse.urlencode(parameters)}")
        if status != 200:
            raise AssertionError(f"{what} {parameters}: {status} {text}")
        return json.loads(text)["data"]

    def query(self, name, expression):
        for variable, value in {**VARIABLES, "$job": "khronos" if name == "clock" else "(ponos)", "$queue": ".+"}.items():
            expression = expression.replace(variable, value)
        self.assertNotIn("$", expression)
        values = [sample["value"][1] if isinstance(sample, dict) else sample for sample in self.ask("query", query=expression)["result"]]
        return [value for value in values if value != "NaN"]

    def left(self, missing):
        self.asks()
        missing[:] = [entry for entry in missing if not self.query(entry[0], entry[2])]
        return not missing

    def test_each_query_returns_data(self):
        for name, title, target in queries():
            self.query(name, target["expr"])
        held = lambda title, query: query.replace(*EMPTY[title]) if title in EMPTY else query
        missing = [(name, title, held(title, target["expr"])) for name, title, target in queries()]
        self.assertGreater(len(missing), 30)
        try:
            wait_until("each query", lambda: self.left(missing))
        except AssertionError:
            names = ("khronos", "ponos", "observer", "gateway", "serve", "prometheus")
            logs = "\n".join((self.folder / f"{name}.log").read_text()[-3000:] for name in names)
            self.fail("\n".join(map(str, missing)) + "\n" + logs)

    def test_each_metric_that_they_name_is_there(self):
        names = {metric for _, _, target in queries() for metric in metrics(target["expr"])}
        self.assertGreater(len(names), 20)
        self.assertNotIn("khronos", names)
        missing = lambda: names - set(self.ask("label/__name__/values"))
        try:
            wait_until("each metric", lambda: not missing())
        except AssertionError:
            self.fail(str(missing()))

    def test_each_variable_has_values(self):
        for name, board in dashboards().items():
            for variable in board["templating"]["list"][1:]:
                metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
                wait_until(f"{name}: {variable['name']}", lambda: self.query(name, f"count by ({label}) ({metric})"))

    def test_a_metric_that_is_not_there_and_a_broken_query_would_be_found(self):
        self.assertEqual(metrics('max by (khronos_x) (khronos_a{job="ponos_b"} and on (job) khronos:c)'), {"khronos_a", "khronos:c"})
        self.assertEqual(self.query("clock", "khronos_no_such_metric"), [])
        with self.assertRaises(AssertionError):
            self.query("clock", "sum by (khronos_ready")


if __name__ == "__main__":
    unittest.main()
