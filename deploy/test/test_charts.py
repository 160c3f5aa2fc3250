"""The charts as text: both versions of helm, several of Kubernetes, the custom kinds, and what must hold of whatever is rendered."""

import json
import re
import tarfile
import unittest

import charts
import kubernetes_validate
import tools
import yaml
from charts import MATRIX, containers, pod, refusal, render

KUBERNETES = ("1.29", "1.33", "1.37")
CUSTOM = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")
WORKER = {"service": "docker", "events": ["time.one-day.passed"], "handler": {"image": "a:1", "command": ["/a"]}}
TOKENS = '[[http.tokens]]\nid = "1f2e3d4c"\n'


def validated(resource):
    for version in KUBERNETES:
        kubernetes_validate.validate(resource, version, strict=True)


class Charts(unittest.TestCase):
    def each(self):
        """Each resource of the matrix, with where it is from."""
        for chart, values in MATRIX:
            for resource in render(chart, values).values():
                yield chart, values.stem, resource

    def test_both_versions_of_helm_find_nothing_to_mind(self):
        for version in tools.HELMS:
            for chart, values in MATRIX:
                tools.helm(version, "lint", "--strict", charts.CHARTS / chart, "--values", values)

    def test_both_versions_of_helm_make_the_same_of_it(self):
        for chart, values in MATRIX:
            one, other = (render(chart, values, version) for version in tools.HELMS)
            self.assertEqual(one, other, f"{chart} {values}")

    def test_what_is_rendered_is_valid_for_each_version_of_kubernetes(self):
        seen = 0
        for _, _, resource in self.each():
            if resource["apiVersion"] not in CUSTOM:
                validated(resource)
                seen += 1
        self.assertGreater(seen, 30)

    def test_a_key_that_kubernetes_does_not_know_would_be_found(self):
        resource = render("khronos", {"http": {"openReads": True}})[("StatefulSet", "one-khronos")]
        pod(resource)["spec"]["containers"][0]["readinesProbe"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            validated(resource)

    def custom(self, resources):
        return tools.run("node", tools.ROOT / "deploy/test/schemas.mjs", tools.TOOLS / "npm", stdin=json.dumps(resources), check=False)

    def test_the_custom_kinds_are_as_their_operators_want_them(self):
        found = [resource for _, _, resource in self.each() if resource["apiVersion"] in CUSTOM]
        kinds = {resource["kind"] for resource in found}
        self.assertEqual(kinds, {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject", "ScaledJob", "TriggerAuthentication"})
        said = self.custom(found)
        self.assertEqual((said.returncode, said.stderr), (0, ""))

    def test_a_custom_kind_with_a_wrong_key_or_value_would_be_found(self):
        (scaled,) = [r for _, _, r in self.each() if r["kind"] == "ScaledObject"]
        for change in ({"coolDownPeriod": 5}, {"cooldownPeriod": "5"}):
            said = self.custom([{**scaled, "spec": {**scaled["spec"], **change}}])
            self.assertEqual(said.returncode, 1, change)

    def test_no_secret_is_made_and_none_stands_in_a_value(self):
        for _, _, resource in self.each():
            self.assertNotEqual(resource["kind"], "Secret")
            self.assertIsNone(re.search(r"\w+://[^\s/@]+:[^\s/@]+@", json.dumps(resource)))

    def test_each_pod_is_closed_in_and_has_its_resources(self):
        seen = 0
        for _, _, resource in self.each():
            if (found := pod(resource)) is None:
                continue
            seen += 1
            spec = found["spec"]
            self.assertIs(spec["automountServiceAccountToken"], False)
            # Services would set variables called KHRONOS_... and PONOS_...
            self.assertIs(spec["enableServiceLinks"], False)
            self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in containers(found):
                closed = container["securityContext"]
                self.assertEqual((closed["allowPrivilegeEscalation"], closed["readOnlyRootFilesystem"]), (False, True))
                self.assertEqual(closed["capabilities"], {"drop": ["ALL"]})
                self.assertTrue(container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"])
                self.assertFalse(container["image"].endswith((":", ":latest")))
        self.assertGreater(seen, 12)

    def test_what_selects_pods_selects_those_of_the_release_alone(self):
        for chart, values in MATRIX:
            resources = render(chart, values).values()
            workload = next(r for r in resources if r["kind"] in ("StatefulSet", "Deployment", "ScaledJob"))
            labels = pod(workload)["metadata"]["labels"].items()
            for resource in resources:
                spec = resource.get("spec", {})
                chosen = spec.get("podSelector") or spec.get("selector")
                if not chosen or resource["kind"] == "ServiceMonitor":
                    continue
                chosen = chosen.get("matchLabels", chosen)
                self.assertLessEqual(chosen.items(), labels, resource["kind"])
                self.assertEqual(chosen["app.kubernetes.io/instance"], "one")
            for other in resources:
                if other["kind"] in ("Pod", "Job"): # tests and hooks are no clocks and no workers
                    theirs = pod(other)["metadata"]["labels"]
                    self.assertNotEqual(theirs["app.kubernetes.io/name"], dict(labels)["app.kubernetes.io/name"])

    def test_the_rules_are_those_of_deploy_prometheus(self):
        for chart, values, name in (("khronos", "tokens", "khronos"), ("ponos-worker", "program", "ponos")):
            resources = render(chart, charts.CHARTS / chart / f"ci/{values}.yaml")
            (rule,) = [r for r in resources.values() if r["kind"] == "PrometheusRule"]
            with open(tools.ROOT / f"deploy/prometheus/{name}.rules.yml") as file:
                self.assertEqual(rule["spec"], yaml.safe_load(file))
            (monitor,) = [r for r in resources.values() if r["kind"] in ("ServiceMonitor", "PodMonitor")]
            (endpoint,) = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
            # The job by which the rules know it.
            self.assertIn({"action": "replace", "targetLabel": "job", "replacement": name}, endpoint["relabelings"])

    def test_a_package_has_all_that_the_chart_needs_and_nothing_of_the_tests(self):
        for chart in ("khronos", "ponos-worker"):
            folder = tools.folder("package")
            for version in tools.HELMS:
                tools.helm(version, "package", charts.CHARTS / chart, "--destination", folder)
                with tarfile.open(next(folder.glob("*.tgz"))) as archive:
                    names = archive.getnames()
                    (rules,) = [name for name in names if name.endswith(".rules.yml")]
                    self.assertIn(b"groups:", archive.extractfile(rules).read())
                    self.assertFalse([name for name in names if "/ci/" in name])

    def test_a_clock_on_postgres_has_no_volume_and_a_file_with_the_url(self):
        for values, replicas in (("postgres", 3), ("postgres-one", 1)):
            resources = render("khronos", charts.CHARTS / f"khronos/ci/{values}.yaml")
            clock = resources[("StatefulSet", "one-khronos")]
            self.assertEqual(clock["spec"]["replicas"], replicas)
            self.assertNotIn("volumeClaimTemplates", clock["spec"])
            (container,) = containers(pod(clock))
            variables = {variable["name"]: variable.get("value") for variable in container["env"]}
            self.assertLessEqual({"KHRONOS_STORE_URL_FILE", "KHRONOS_STORE_SCHEMA"}, variables.keys())
            self.assertEqual(variables["KHRONOS_STORE_PATH"], "") # else that of the image would stand beside it
            # Of several, each says where the others reach it, and one at a time may be taken away.
            self.assertEqual(("KHRONOS_CLUSTER_ADDRESS" in variables, ("PodDisruptionBudget", "one-khronos") in resources),
                             (replicas > 1, replicas > 1))

    def test_the_triggers_that_the_clock_prints_are_values_of_the_chart(self):
        words = ["next", "--cron", "0 9 * * 1-5", "--time-zone", "Europe/Paris", "--keda"]
        printed = yaml.safe_load(tools.run(tools.PROGRAMS / "khronos", *words).stdout)
        scale = {"mode": "queue", "management": {"secret": "m"}, **printed["scale"]}
        scaled = render("ponos-worker", {**WORKER, "scale": scale})[("ScaledObject", "one")]
        (cron,) = [trigger for trigger in scaled["spec"]["triggers"] if trigger["type"] == "cron"]
        wanted = {"timezone": "Europe/Paris", "start": "55 8 * * 1-5", "end": "5 9 * * 1-5", "desiredReplicas": "1"}
        self.assertEqual(cron["metadata"], wanted)
        self.assertEqual(self.custom([scaled]).returncode, 0)

    def test_backups_lie_in_a_volume_that_is_there_already_and_in_no_other(self):
        for claim in ("", "clock-backups"):
            clock = render("khronos", {"http": {"openReads": True}, "store": {"backups": {"claim": claim}}})[("StatefulSet", "one-khronos")]
            (container,) = containers(pod(clock))
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"]
                      for volume in pod(clock)["spec"]["volumes"] if "persistentVolumeClaim" in volume}
            self.assertEqual(mounts.get("backups"), "/var/lib/khronos-backups" if claim else None)
            self.assertEqual(claims, {"backups": claim} if claim else {})
            # What is made for the release can't be changed by an upgrade.
            self.assertEqual([made["metadata"]["name"] for made in clock["spec"]["volumeClaimTemplates"]], ["state"])

    def test_the_version_of_the_charts_is_that_of_the_programs(self):
        cargo = (tools.ROOT / "Cargo.toml").read_text()
        version = re.search('^version = "(.*)"', cargo, re.M)[1]
        for chart in ("khronos", "ponos-worker"):
            self.assertIn(f'appVersion: "{version}"', (charts.CHARTS / chart / "Chart.yaml").read_text())

    def test_what_could_not_run_is_refused_with_the_reason(self):
        opened = {"http": {"openReads": True}}
        keda = {**WORKER, "scale": {"mode": "queue"}}
        for chart, values, reason in [
            ("khronos", {}, "say who may read"),
            ("khronos", {"config": "# [[http.tokens]]\n"}, "say who may read"),
            ("khronos", {**opened, "config": TOKENS}, "openReads would let everybody read without one"),
            ("khronos", {**opened, "replicas": 3}, "more than one clock needs store.postgres.secret"),
            ("khronos", {"config": TOKENS, "http": {"tlsSecret": "a", "behindProxy": True}}, "exclude each other"),
            ("khronos", {**opened, "store": {"size": "2"}}, "size"),
            ("khronos", {**opened, "store": {"backups": {"claim": "b"}, "postgres": {"secret": "p"}}}, "backed up by its own means"),
            ("khronos", {**opened, "brokerUrl": "amqp://a:b@c"}, "brokerUrl"),
            ("khronos", {**opened, "schedules": {"a.yaml": "x"}}, "a.yaml"),
            ("khronos", {**opened, "name": "My Clock"}, "name"),
            ("ponos-worker", {}, "name the service"),
            ("ponos-worker", {**WORKER, "events": []}, "name events or tasks"),
            ("ponos-worker", {**WORKER, "events": ["Order Shipped"]}, "events"),
            ("ponos-worker", {**WORKER, "events": [], "tasks": ["a.b.c"], "fanIn": "x"}, "it is for events"),
            ("ponos-worker", {**WORKER, "handler": {}}, "name an image with a command or a port, or a url"),
            ("ponos-worker", {**WORKER, "handler": {"image": "a:1"}}, "with an image there is a command"),
            ("ponos-worker", {**WORKER, "handler": {"image": "a:1", "command": ["a"], "port": 80}}, "keep one of them"),
            ("ponos-worker", {**WORKER, "handler": {"image": "a:1", "url": "http://a"}}, "url stands alone"),
            ("ponos-worker", {**WORKER, "policy": {"atempts": 3}}, "atempts"),
            ("ponos-worker", {**WORKER, "policy": {"timeout": "soon"}}, "timeout"),
            ("ponos-worker", keda, "scale.management.secret"),
            ("ponos-worker", {**WORKER, "scale": {"mode": "queue", "min": 3, "max": 2, "management": {"secret": "m"}}}, "above scale.max"),
            ("ponos-worker", {**WORKER, "scale": {"mode": "jobs", "management": {"secret": "m"}, "cron": [
                {"timezone": "UTC", "start": "0 9 * * *", "end": "5 9 * * *", "desiredReplicas": 1}]}}, "for the mode queue"),
        ]:
            for version in tools.HELMS:
                with self.subTest(f"{chart} {values} {version}"):
                    self.assertIn(reason, refusal(chart, values, version))


if __name__ == "__main__":
    unittest.main()
