"""A private RabbitMQ of this machine's Debian, with its management API, for one run of the tests."""

import atexit
import base64
import json
import os
import secrets
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import tools

_PORT, _API, _DISTRIBUTION = 5672, 15672, 25672
_shared = None


def shared():
    """The one broker of this run; started by whoever wants it first."""
    global _shared
    if _shared is None:
        _shared = Broker()
    return _shared


class Broker:
    def __init__(self):
        folder = tools.folder("rabbitmq")
        self.folder, self.password = folder, secrets.token_hex(16)
        #: As a service writes it; its user may do everything.
        self.url = f"amqp://guest:{self.password}@127.0.0.1:{_PORT}"
        self.api = f"http://127.0.0.1:{_API}/"
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{_PORT}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {_API}\n"
            f"default_pass = {self.password}\ndisk_free_limit.absolute = 1MB\nvm_memory_high_watermark.absolute = 2GB\n"
            "management.rates_mode = basic\ncollect_statistics_interval = 1000\n"
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_shovel].\n")
        (folder / "rabbitmq-env.conf").write_text("")
        cookie = folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        path = lambda name: str(folder / name)
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "deployment@localhost", "RABBITMQ_DIST_PORT": str(_DISTRIBUTION),
            "RABBITMQ_CONFIG_FILE": path("rabbitmq.conf"), "RABBITMQ_CONF_ENV_FILE": path("rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": path("enabled_plugins"), "RABBITMQ_MNESIA_BASE": path("mnesia"),
            "RABBITMQ_LOG_BASE": path("log"), "RABBITMQ_GENERATED_CONFIG_DIR": path("generated"),
            "RABBITMQ_PID_FILE": path("pid"), "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        with open(folder / "console.log", "w") as log:
            self.process = subprocess.Popen(
                ["/usr/lib/rabbitmq/bin/rabbitmq-server"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.end)
        tools.wait_until("RabbitMQ answers", self._answers)

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "console.log").read_text()
        return self._told("api/overview")[0] == 200

    def ask(self, path):
        """What the management API answers to a GET, or None for what is not there. A broker that is busy is asked again."""
        def answer():
            told = self._told(path)
            return told if told[0] != 0 else None

        status, text = tools.wait_until(f"RabbitMQ answers {path}", answer)
        return json.loads(text) if status == 200 else None

    def _told(self, path):
        """Status and text of a GET; status 0 where nobody answers within seconds."""
        return tools.http(self.api + path, self._login())

    def queue(self, name, vhost="/"):
        return self.ask(f"api/queues/{urllib.parse.quote(vhost, safe='')}/{urllib.parse.quote(name, safe='')}")

    def messages(self, name, vhost="/"):
        """How many messages a queue has, ready and unacknowledged, as KEDA counts them; None if there is no such queue."""
        queue = self.queue(name, vhost)
        return queue.get("messages", 0) if queue is not None else None

    def define(self, definitions):
        """Makes what a file of definitions has."""
        self._change("POST", "api/definitions", definitions)

    def put(self, path, content):
        self._change("PUT", path, json.dumps(content))

    def delete(self, path):
        self._change("DELETE", path, "")

    def bind(self, exchange, queue, key, vhost="%2F"):
        self._change("POST", f"api/bindings/{vhost}/e/{exchange}/q/{queue}", json.dumps({"routing_key": key}))

    def take(self, queue, most, vhost="%2F"):
        """The next messages of a queue, which are in it no longer."""
        wanted = {"count": most, "ackmode": "ack_requeue_false", "encoding": "auto"}
        return json.loads(self._change("POST", f"api/queues/{vhost}/{queue}/get", json.dumps(wanted)))

    def _change(self, method, path, text):
        headers = {**self._login(), "Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, text.encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def _login(self):
        return {"Authorization": "Basic " + base64.b64encode(f"guest:{self.password}".encode()).decode()}

    def end(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
