"""Workers as the chart renders them: started as a node would, on a real RabbitMQ, with programs, services and KEDA's rules."""

import json
import unittest
import urllib.parse

import broker
import charts
import kubelet
import tools
from charts import render
from kubelet import ADDRESS, Pod, ask
from tools import wait_until

#: A handler's image has glibc, a shell, find and grep; what Debian's slim images have.
IMAGES = {"khronos:0.1.0": tools.IMAGE, "handler:1": "docker.io/library/debian:bookworm-slim"}


def streams(arguments):
    """What of the arguments says which queues there are."""
    return [word for word in arguments if word.startswith(("--service=", "--on=", "--task=", "--fan-in=", "--exclusive"))]


class Worker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tools.the_image()
        cls.broker = broker.shared()

    def pod(self, values, config_maps=None, images=None):
        resources = render("ponos-worker", values)
        workload = next(resources[key] for key in (("Deployment", "one"), ("ScaledJob", "one")) if key in resources)
        pod = Pod(charts.pod(workload), images=images or IMAGES, config_maps=config_maps, secrets=self.secrets())
        self.addCleanup(pod.remove)
        return pod, resources

    def secrets(self):
        return {"ponos-broker": {"url": self.broker.url}, "inbox": {"url": "memory"},
                "management": {"url": f"http://guest:{self.broker.password}@127.0.0.1:15672/%2F"}}

    def publish(self, name, data, *words):
        tools.run(tools.PROGRAMS / "ponos", "publish", name, json.dumps(data), *words, env={"PONOS_URL": self.broker.url})

    def declare(self, arguments):
        """What `ponos declare` is to make, by way of the definitions of `ponos topology`."""
        text = tools.run(tools.PROGRAMS / "ponos", "topology", "--vhost", "/", *streams(arguments)).stdout
        self.broker.define(text)

    def job(self, resource):
        """Runs a job, or a test of a chart, to its end."""
        template = charts.pod(resource)
        pod = Pod(template, images=IMAGES, secrets=self.secrets())
        return pod.run(template["spec"]["containers"][0])

    def test_a_program_in_an_image_of_its_own_is_run_for_each_event_that_keeps_the_contract(self):
        values = {
            "service": "docker", "events": ["pod.image.made"], "tasks": ["pod.image.clean"],
            "handler": {"image": "handler:1", "command": ["sh", "-c", "cat; echo \" handled by $WHO\"; touch /tmp/x"],
                        "env": [{"name": "WHO", "value": "a-program"}]},
            "policy": {"attempts": 2, "timeout": "1m", "concurrency": 2, "rate": "50/s", "maxAge": "2h", "latestOnly": True},
            "contract": {"configMap": "contract"}, "inbox": {"secret": "inbox"}, "monitoring": {"enabled": True},
        }
        contract = {"pod.image.made.json": '{"type": "object", "required": ["image"]}', "pod.image.clean.json": "{}"}
        pod, resources = self.pod(values, {"contract": contract})
        pod.start()
        self.assertTrue(pod.probe("livenessProbe", "worker"))
        self.publish("pod.image.made", {"image": "a"})
        wait_until("it is handled", lambda: '{"image": "a"} handled by a-program' in pod.log("worker"))
        self.publish("pod.image.made", {"picture": "b"})
        wait_until("it is dead", lambda: self.broker.messages("docker.pod.image.made.dlq") == 1)
        (endpoint,) = resources[("PodMonitor", "one")]["spec"]["podMetricsEndpoints"]
        port = pod._port(pod._container("worker"), endpoint["port"])
        self.assertIn('ponos_connected{queue="docker.pod.image.clean"} 1', ask(f"http://{ADDRESS}:{port}/metrics")[1])
        self.assertEqual(self.job(resources[("Pod", "one-queues")]).returncode, 0)
        self.assertEqual(pod.stop(), {"worker": 0})

    def test_its_liveness_fails_once_its_file_grows_old(self):
        values = {"service": "old", "tasks": ["pod.old.one"], "handler": {"image": "handler:1", "command": ["true"]}}
        pod, _ = self.pod(values)
        pod.start()
        tools.run("kill", "-STOP", pod.state("worker")["Pid"])
        self.addCleanup(lambda: tools.run("kill", "-CONT", pod.state("worker")["Pid"], check=False))
        self.assertTrue(pod.probe("livenessProbe", "worker"))
        pod.execute("worker", "touch", "--date", "2 minutes ago", "/run/ponos/alive")
        self.assertFalse(pod.probe("livenessProbe", "worker"))

    def test_a_service_beside_the_worker_gets_each_event(self):
        # Any HTTP service: here a clock, which answers definitions of schedules with 200, and others with 422.
        values = {
            "service": "beside", "events": ["pod.definition.made"],
            "handler": {"image": "service:1", "port": 7650, "path": "/v1/preview", "env": [
                {"name": "KHRONOS_HTTP_OPEN_READS", "value": "true"}, {"name": "KHRONOS_STORE_PATH", "value": "memory:"}]},
        }
        pod, _ = self.pod(values, images={**IMAGES, "service:1": tools.IMAGE})
        pod.start()
        self.assertTrue(pod.probe("livenessProbe", "worker"))
        self.publish("pod.definition.made", {"name": "x", "event": "a.b.c", "every": "1 day"})
        self.publish("pod.definition.made", {"name": "x", "event": "a.b.c", "every": "1 dya"})
        wait_until("one is dead", lambda: self.broker.messages("beside.pod.definition.made.dlq") == 1)
        wait_until("the other is done", lambda: self.broker.messages("beside.pod.definition.made") == 0)
        self.assertEqual(pod.stop(), {"handler": 0, "worker": 0})

    def test_the_queues_that_keda_looks_at_are_those_of_the_worker(self):
        for values in ("queue", "jobs"):
            resources = render("ponos-worker", charts.CHARTS / f"ponos-worker/ci/{values}.yaml")
            scaled = next(resource for (kind, _), resource in resources.items() if kind in ("ScaledObject", "ScaledJob"))
            watched = [trigger["metadata"]["queueName"] for trigger in scaled["spec"]["triggers"] if trigger["type"] == "rabbitmq"]
            template = charts.pod(resources.get(("Deployment", "one"), scaled))
            wanted = streams(template["spec"]["containers"][0]["args"])
            text = tools.run(tools.PROGRAMS / "ponos", "topology", "--vhost", "/", *wanted).stdout
            own = {queue["name"] for queue in json.loads(text)["queues"]} # with ladders and dead letters
            self.assertLessEqual(set(watched), own)
            dead = {name.removesuffix(".dlq") for name in own if name.endswith(".dlq")}
            self.assertEqual(set(watched), dead)
            for kind, name in (("Job", "one-declare"), ("Pod", "one-queues")):
                (container,) = charts.pod(resources[(kind, name)])["spec"]["containers"]
                self.assertEqual(streams(container["args"]), wanted)

    def test_the_rules_for_keda_avoid_its_traps(self):
        folder = charts.CHARTS / "ponos-worker/ci"
        resources = render("ponos-worker", folder / "queue.yaml")
        scaled = resources[("ScaledObject", "one")]["spec"]
        # An upgrade must not set the number that KEDA has chosen.
        self.assertNotIn("replicas", resources[("Deployment", "one")]["spec"])
        self.assertEqual((scaled["minReplicaCount"], scaled["pollingInterval"], scaled["fallback"]["replicas"]), (0, 5, 1))
        for name, kind in (("queue", "ScaledObject"), ("jobs", "ScaledJob")):
            resources = render("ponos-worker", folder / f"{name}.yaml")
            for trigger in resources[(kind, "one")]["spec"]["triggers"]:
                if trigger["type"] == "rabbitmq":
                    metadata = trigger["metadata"]
                    # By amqp only what waits counts; `queueLength` is of old.
                    self.assertEqual((metadata["protocol"], metadata["mode"]), ("http", "QueueLength"))
                    self.assertEqual((metadata["activationValue"], metadata["excludeUnacknowledged"]), ("0", "false"))
                    self.assertFalse({"host", "password", "queueLength"} & metadata.keys())
                    self.assertEqual(trigger["authenticationRef"], {"name": "one"})
            # The queues are there before the first worker.
            hook = resources[("Job", "one-declare")]["metadata"]["annotations"]["helm.sh/hook"]
            self.assertEqual(hook, "pre-install,pre-upgrade")
        jobs = resources[("ScaledJob", "one")]["spec"]
        self.assertEqual(jobs["maxReplicaCount"], 1) # exclusive
        self.assertEqual((jobs["rollout"]["strategy"], jobs["jobTargetRef"]["backoffLimit"]), ("gradual", 0))
        pod = jobs["jobTargetRef"]["template"]["spec"]
        self.assertEqual(pod["restartPolicy"], "Never")
        self.assertGreater(pod["terminationGracePeriodSeconds"], 600)
        self.assertIn("--drain", pod["containers"][0]["args"])

    def scaler(self, scaled, resources):
        """How many messages KEDA sees, by the URL, queues and rules that it is given: those that wait, and those in progress."""
        (target,) = resources[("TriggerAuthentication", "one")]["spec"]["secretTargetRef"]
        self.assertEqual(target["parameter"], "host")
        host = urllib.parse.urlsplit(self.secrets()[target["name"]][target["key"]])
        vhost = urllib.parse.unquote(host.path.removeprefix("/"))
        self.assertEqual((host.password, vhost), (self.broker.password, "/"))
        queues = [trigger["metadata"]["queueName"] for trigger in scaled["spec"]["triggers"]]
        return lambda: sum(self.broker.messages(queue) for queue in queues)

    def test_a_worker_at_zero_gets_every_event_and_a_busy_one_is_not_taken_away(self):
        values = {
            "service": "zero", "events": ["pod.zero.made"],
            "handler": {"image": "handler:1", "command": ["sh", "-c", "cat; until [ -e /tmp/go ]; do :; done; echo ' done'"]},
            "policy": {"timeout": "5m"}, "scale": {"mode": "queue", "management": {"secret": "management"}},
        }
        pod, resources = self.pod(values)
        test = resources[("Pod", "one-queues")]
        self.assertNotEqual(self.job(test).returncode, 0) # nobody declared them yet
        self.declare(pod._container("worker")["args"])
        self.assertEqual(self.job(test).returncode, 0)
        waits = self.scaler(resources[("ScaledObject", "one")], resources)
        self.assertEqual(waits(), 0)
        for number in range(3):
            self.publish("pod.zero.made", {"number": number}) # while there is no worker
        wait_until("KEDA sees all of them", lambda: waits() == 3)
        pod.start()
        wait_until("the first is in progress", lambda: '{"number": 0}' in pod.log("worker"))
        queue = lambda: self.broker.queue("zero.pod.zero.made")
        wait_until("all of them are out", lambda: queue().get("messages_ready") == 0 and queue().get("messages_unacknowledged") == 3)
        self.assertEqual(waits(), 3) # nothing waits, and it is busy: KEDA leaves it
        pod.execute("worker", "touch", "/tmp/go")
        wait_until("all are done", lambda: pod.log("worker").count(" done") == 3)
        wait_until("KEDA sees nothing", lambda: waits() == 0)
        self.assertEqual(pod.stop(), {"worker": 0})

    def test_a_job_handles_what_is_there_and_ends(self):
        values = {
            "service": "job", "tasks": ["pod.report.build"],
            "handler": {"image": "handler:1", "command": ["sh", "-c", "cat; echo ' built'"]},
            "scale": {"mode": "jobs", "management": {"secret": "management"}},
        }
        pod, resources = self.pod(values)
        (container,) = pod.spec["containers"]
        self.declare(container["args"])
        for number in range(3):
            self.publish("pod.report.build", {"number": number}, "--task", "job")
        waits = self.scaler(resources[("ScaledJob", "one")], resources)
        wait_until("KEDA sees all of them", lambda: waits() == 3)
        for init in pod.spec["initContainers"]:
            self.assertEqual(pod.run(init).returncode, 0)
        ended = pod.run(container)
        self.assertEqual((ended.returncode, (ended.stdout + ended.stderr).count(" built")), (0, 3))
        wait_until("KEDA sees nothing", lambda: waits() == 0)


if __name__ == "__main__":
    unittest.main()
