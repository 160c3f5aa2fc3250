"""The clock as the chart renders it: started as a node would, on a real RabbitMQ, and asked as probes and others do."""

import re
import unittest

import broker
import kubelet
import tools
from charts import CHARTS, render
from kubelet import ADDRESS, Pod, ask
from tools import wait_until

IMAGES = {"khronos:0.1.0": tools.IMAGE}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
#: By which other pods ask it.
HOST = "one-khronos.time.svc"


def token(*words):
    """A token, and the lines of a config.toml that make the clock know it."""
    text = tools.run(tools.PROGRAMS / "khronos", "token", "new", *words).stdout
    return text.splitlines()[0], "\n".join(text.splitlines()[1:])


def certificate(host):
    folder = tools.folder("tls")
    tools.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
              "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE",
              "-keyout", folder / "key", "-out", folder / "crt")
    crt = (folder / "crt").read_text()
    return {"tls.crt": crt, "tls.key": (folder / "key").read_text(), "ca.crt": crt}


class Clock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tools.the_image()
        cls.broker = broker.shared()

    def pod(self, values, url=None, claim=None, secrets=None):
        """The pod of the clock, with the other resources of its release."""
        resources = render("khronos", values)
        template = resources[("StatefulSet", "one-khronos")]["spec"]["template"]
        maps = {name: resource["data"] for (kind, name), resource in resources.items() if kind == "ConfigMap"}
        secrets = {"khronos-broker": {"url": url or self.broker.url}, **(secrets or {})}
        self.assertEqual([c["metadata"]["name"] for c in resources[("StatefulSet", "one-khronos")]["spec"]["volumeClaimTemplates"]], ["state"])
        claims = {"state": claim or kubelet.claim(65532)}
        pod = Pod(template, images=IMAGES, secrets=secrets, config_maps=maps, claims=claims, hosts=[HOST])
        self.addCleanup(pod.remove)
        return pod, resources

    def ready(self, pod):
        wait_until(f"it is ready\n{pod.log('khronos')}", lambda: pod.probe("readinessProbe", "khronos"))

    def test_its_probes_answer_and_its_service_and_its_metrics_are_where_they_are_said_to_be(self):
        pod, resources = self.pod({"http": {"openReads": True}, "monitoring": {"enabled": True}})
        pod.start()
        self.ready(pod)
        for probe in PROBES:
            self.assertTrue(pod.probe(probe, "khronos"), probe)
        (port,) = resources[("Service", "one-khronos")]["spec"]["ports"]
        number = pod._port(pod._container("khronos"), port["targetPort"])
        for host in ("one-khronos", "one-khronos.time", HOST, "one-khronos.time.svc.cluster.local"):
            self.assertEqual(ask(f"http://{ADDRESS}:{number}/v1/schedules", {"Host": f"{host}:{port['port']}"})[0], 200, host)
        self.assertNotEqual(ask(f"http://{ADDRESS}:{number}/v1/schedules", {"Host": "evil.example.com"})[0], 200)
        (endpoint,) = resources[("ServiceMonitor", "one-khronos")]["spec"]["endpoints"]
        self.assertEqual(endpoint["port"], port["name"])
        status, metrics = ask(f"{endpoint['scheme']}://{ADDRESS}:{number}{endpoint['path']}")
        self.assertIn("\nkhronos_ready 1\n", metrics)
        # The test of the chart, in a pod of its own.
        test = resources[("Pod", "one-khronos-ready")]
        self.assertEqual(Pod(test, images=IMAGES, hosts=[HOST]).run(test["spec"]["containers"][0]).stdout, "ready\n")

    def test_it_keeps_what_it_knows_through_a_kill_and_ends_in_good_order(self):
        claim = kubelet.claim(65532)
        first, _ = self.pod({"http": {"openReads": True}}, claim=claim)
        first.start()
        self.ready(first)
        first.execute("khronos", "khronos", "pause", "--all", "--note", "kept through it")
        first.kill("khronos")
        self.assertEqual((claim / "store").stat().st_mode & 0o7777, 0o700)
        second, _ = self.pod({"http": {"openReads": True}}, claim=claim)
        second.start()
        self.assertIn("kept through it", ask(f"http://{ADDRESS}:7650/readyz")[1])
        self.assertEqual(second.stop(), {"khronos": 0})

    def test_without_its_broker_it_is_alive_and_not_ready(self):
        pod, _ = self.pod({"http": {"openReads": True}}, url="amqp://nobody:secret@127.0.0.1:1")
        pod.start()
        wait_until("its reason is there", lambda: "broker" in ask(f"http://{ADDRESS}:7650/readyz")[1])
        self.assertEqual([pod.probe(probe, "khronos") for probe in PROBES], [True, True, False])
        # A password that was changed in the secret needs no restart.
        pod._write(pod.volumes["broker"], {"url": self.broker.url}, 0o440)
        self.ready(pod)

    def test_with_tokens_and_a_certificate_it_answers_whom_it_knows_and_its_files_are_read(self):
        known, lines = token("--owner", "prometheus", "--role", "read")
        schedule = '[[schedule]]\nname = "{}"\nevent = "reports.morning.requested"\nevery = "1 day"\n'
        values = {
            "name": "billing-clock", "config": f"[limits]\nrate = 100\n{lines}\n", "http": {"tlsSecret": "khronos-tls"},
            "schedules": {"reports.toml": schedule.format("morning")}, "calendars": {"closed.toml": 'dates = ["2026-12-25"]\n'},
            "monitoring": {"enabled": True, "tokenSecret": "scrape"},
        }
        pod, resources = self.pod(values, secrets={"khronos-tls": certificate(HOST)})
        pod.start()
        self.ready(pod)
        for probe in PROBES:
            self.assertTrue(pod.probe(probe, "khronos"), probe)
        url, shown = f"https://{ADDRESS}:7650", {"Authorization": f"Bearer {known}"}
        self.assertEqual(ask(f"{url}/v1/schedules")[0], 401)
        schedules = lambda: sorted(set(re.findall('"name":"([^"]*)"', ask(f"{url}/v1/schedules", shown)[1])))
        self.assertEqual(schedules(), ["morning"])
        self.assertEqual(ask(f"{url}/metrics")[0], 401)
        self.assertIn('clock="billing-clock"', ask(f"{url}/metrics", shown)[1])
        self.assertIn("authorization", resources[("ServiceMonitor", "one-khronos")]["spec"]["endpoints"][0])
        # Other files in the config map: a running clock takes them.
        pod.change("schedules", {"reports.toml": schedule.format("evening"), "more.toml": schedule.format("noon")})
        wait_until("it took them", lambda: schedules() == ["evening", "noon"])
        test = resources[("Pod", "one-khronos-ready")]
        said = Pod(test, images=IMAGES, hosts=[HOST], secrets={"khronos-tls": certificate(HOST)}).run(test["spec"]["containers"][0])
        self.assertEqual(said.returncode, 1) # another authority's certificate is not believed
        said = Pod(test, images=IMAGES, hosts=[HOST], secrets=pod.secrets).run(test["spec"]["containers"][0])
        self.assertEqual(said.stdout, "ready\n", said.stderr)

    def test_a_backup_is_written_into_the_volume_that_is_for_backups(self):
        pod, _ = self.pod({"http": {"openReads": True}, "store": {"backups": {"claim": "clock-backups"}}})
        pod.start()
        self.ready(pod)
        said = pod.execute("khronos", "khronos", "store", "backup", "/var/lib/khronos-backups/first").stdout
        self.assertIn("sends nothing before", said)
        self.assertTrue((pod.volumes["backups"] / "first/seal").is_file())
        pod.stop()

    def test_a_volume_that_the_group_may_write_is_no_place_for_the_state_itself(self):
        pod, _ = self.pod({"http": {"openReads": True}})
        (path,) = [v for v in pod._container("khronos")["env"] if v["name"] == "KHRONOS_STORE_PATH"]
        self.assertEqual(path["value"], "/var/lib/khronos/store")
        path["value"] = "/var/lib/khronos"
        self.assertNotEqual(pod.run(pod._container("khronos")).returncode, 0)


if __name__ == "__main__":
    unittest.main()
