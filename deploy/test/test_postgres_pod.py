"""The clock on a Postgres, as the chart renders it and as docs/docker.md says it: what it knows is there, and nowhere else."""

import unittest

import broker
import database
import tools
import yaml
from charts import CHARTS, pod, render
from kubelet import Pod
from test_clock_pod import token
from tools import http, wait_until

URL = "http://127.0.0.1:7650"


class Clock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tools.the_image()

    def pod(self, node, postgres, config):
        values = yaml.safe_load((CHARTS / "khronos/ci/postgres-one.yaml").read_text())
        resources = render("khronos", {**values, "config": config, "http": {}})
        maps = {name: resource["data"] for (kind, name), resource in resources.items() if kind == "ConfigMap"}
        secrets = {"khronos-broker": {"url": node.url}, "khronos-postgres": {"url": postgres.url}}
        template, images = pod(resources[("StatefulSet", "one-khronos")]), {"khronos:0.1.0": tools.IMAGE}
        pod_ = Pod(template, images=images, secrets=secrets, config_maps=maps)
        self.addCleanup(pod_.remove)
        pod_.start()
        return pod_

    def ready(self, pod_):
        wait_until(f"it is ready\n{pod_.log('khronos')}", lambda: pod_.probe("readinessProbe", "khronos"))

    def test_what_it_knows_is_in_the_postgres_and_outlives_a_kill(self):
        node, postgres = broker.shared(), database.shared()
        shown, config = token("--owner", "operators", "--role", "admin")
        # From its own machine, where a token may come in the clear.
        khronos = lambda *words: tools.run(tools.PROGRAMS / "khronos", *words, env={"KHRONOS_URL": URL, "KHRONOS_TOKEN": shown})
        read = lambda path: http(URL + path, {"Authorization": f"Bearer {shown}"})[1]
        first = self.pod(node, postgres, config)
        self.ready(first)
        self.assertTrue(first.probe("livenessProbe", "khronos"))
        wait_until("it leads", lambda: "one-day" in read("/v1/schedules"))
        self.assertNotEqual(postgres.ask("select count(*) from khronos.shard"), "0")
        khronos("pause", "--all", "--note", "kept through it")
        first.kill("khronos")
        second = self.pod(node, postgres, config)
        wait_until("it leads, too", lambda: "kept through it" in read("/readyz"))
        khronos("resume", "--all", "--skip")
        self.ready(second)
        self.assertEqual(second.stop(), {"khronos": 0})

    def test_in_a_container_the_folder_that_the_image_names_is_taken_back(self):
        file = tools.folder("secret") / "url"
        file.write_text("postgres://clock:secret@127.0.0.1/postgres\n")
        file.chmod(0o444)
        file.parent.chmod(0o755)
        tools.WORK.chmod(0o711)

        def check(**variables):
            variables["KHRONOS_HTTP_OPEN_READS"] = "true"
            words = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
            return tools.podman("run", "--rm", "--pull", "never", "--network", "host", "--no-healthcheck",
                                "--volume", f"{file}:/run/secrets/store-url:ro", *words, tools.IMAGE, "check", check=False)

        said = check(KHRONOS_STORE_URL_FILE="/run/secrets/store-url")
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("both store.path and store.url_file are given", said.stdout + said.stderr)
        said = check(KHRONOS_STORE_URL_FILE="/run/secrets/store-url", KHRONOS_STORE_PATH="")
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        said = check(KHRONOS_STORE_PATH="postgres://clock:secret@127.0.0.1/postgres")
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)


if __name__ == "__main__":
    unittest.main()
