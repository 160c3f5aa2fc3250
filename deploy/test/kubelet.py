"""Runs a pod as a node of Kubernetes would: volumes with their owners and modes, environment, init containers, sidecars, probes.

What is absent: limits of memory and processor, restarts, and a network for each pod: all share one, so that one pod runs at a time.
"""

import json
import os
import re
import shutil
import ssl
import urllib.error
import urllib.request

import tools

#: The address of the pod.
ADDRESS = "10.9.8.7"
_UNCHECKED = ssl._create_unverified_context() # as a kubelet does it


class Pod:
    """A pod of a template. `images` says which image here stands for one there; `secrets` and `config_maps` have texts by key;
    `claims` has folders by the name of a volume claim."""

    def __init__(self, template, *, images=None, secrets=None, config_maps=None, claims=None, name="pod-0", hosts=()):
        self.template, self.name, self.hosts = template, name, hosts
        self.spec = template["spec"]
        self.images, self.secrets, self.config_maps = images or {}, secrets or {}, config_maps or {}
        self.user, self.group = self.spec["securityContext"]["runAsUser"], self.spec["securityContext"].get("fsGroup", 0)
        self.volumes = {name_: folder for name_, folder in (claims or {}).items()}
        self.containers = {}
        for volume in self.spec.get("volumes", []):
            self.volumes[volume["name"]] = self._volume(volume)

    def start(self):
        """Starts what is to stay, after what comes before it; waits for the startup probes."""
        for container in self.spec.get("initContainers", []):
            if container.get("restartPolicy") == "Always":
                self._stay(container)
                continue
            result = self.run(container)
            assert result.returncode == 0, f"{container['name']}: {result.stdout}{result.stderr}"
        for container in self.spec["containers"]:
            self._stay(container)
        return self

    def run(self, container):
        """Runs a container to its end."""
        return tools.podman("run", "--rm", "--pull", "never", *self._words(container), check=False)

    def _stay(self, container):
        name = container["name"]
        words = self._words(container)
        self.containers[name] = tools.podman("run", "--detach", "--pull", "never", *words).stdout.strip()
        if "startupProbe" in container:
            tools.wait_until(f"{name} has started", lambda: self._alive(name) and self.probe("startupProbe", name))

    def _alive(self, name):
        assert self.state(name)["Running"], f"{name} ended:\n{self.log(name)}"
        return True

    def _container(self, name):
        return next(c for c in self.spec.get("initContainers", []) + self.spec["containers"] if c["name"] == name)

    def state(self, name):
        return json.loads(tools.podman("container", "inspect", self.containers[name]).stdout)[0]["State"]

    def log(self, name):
        result = tools.podman("logs", self.containers[name])
        return result.stdout + result.stderr

    def execute(self, name, *words, check=True):
        return tools.podman("exec", self.containers[name], *words, check=check)

    def kill(self, name):
        tools.podman("kill", "--signal", "KILL", self.containers[name])
        tools.wait_until(f"{name} is gone", lambda: not self.state(name)["Running"])

    def stop(self):
        """Stops the containers as a deletion of the pod does; gives their exit codes by name."""
        grace = self.spec["terminationGracePeriodSeconds"]
        for container in [*reversed(self.containers.values())]:
            tools.podman("stop", "--time", grace, container)
        return {name: self.state(name)["ExitCode"] for name in self.containers}

    def remove(self):
        for container in self.containers.values():
            tools.podman("rm", "--force", "--time", "0", container, check=False)
        self.containers = {}

    def probe(self, kind, name):
        """Whether a probe of a container succeeds."""
        container = self._container(name)
        probe = container[kind]
        if "exec" in probe:
            return self.execute(name, *probe["exec"]["command"], check=False).returncode == 0
        if "tcpSocket" in probe:
            import socket
            try:
                socket.create_connection((ADDRESS, self._port(container, probe["tcpSocket"]["port"])), timeout=5).close()
            except OSError:
                return False
            return True
        get = probe["httpGet"]
        address = f"{get.get('scheme', 'HTTP').lower()}://{ADDRESS}:{self._port(container, get['port'])}{get['path']}"
        return 200 <= ask(address)[0] < 400

    def _port(self, container, port):
        return port if isinstance(port, int) else next(p["containerPort"] for p in container["ports"] if p["name"] == port)

    def change(self, volume, texts):
        """Puts other texts into a config map that is mounted, as a kubelet does: all at once."""
        self._write(self.volumes[volume], texts, 0o644)

    def _volume(self, volume):
        folder = tools.folder(volume["name"])
        folder.chmod(0o755)
        tools.WORK.chmod(0o711)
        if "persistentVolumeClaim" in volume:
            return claim(self.group)
        if "emptyDir" in volume:
            os.chown(folder, 0, self.group)
            folder.chmod(0o2777)
        elif "secret" in volume:
            self._write(folder, self._chosen(self.secrets[volume["secret"]["secretName"]], volume["secret"]),
                        int(volume["secret"].get("defaultMode", 0o644)))
        else:
            self._write(folder, self._chosen(self.config_maps[volume["configMap"]["name"]], volume["configMap"]), 0o644)
        return folder

    @staticmethod
    def _chosen(texts, volume):
        items = volume.get("items")
        return {item["path"]: texts[item["key"]] for item in items} if items else texts

    def _write(self, folder, texts, mode):
        # The files are links to those in a folder of dots, which is replaced as a whole.
        link = folder / "..data"
        former = folder / os.readlink(link) if link.is_symlink() else None
        inner = folder / f"..{os.urandom(4).hex()}"
        inner.mkdir(mode=0o755)
        for name, text in texts.items():
            (inner / name).write_text(text)
            (inner / name).chmod(mode)
            os.chown(inner / name, 0, self.group)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        (folder / "..new").symlink_to(inner.name)
        os.replace(folder / "..new", link)
        for name in [p.name for p in folder.iterdir() if not p.name.startswith("..") and p.name not in texts]:
            (folder / name).unlink()
        if former is not None:
            shutil.rmtree(former)

    def _words(self, container):
        closed = container["securityContext"]
        words = ["--network", "host", "--no-healthcheck", "--user", f"{self.user}:{self.spec['securityContext'].get('runAsGroup', 0)}",
                 "--group-add", self.group, "--read-only-tmpfs=false"]
        for host in self.hosts:
            words += ["--add-host", f"{host}:{ADDRESS}"]
        words += ["--read-only"] if closed["readOnlyRootFilesystem"] else []
        words += [word for name in closed["capabilities"]["drop"] for word in ("--cap-drop", name.lower())]
        words += [] if closed["allowPrivilegeEscalation"] else ["--security-opt", "no-new-privileges"]
        for name, value in self._environment(container).items():
            words += ["--env", f"{name}={value}"]
        for mount in container.get("volumeMounts", []):
            source = self.volumes[mount["name"]]
            if "subPath" in mount:
                source = source / mount["subPath"]
                source = source.resolve()
            words += ["--volume", f"{source}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}"]
        command = container.get("command")
        if command:
            words += ["--entrypoint", json.dumps(command)]
        return words + [self.images.get(container["image"], container["image"]), *container.get("args", [])]

    def _environment(self, container):
        found = {}
        for variable in container.get("env", []):
            if "value" in variable:
                value = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], variable["value"])
            elif "secretKeyRef" in variable["valueFrom"]:
                reference = variable["valueFrom"]["secretKeyRef"]
                value = self.secrets[reference["name"]][reference["key"]]
            else:
                assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
                value = self.name
            found[variable["name"]] = value
        return found


def claim(group):
    """A volume as a cluster gives it to a pod with an fsGroup."""
    folder = tools.folder("claim")
    os.chown(folder, 0, group)
    folder.chmod(0o2775)
    tools.WORK.chmod(0o711)
    return folder


def ask(url, headers=None):
    """Status and text of a GET, whatever certificate there is; status 0 where nobody answers."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5, context=_UNCHECKED) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
