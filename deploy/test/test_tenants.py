"""Tenants with a vhost each, by the files of deploy/tenants: the real clock, a real RabbitMQ with its shovel, and the users of two
tenants, who get what is theirs and reach nothing else."""

import json
import os
import secrets
import signal
import subprocess
import unittest

import broker
import tools
from tools import http, wait_until

TENANTS = tools.ROOT / "deploy/tenants"
SCHEDULES = "".join(
    f'[[schedule]]\nname = "{name}"\nevent = "{event}"\nevery = "1 second"\n'
    for name, event in (("tick", "time.tick.passed"), ("shop", "shop.report.due"), ("bank", "bank.report.due")))
#: What the shop's service is: it hears time and its own domain, and publishes one event.
SERVICE = """
service = "counter"
[broker]
passive = true
[[queues]]
on = ["time.tick.passed", "shop.report.due"]
label = "all"
[publish]
events = ["shop.bill.printed"]
"""


class Tenants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = broker.shared()
        cls.folder = tools.folder("tenants")
        cls.urls = {user: cls.user(user, vhost) for user, vhost in (("khronos", "clock"), ("counter", "shop"))}
        cls.node.define((TENANTS / "clock.json").read_text())
        for tenant in ("shop", "bank"):
            cls.node.define(cls.definitions(tenant))
        (cls.folder / "ponos.toml").write_text(SERVICE)
        # The administrator's part, by the file of the service.
        for words in (["--part", "shared"], ["--part", "service", "--permissions", "counter"]):
            words = ["topology", "--config", cls.folder / "ponos.toml", "--vhost", "shop", *words]
            cls.node.define(tools.run(tools.PROGRAMS / "ponos", *words).stdout)
        cls.clock = cls.start_clock()

    @classmethod
    def tearDownClass(cls):
        cls.clock.send_signal(signal.SIGTERM)
        cls.clock.wait(timeout=60)

    @classmethod
    def user(cls, name, vhost):
        """Makes a user without any right; gives its URL."""
        password = secrets.token_hex(8)
        cls.node.put(f"api/users/{name}", {"password": password, "tags": ""})
        return f"amqp://{name}:{password}@127.0.0.1:5672/{vhost}"

    @staticmethod
    def definitions(tenant):
        return (TENANTS / "tenant.json").read_text().replace("TENANT", tenant)

    @classmethod
    def start_clock(cls):
        (cls.folder / "schedules").mkdir()
        (cls.folder / "schedules/all.toml").write_text(SCHEDULES)
        environment = {
            **os.environ, "KHRONOS_BROKER_URL": cls.urls["khronos"], "KHRONOS_STORE_PATH": str(cls.folder / "khronos"),
            "KHRONOS_SCHEDULES_FOLDER": str(cls.folder / "schedules"), "KHRONOS_HTTP_OPEN_READS": "true"}
        with open(cls.folder / "log", "a") as log:
            process = subprocess.Popen([tools.PROGRAMS / "khronos", "run"], env=environment, cwd=cls.folder, stderr=log)
        wait_until("the clock is ready", lambda: http("http://127.0.0.1:7650/readyz")[0] == 200)
        return process

    def ponos(self, user, *words, vhost=None, **options):
        url = self.urls[user]
        url = f"{url.rpartition('/')[0]}/{vhost}" if vhost else url
        return tools.run(tools.PROGRAMS / "ponos", *words, env={"PONOS_URL": url}, **options)

    def worker(self):
        """The service, as its tenant runs it; what it heard is in its log, a name a line."""
        log = open(self.folder / "heard", "w")
        words = ["run", "--config", self.folder / "ponos.toml", "--", "sh", "-c", "cat >/dev/null; echo \"$PONOS_NAME\" >&2"]
        process = subprocess.Popen([tools.PROGRAMS / "ponos", *map(str, words)], stderr=log, env={**os.environ, "PONOS_URL": self.urls["counter"]})
        log.close()
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def heard(self, name):
        return (self.folder / "heard").read_text().splitlines().count(name)

    def test_a_tenant_hears_time_and_its_own_domain_and_nothing_of_another(self):
        self.node.put("api/queues/shop/everything", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
        self.node.bind("events", "everything", "#", "shop")
        self.worker()
        for name in ("time.tick.passed", "shop.report.due"):
            wait_until(f"{name} is heard", lambda: self.heard(name) > 0)
        wait_until("more has come", lambda: (self.node.messages("everything", "shop") or 0) >= 6)
        keys = {message["routing_key"] for message in self.node.take("everything", 100, "shop")}
        self.assertEqual(keys, {"time.tick.passed", "shop.report.due"})
        # The other one has his, by the same file.
        self.assertIn("bank", {binding["vhost"] for binding in self.node.ask("api/exchanges")})
        bound = {one["routing_key"] for one in self.node.ask("api/queues/clock/tenant.bank/bindings")}
        self.assertLessEqual({"time.#", "bank.#"}, bound)
        self.assertNotIn("shop.#", bound)

    def test_what_comes_while_the_shovel_is_away_is_brought_later(self):
        self.node.delete("api/parameters/shovel/clock/tenant.shop")
        wait_until("it waits", lambda: (self.node.messages("tenant.shop", "clock") or 0) > 3)
        self.node.define(self.definitions("shop"))
        wait_until("it was brought", lambda: self.node.messages("tenant.shop", "clock") == 0)

    def test_a_tenant_can_not_forge_time_nor_reach_another_vhost(self):
        self.assertEqual(self.ponos("counter", "publish", "shop.bill.printed", "{}").returncode, 0)
        for name in ("time.tick.passed", "bank.report.due", "shop.report.due"):
            refused = self.ponos("counter", "publish", name, "{}", check=False)
            self.assertEqual((refused.returncode, "ACCESS_REFUSED" in refused.stderr), (1, True), refused.stderr)
        for vhost in ("clock", "bank", "%2F"):
            refused = self.ponos("counter", "publish", "shop.bill.printed", "{}", vhost=vhost, check=False)
            self.assertEqual(refused.returncode, 77, refused.stderr)

    def test_the_clocks_user_has_all_that_the_clock_needs_and_nothing_of_a_tenant(self):
        answer = json.loads(http("http://127.0.0.1:7650/readyz")[1])
        self.assertEqual((answer.get("reasons", []), answer.get("warnings", [])), ([], []))
        self.assertNotIn("may not do this", (self.folder / "log").read_text())
        refused = self.ponos("khronos", "publish", "shop.bill.printed", "{}", vhost="shop", check=False)
        self.assertEqual(refused.returncode, 77, refused.stderr)

    def test_a_tenant_has_its_limits(self):
        (limits,) = self.node.ask("api/vhost-limits/shop")
        self.assertEqual(limits["value"], {"max-connections": 100, "max-queues": 200})
        wait_until("the policy is on its queues", lambda: self.node.queue("counter.all", "shop").get("operator_policy") == "most")


if __name__ == "__main__":
    unittest.main()
