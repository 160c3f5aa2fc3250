"""Programs that the tests of the deployment use: what test.sh installed, and images and containers in a storage of their own.

Everything runs in the namespaces that `run.sh` made: no network but a loopback, and a view of the mounts that ends with it.
"""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: What test.sh installed for this step.
TOOLS = pathlib.Path(os.environ["DEPLOYMENT_TOOLS"])
#: The folder of the programs khronos and ponos.
PROGRAMS = pathlib.Path(os.environ["DEPLOYMENT_PROGRAMS"])
#: All that a run leaves; run.sh removes it.
WORK = pathlib.Path(os.environ["DEPLOYMENT_WORK"])
IMAGE = "localhost/khronos:test"
HELMS = ("3.17.0", "4.3.1")
#: No single command takes longer.
LONGEST = 300

_CONTAINERS = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def run(*command, check=True, stdin=None, env=None):
    """Runs a command to its end; its result has `stdout` and `stderr` as text. With `check`, a failure is raised with both."""
    result = subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, text=True, timeout=LONGEST,
        env={**_environment(), **(env or {})},
    )
    if check and result.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise AssertionError(f"{words}\nended with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def _environment():
    settings = WORK / "containers.conf"
    if not settings.exists():
        settings.write_text(_CONTAINERS)
        (WORK / "home").mkdir()
    return {
        **os.environ, "HOME": str(WORK / "home"), "CONTAINERS_CONF": str(settings), "BUILDAH_ISOLATION": "chroot",
        "XDG_RUNTIME_DIR": str(WORK / "home"),
    }


def _storage():
    return ["--root", WORK / "storage", "--runroot", WORK / "runroot", "--storage-driver", "vfs"]


def buildah(*words, **options):
    return run("buildah", *_storage(), *words, **options)


def podman(*words, **options):
    return run("podman", *_storage(), "--network-config-dir", WORK / "networks", *words, **options)


def helm(version, *words, **options):
    return run(TOOLS / f"helm-{version}", *words, **options)


def wait_until(what, condition, limit=180):
    """Asks again and again until the answer is true, and gives it; after `limit` seconds it is an error."""
    end = time.monotonic() + limit
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.1)


def http(url, headers=None):
    """Status and text of a GET; status 0 where nobody answers."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@functools.cache
def the_image():
    """The image that the tests run, built once; gives its id."""
    return build_image()


def build_image(tag=IMAGE, root=ROOT, form="docker"):
    """Builds the Dockerfile with the programs in place of its stage `build`; gives the image's id.

    The form "docker" keeps the HEALTHCHECK; "oci" knows none, and has nothing of the machine that built it.
    """
    _base()
    context = WORK / "built"
    if not context.exists():
        certificates = context / "etc/ssl/certs"
        certificates.mkdir(parents=True)
        (context / "empty").mkdir()
        for program in ("khronos", "ponos"):
            shutil.copy(PROGRAMS / program, context)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", certificates)
    buildah("bud", "--quiet", "--no-cache", "--pull-never", "--format", form, "--timestamp", "0",
            "--build-context", f"build={context}", "--tag", tag, root)
    return image(tag)["Id"]


def _base():
    """The base of the image, by the name that the Dockerfile has: what it uses of Debian."""
    name = "docker.io/library/debian:bookworm-slim"
    if buildah("images", "--quiet", name, check=False).stdout.strip():
        return
    container = buildah("from", "scratch").stdout.strip()
    buildah("add", "--quiet", container, TOOLS / "base", "/")
    buildah("commit", "--quiet", "--rm", container, name)


def image(tag=IMAGE):
    return json.loads(podman("image", "inspect", tag).stdout)[0]


class Container:
    """A container that runs, removed with `remove`."""

    def __init__(self, *words, image=IMAGE, arguments=()):
        self.id = podman("run", "--detach", "--pull", "never", "--network", "host", *words, image, *arguments).stdout.strip()

    def state(self):
        return json.loads(podman("container", "inspect", self.id).stdout)[0]["State"]

    def log(self):
        result = podman("logs", self.id)
        return result.stdout + result.stderr

    def execute(self, *words, check=True):
        return podman("exec", self.id, *words, check=check)

    def stop(self, within):
        podman("stop", "--time", within, self.id)

    def remove(self):
        podman("rm", "--force", "--time", "0", self.id, check=False)


def folder(prefix):
    return pathlib.Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=WORK))
