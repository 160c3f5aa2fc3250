"""What `ponos topology` prints for Terraform and for Kubernetes, made on a real RabbitMQ as the provider and the operator make it: by
the management API, field by field. Neither of them is to be had here; their fields are those of their sources."""

import json
import re
import unittest
import urllib.parse

import broker
import tools

SERVICE = """
service = "shop"
[[queues]]
on = ["order.#"]
label = "orders"
[[queues]]
task = "stock.shelf.clean"
exclusive = true
[publish]
events = ["order.label.printed"]
"""
#: The fields of a spec, of the kinds of the operator (rabbitmq.com/v1beta1); those that it can't do without come first.
CLUSTER = {"rabbitmqClusterReference"}
FIELDS = {
    "Exchange": (CLUSTER | {"name"}, {"vhost", "type", "durable", "autoDelete", "arguments"}),
    "Queue": (CLUSTER | {"name"}, {"vhost", "type", "durable", "autoDelete", "arguments", "deleteIfEmpty", "deleteIfUnused"}),
    "Binding": (CLUSTER, {"vhost", "source", "destination", "destinationType", "routingKey", "arguments"}),
    "Permission": (CLUSTER | {"vhost", "permissions"}, {"user", "userReference"}),
    "TopicPermission": (CLUSTER | {"vhost", "permissions"}, {"user", "userReference"}),
}
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
quoted = lambda text: urllib.parse.quote(text, safe="")


class Topology(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = broker.shared()
        cls.file = tools.folder("topology") / "ponos.toml"
        cls.file.write_text(SERVICE)
        cls.node.put("api/users/shop", {"password": "sesame", "tags": ""})

    def vhost(self, name):
        self.node.put(f"api/vhosts/{name}", {})
        self.node.put(f"api/permissions/{name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
        return name

    def ponos(self, *words, vhost, check=True):
        url = f"{self.node.url}/{vhost}"
        return tools.run(tools.PROGRAMS / "ponos", "topology", "--config", self.file, *words, env={"PONOS_URL": url}, check=check)

    def printed(self, form, vhost):
        return json.loads(self.ponos("--format", form, "--permissions", "shop", vhost=vhost).stdout)

    def is_all_there(self, vhost):
        """Whether the broker has exactly what the definitions say: bindings and permissions, too."""
        self.assertEqual(self.ponos("--check", vhost=vhost).returncode, 0)
        wanted = self.printed("definitions", vhost)
        key = lambda one: (one["source"], one["destination"], one["destination_type"], one["routing_key"])
        found = {key(one) for one in self.node.ask(f"api/bindings/{vhost}") if one["source"]}
        self.assertEqual(found, {key(one) for one in wanted["bindings"]})
        self.assertEqual(self.node.ask(f"api/permissions/{vhost}/shop"), wanted["permissions"][0])
        self.assertEqual(self.node.ask(f"api/topic-permissions/{vhost}/shop"), wanted["topic_permissions"])

    def exchange(self, vhost, name, kind, durable, auto_delete, arguments):
        content = {"type": kind, "durable": durable, "auto_delete": auto_delete, "arguments": arguments}
        self.node.put(f"api/exchanges/{vhost}/{quoted(name)}", content)

    def queue(self, vhost, name, durable, auto_delete, arguments):
        self.node.put(f"api/queues/{vhost}/{quoted(name)}", {"durable": durable, "auto_delete": auto_delete, "arguments": arguments})

    def test_what_terraform_is_given_is_what_the_definitions_say(self):
        vhost = self.vhost("by-terraform")
        self.assertEqual(self.ponos("--check", vhost=vhost, check=False).returncode, 1)
        resources = self.printed("terraform", vhost)["resource"]
        name = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
        for kind in resources.values():
            for label in kind:
                self.assertTrue(name.fullmatch(label), label)

        def value(text):
            """What a text of the document comes to."""
            reference = re.fullmatch(r"\$\{(\w+)\.([\w-]+)\.name\}", text)
            return resources[reference[1]][reference[2]]["name"] if reference else text.replace("$${", "${")

        for one in resources["rabbitmq_exchange"].values():
            settings = one["settings"]
            self.exchange(one["vhost"], one["name"], settings["type"], settings["durable"], settings["auto_delete"], settings["arguments"])
        for one in resources["rabbitmq_queue"].values():
            settings = one["settings"]
            self.queue(one["vhost"], one["name"], settings["durable"], settings["auto_delete"], json.loads(settings["arguments_json"]))
        for one in resources["rabbitmq_binding"].values():
            self.assertEqual(one["destination_type"], "queue")
            self.node.bind(value(one["source"]), quoted(value(one["destination"])), one["routing_key"], vhost)
        (permissions,) = resources["rabbitmq_permissions"].values()
        self.node.put(f"api/permissions/{vhost}/{permissions['user']}", permissions["permissions"])
        (topics,) = resources["rabbitmq_topic_permissions"].values()
        for one in topics["permissions"]:
            self.node.put(f"api/topic-permissions/{vhost}/{topics['user']}", {**one, "exchange": value(one["exchange"])})
        self.is_all_there(vhost)

    def test_what_kubernetes_is_given_is_what_the_definitions_say(self):
        vhost = self.vhost("by-kubernetes")
        items = self.printed("kubernetes", vhost)["items"]
        names = [(item["kind"], item["metadata"]["name"]) for item in items]
        self.assertEqual(len(names), len(set(names)))
        for item in items:
            self.assertEqual(item["apiVersion"], "rabbitmq.com/v1beta1")
            self.assertTrue(NAME.fullmatch(item["metadata"]["name"]) and len(item["metadata"]["name"]) <= 253, item["metadata"])
            needed, allowed = FIELDS[item["kind"]]
            self.assertLessEqual(needed, item["spec"].keys(), item)
            self.assertLessEqual(item["spec"].keys(), needed | allowed, item)
            self.assertEqual(item["spec"]["rabbitmqClusterReference"], {"name": "rabbitmq"})
            self.make(item["kind"], item["spec"])
        self.is_all_there(vhost)

    def make(self, kind, spec):
        """As the operator does it."""
        vhost = spec["vhost"]
        if kind == "Exchange":
            self.exchange(vhost, spec["name"], spec["type"], spec["durable"], spec["autoDelete"], spec["arguments"])
        elif kind == "Queue":
            self.queue(vhost, spec["name"], spec["durable"], spec["autoDelete"], {**spec["arguments"], "x-queue-type": spec["type"]})
        elif kind == "Binding":
            self.assertEqual(spec["destinationType"], "queue")
            self.node.bind(spec["source"], quoted(spec["destination"]), spec["routingKey"], vhost)
        elif kind == "Permission":
            self.node.put(f"api/permissions/{vhost}/{spec['user']}", spec["permissions"])
        else:
            self.node.put(f"api/topic-permissions/{vhost}/{spec['user']}", spec["permissions"])


if __name__ == "__main__":
    unittest.main()
