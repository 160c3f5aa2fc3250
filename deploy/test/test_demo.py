"""The demo: its script, which asserts each of its steps, and what compose, Prometheus and Grafana are given there."""

import re
import sys
import unittest

import tools
import yaml

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
        self.assertGreater(len(targets), 3)
        for target in targets:
            self.assertIn(target.split(":")[0], services)

    def test_grafana_is_given_the_data_source_and_the_folder_that_are_there(self):
        volumes = {volume.split(":")[1]: volume.split(":")[0] for volume in self.compose()["services"]["grafana"]["volumes"]}
        source, = yaml.safe_load((DEMO / volumes["/etc/grafana/provisioning/datasources/khronos.yaml"]).read_text())["datasources"]
        self.assertIn(re.fullmatch(r"http://(\w+):9090", source["url"])[1], self.compose()["services"])
        provider, = yaml.safe_load((DEMO / volumes["/etc/grafana/provisioning/dashboards/khronos.yaml"]).read_text())["providers"]
        self.assertEqual((DEMO / volumes[provider["options"]["path"]]).resolve(), tools.ROOT / "deploy/grafana")


if __name__ == "__main__":
    unittest.main()
