"""The image: what is in it, and how it behaves where it is run as charts and docs/docker.md say."""

import os
import shutil
import unittest

import broker
import tools
from tools import Container, http, podman, wait_until

URL = "http://127.0.0.1:7650"
#: As little as a cluster with strict rules gives.
STRICT = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges",
          "--env", "KHRONOS_HTTP_OPEN_READS=true")


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.id = tools.the_image()

    def start(self, *words, **options):
        container = Container(*words, **options)
        self.addCleanup(container.remove)
        return container

    def clock(self, volume, *words):
        """A clock whose loop turns."""
        container = self.start(*STRICT, "--volume", f"{volume}:/var/lib/khronos", *words)
        wait_until(f"the clock answers\n{container.log()}", lambda: http(f"{URL}/healthz")[0] == 200)
        return container

    def volume(self):
        name = podman("volume", "create").stdout.strip()
        self.addCleanup(lambda: podman("volume", "rm", "--force", name, check=False))
        return name

    def sources(self):
        """What the image is built of, with the time of now and in a place of its own."""
        copy = tools.folder("sources")
        for name in ("Dockerfile", ".dockerignore", "config.toml", "LICENSE-APACHE", "LICENSE-MIT"):
            shutil.copy(tools.ROOT / name, copy)
        for name in ("schedules", "calendars"):
            shutil.copytree(tools.ROOT / name, copy / name, copy_function=shutil.copy)
        return copy

    def test_the_same_sources_make_the_same_image_and_others_another(self):
        first = tools.build_image("localhost/khronos:first", form="oci")
        copy = self.sources()
        self.assertEqual(tools.build_image("localhost/khronos:again", copy, form="oci"), first)
        with open(copy / "config.toml", "a") as file:
            file.write("# changed\n")
        self.assertNotEqual(tools.build_image("localhost/khronos:other", copy, form="oci"), first)

    def test_the_dockerfile_has_nothing_that_the_linter_minds(self):
        tools.run(tools.TOOLS / "venv/bin/hadolint", tools.ROOT / "Dockerfile")

    def test_it_says_what_it_is(self):
        config = tools.image()["Config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"] + config["Cmd"], ["khronos", "run"])
        self.assertEqual(list(config["Volumes"]), ["/var/lib/khronos"])
        self.assertEqual(list(config["ExposedPorts"]), ["7650/tcp"])
        self.assertEqual(tools.image()["Healthcheck"]["Test"], ["CMD", "khronos", "health"])
        labels = config["Labels"]
        version = next(line for line in (tools.ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version = "))
        self.assertEqual(f'version = "{labels["org.opencontainers.image.version"]}"', version)
        for name in ("title", "description", "licenses", "base.name"):
            self.assertTrue(labels[f"org.opencontainers.image.{name}"])

    def test_both_programs_are_in_it_and_need_nothing_that_is_not(self):
        for program in ("khronos", "ponos"):
            said = podman("run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", program, tools.IMAGE, "--help").stdout
            self.assertIn("Usage:", said)

    def test_a_clock_with_a_read_only_root_and_no_capability_keeps_its_volume_through_a_kill(self):
        volume = self.volume()
        first = self.clock(volume)
        self.assertEqual(first.execute("khronos", "pause", "--all", "--note", "kept").returncode, 0)
        podman("kill", "--signal", "KILL", first.id)
        wait_until("it is gone", lambda: not first.state()["Running"])
        second = self.clock(volume)
        self.assertIn("kept", http(f"{URL}/readyz")[1])
        self.assertIn("paused with all", second.execute("khronos", "list").stdout)

    def test_nothing_of_its_root_can_be_written(self):
        clock = self.clock(self.volume())
        self.assertNotEqual(clock.execute("touch", "/etc/khronos/x", check=False).returncode, 0)
        self.assertNotEqual(clock.execute("touch", "/tmp/x", check=False).returncode, 0)

    def test_it_runs_as_any_other_user_who_owns_the_volume(self):
        folder = tools.folder("state")
        os.chown(folder, 4711, 4711)
        for parent in (tools.WORK, folder.parent):
            parent.chmod(0o711)
        clock = self.clock(folder, "--user", "4711:4711")
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual(clock.execute("khronos", "health").stdout, "alive\n")

    def test_it_stops_in_good_order_within_the_grace(self):
        clock = self.clock(self.volume())
        clock.stop(within=40)
        self.assertEqual(clock.state()["ExitCode"], 0)
        self.assertIn("stopped; unconfirmed and outstanding events continue at the next start", clock.log())

    def test_without_a_word_on_who_may_read_it_does_not_start(self):
        words = ("run", "--rm", "--pull", "never", "--network", "host", "--read-only", tools.IMAGE)
        refused = podman(*words, check=False)
        self.assertEqual(refused.returncode, 78, refused.stderr)
        self.assertIn("could read all of this clock", refused.stderr)

    def test_its_health_is_well_without_a_broker_and_events_do_not_go_out(self):
        clock = self.clock(self.volume(), "--env", "KHRONOS_BROKER_URL=amqp://nobody:secret@127.0.0.1:1")
        wait_until("it is not ready", lambda: http(f"{URL}/readyz")[0] == 503)
        self.assertEqual(podman("healthcheck", "run", clock.id).returncode, 0)
        self.assertEqual(clock.execute("khronos", "health", "--ready", check=False).returncode, 1)
        self.assertNotIn("secret", http(f"{URL}/readyz")[1] + clock.log())

    def test_its_health_is_red_once_its_loop_stands(self):
        clock = self.clock(self.volume())
        self.assertEqual(podman("healthcheck", "run", clock.id).returncode, 0)
        process = clock.state()["Pid"]
        tools.run("kill", "-STOP", process)
        self.addCleanup(lambda: tools.run("kill", "-CONT", process, check=False))
        red = podman("healthcheck", "run", clock.id, check=False)
        self.assertEqual(red.returncode, 1, red.stdout + red.stderr)

    def test_it_publishes_to_a_rabbitmq_and_a_worker_of_the_same_image_takes_it(self):
        node = broker.shared()
        secret = tools.folder("secret") / "url"
        secret.write_text(node.url)
        os.chown(secret, 65532, 65532)
        for place in (tools.WORK, secret.parent):
            place.chmod(0o711)
        clock = self.clock(self.volume(), "--volume", f"{secret}:/run/url:ro", "--env", "KHRONOS_BROKER_URL_FILE=/run/url")
        wait_until(f"it is ready\n{clock.log()}", lambda: http(f"{URL}/readyz")[0] == 200)
        worker = self.start("--read-only", "--cap-drop", "all", "--no-healthcheck", "--volume", f"{secret}:/run/url:ro",
                            "--env", "PONOS_URL_FILE=/run/url", "--entrypoint", "ponos",
                            arguments=("run", "--service", "image", "--on", "time.one-minute.passed", "--", "cat", "/dev/stdin"))
        wait_until(f"its queue is there\n{worker.log()}", lambda: node.messages("image.time.one-minute.passed") is not None)
        clock.execute("khronos", "trigger", "one-minute")
        wait_until(f"the worker has it\n{worker.log()}", lambda: '"schedule":"one-minute"' in worker.log())
        worker.stop(within=40)
        self.assertEqual(worker.state()["ExitCode"], 0)
        self.assertEqual(node.messages("image.time.one-minute.passed"), 0)


if __name__ == "__main__":
    unittest.main()
