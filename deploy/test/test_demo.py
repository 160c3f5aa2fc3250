"""The demo: its script, which asserts each of its steps, and what compose, Prometheus and Grafana are given there."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import unittest

import tools
import yaml
from tools import http, wait_until

DEMO = tools.ROOT / "deploy/demo"


class Demo(unittest.TestCase):
    def compose(self):
        return yaml.safe_load((DEMO / "compose.yaml").read_text())

    def checked(self, path):
        return tools.run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path, check=False)

    def test_the_compose_files_are_as_their_schema_wants_them(self):
        for path in (DEMO / "compose.yaml", *(tools.ROOT / "deploy").glob("compose*.yaml")):
            found = self.checked(path)
            self.assertEqual(found.returncode, 0, found.stdout + found.stderr)

    def test_a_key_that_compose_does_not_know_would_be_found(self):
        path = tools.folder("compose") / "compose.yaml"
        path.write_text((DEMO / "compose.yaml").read_text().replace("    ports:", "    port:", 1))
        self.assertIn("'port' was unexpected", self.checked(path).stdout)

    def test_what_is_mounted_is_there(self):
        compose, seen = self.compose(), 0
        for service in compose["services"].values():
            for source, *_ in (volume.split(":") for volume in service.get("volumes", [])):
                self.assertTrue((DEMO / source).exists() if source.startswith(".") else source in compose["volumes"], source)
                seen += 1
        self.assertGreater(seen, 10)

    def test_prometheus_takes_its_configuration_and_scrapes_services_that_are_there(self):
        folder = tools.folder("prometheus")
        for path in [DEMO / "prometheus.yml", *(tools.ROOT / "deploy/prometheus").glob("*.rules.yml")]:
            (folder / path.name).write_text(path.read_text())
        tools.run("promtool", "check", "config", folder / "prometheus.yml")
        configuration = yaml.safe_load((DEMO / "prometheus.yml").read_text())
        targets = [target for job in configuration["scrape_configs"] for part in job["static_configs"] for target in part["targets"]]
        services = self.compose()["services"]
        self.assertGreater(len(targets), 5)
        for target in targets:
            self.assertIn(target.split(":")[0], services)

    def test_grafana_is_given_the_data_sources_and_the_folder_that_are_there(self):
        volumes = {volume.split(":")[1]: volume.split(":")[0] for volume in self.compose()["services"]["grafana"]["volumes"]}
        sources = yaml.safe_load((DEMO / volumes["/etc/grafana/provisioning/datasources/khronos.yaml"]).read_text())["datasources"]
        self.assertEqual([source["type"] for source in sources], ["prometheus", "loki", "tempo"])
        for source in sources:
            self.assertIn(re.fullmatch(r"http://(\w+):\d+", source["url"])[1], self.compose()["services"])
        provider, = yaml.safe_load((DEMO / volumes["/etc/grafana/provisioning/dashboards/khronos.yaml"]).read_text())["providers"]
        self.assertEqual((DEMO / volumes[provider["options"]["path"]]).resolve(), tools.ROOT / "deploy/grafana")

    def test_what_leads_from_one_data_source_to_another_leads_to_one_that_is_there(self):
        sources = yaml.safe_load((DEMO / "grafana/datasources.yaml").read_text())["datasources"]
        settings = [source.get("jsonData", {}) for source in sources]
        links = [link for data in settings for key in ("exemplarTraceIdDestinations", "derivedFields") for link in data.get(key, [])]
        links += [data["tracesToLogsV2"] for data in settings if "tracesToLogsV2" in data]
        self.assertEqual(len(links), 3)
        for link in links:
            self.assertIn(link["datasourceUid"], [source["uid"] for source in sources])
        # a line of a clock's or a worker's log
        line = '{"level":"INFO","trace_id":"0af7651916cd43dd8448eb211c80319c","message":"published"}'
        field, = (link for link in links if "matcherRegex" in link)
        self.assertEqual(re.search(field["matcherRegex"], line)[1], "0af7651916cd43dd8448eb211c80319c")

    def test_spans_go_to_where_tempo_takes_them_and_grafana_asks_it(self):
        services = self.compose()["services"]
        tempo = yaml.safe_load((DEMO / "tempo.yaml").read_text())
        taken = tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rsplit(":")[-1]
        mounted = dict(volume.split(":")[:2][::-1] for volume in services["tempo"]["volumes"])
        self.assertEqual(services["tempo"]["command"], ["-config.file=/etc/tempo.yaml"])
        self.assertEqual(mounted["/etc/tempo.yaml"], "./tempo.yaml")
        for name, variable in [(name, "KHRONOS_TRACES_ENDPOINT") for name in ("khronos-1", "khronos-2", "khronos-3")] + [
                (name, "PONOS_TRACES") for name in ("diary", "parcels-bus", "letters-bus")]:
            self.assertEqual(services[name]["environment"][variable], f"http://tempo:{taken}/v1/traces")
        source, = (source for source in yaml.safe_load((DEMO / "grafana/datasources.yaml").read_text())["datasources"] if source["type"] == "tempo")
        self.assertEqual(source["url"], f"http://tempo:{tempo['server']['http_listen_port']}")

    def test_what_logs_is_brought_to_loki(self):
        services = self.compose()["services"]
        shipper, = [service for service in services.values() if service["image"].startswith("fluent/")]
        pipeline = yaml.safe_load((DEMO / "fluent-bit.yaml").read_text())["pipeline"]
        source, target = pipeline["inputs"][0], pipeline["outputs"][0]
        self.assertIn(target["host"], services)
        # Docker's driver sends to this port of the machine, unless it is told another.
        self.assertIn(f"127.0.0.1:24224:{source['port']}", shipper["ports"])
        logging = [name for name, service in services.items() if service.get("logging", {}).get("driver") == "fluentd"]
        self.assertLessEqual({"khronos-1", "khronos-2", "khronos-3", "diary", "parcels", "parcels-bus", "letters", "letters-bus"}, set(logging))

    def test_a_clock_of_the_demo_takes_the_token_that_its_container_has(self):
        clocks = {name: service["environment"] for name, service in self.compose()["services"].items() if name.startswith("khronos-")}
        for name, variables in clocks.items():
            self.assertIn(name, variables["KHRONOS_CLUSTER_ADDRESS"])
            self.assertIn(name, variables["KHRONOS_HTTP_HOSTS"].split(","))
        text, folder = (DEMO / "clock.toml").read_text(), tools.folder("demo")
        (token,) = tomllib.loads(text)["http"]["tokens"]
        self.assertEqual(hashlib.sha256(variables["KHRONOS_TOKEN"].encode()).hexdigest(), token["sha256"])
        (folder / "config.toml").write_text(text.replace("/etc/khronos/schedules", str(DEMO / "schedules")))
        # As the image has it, but for what is in other containers.
        of_others = ("KHRONOS_BROKER_URL", "KHRONOS_CLUSTER_ADDRESS", "KHRONOS_REPORTS_ENABLED")
        variables = {key: value for key, value in variables.items() if key not in of_others} | {
            "KHRONOS_CONFIG": str(folder / "config.toml"), "KHRONOS_STORE_PATH": str(folder / "khronos"), "KHRONOS_HTTP_LISTEN": "0.0.0.0:7650"}
        with open(folder / "log", "w") as log:
            clock = subprocess.Popen([tools.PROGRAMS / "khronos", "run"], env={**os.environ, **variables}, cwd=folder, stderr=log)
        self.addCleanup(clock.wait)
        self.addCleanup(clock.terminate)
        wait_until("the clock answers", lambda: http("http://127.0.0.1:7650/readyz")[0] == 200)
        own = {key: variables[key] for key in ("KHRONOS_URL", "KHRONOS_TOKEN")}
        definition = '{"name": "tea", "event": "demo.tea.made", "every": "1 second"}'
        said = tools.run(tools.PROGRAMS / "khronos", "put", "-f", "-", stdin=definition, env=own)
        self.assertIn("tea created", said.stdout + said.stderr)
        self.assertTrue((folder / "log").read_text().startswith("{"), "the log is not JSON")


if __name__ == "__main__":
    unittest.main()
