"""The unit for systemd: that it is one, how far it closes the clock in, and that the clock runs so.

No systemd runs here. What is tried of its rules is the list of system calls, in a container.
"""

import json
import pathlib
import re
import shutil
import unittest

import tools
from tools import Container, http, wait_until

FOLDER = tools.ROOT / "deploy/systemd"
UNIT = FOLDER / "khronos.service"
SEVERAL = FOLDER / "khronos.several.conf"
#: systemd's own measure, 0 to 10: "OK" begins at 2.
MOST_EXPOSED = 13 # tenths


def allowed(name):
    """The system calls of a set of systemd's, such as @system-service, with those of the sets in it."""
    lines = tools.run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]
    found = set()
    for word in (line.strip() for line in lines):
        if word.startswith("@"):
            found |= allowed(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


class Unit(unittest.TestCase):
    def verify(self, unit):
        """What `systemd-analyze verify` says with the program in its place and the user there, both for this command alone."""
        users = tools.folder("users") / "passwd"
        users.write_text(pathlib.Path("/etc/passwd").read_text() + "khronos:x:64990:64990::/var/lib/khronos:/usr/sbin/nologin\n")
        script = (f"mount -t tmpfs tmpfs /usr/local/bin && cp {tools.PROGRAMS}/khronos /usr/local/bin/"
                  f" && mount --bind {users} /etc/passwd && exec systemd-analyze verify --man=no {unit}")
        return tools.run("unshare", "--mount", "sh", "-c", script, check=False)

    def test_systemd_finds_nothing_wrong(self):
        said = self.verify(UNIT)
        self.assertEqual((said.returncode, said.stderr), (0, ""))

    def test_systemd_finds_nothing_wrong_with_one_of_several(self):
        unit = tools.folder("several") / "khronos.service"
        shutil.copy(UNIT, unit)
        (unit.parent / "khronos.service.d").mkdir()
        drop_in = unit.parent / "khronos.service.d/several.conf"
        shutil.copy(SEVERAL, drop_in)
        said = self.verify(unit)
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        drop_in.write_text(SEVERAL.read_text().replace("Environment=", "Enviroment="))
        self.assertIn("Enviroment", self.verify(unit).stderr)

    def test_a_unit_with_a_fault_would_be_found(self):
        broken = tools.folder("unit") / "khronos.service"
        broken.write_text(UNIT.read_text().replace("ProtectSystem=strict", "ProtectSystem=rigid"))
        self.assertIn("Failed to parse protect system value", self.verify(broken).stderr)

    def test_it_closes_the_clock_in(self):
        tools.run("systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", UNIT)
        open_unit = tools.folder("unit") / "khronos.service"
        open_unit.write_text(UNIT.read_text().replace("SystemCallFilter=", "# ").replace("PrivateUsers=yes", ""))
        said = tools.run("systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", open_unit, check=False)
        self.assertNotEqual(said.returncode, 0)

    def test_the_user_is_one_that_sysusers_makes(self):
        root = tools.folder("root")
        (root / "etc/sysusers.d").mkdir(parents=True)
        shutil.copy(FOLDER / "khronos.sysusers.conf", root / "etc/sysusers.d/khronos.conf")
        tools.run("systemd-sysusers", f"--root={root}", "khronos.conf")
        self.assertIn("khronos:", (root / "etc/passwd").read_text())
        self.assertEqual(re.search("^User=(.*)", UNIT.read_text(), re.M)[1], "khronos")

    def understood(self, text):
        """What `khronos check` says with these variables of a unit; and the variables."""
        variables = dict(line.split("=", 1) for line in re.findall("^Environment=(.*)", text, re.M))
        folder = tools.folder("etc")
        (folder / "broker-url").write_text("amqp://clock:secret@rabbit.example\n")
        (folder / "store-url").write_text("postgres://clock:secret@db.example/clock\n")
        shutil.copy(tools.ROOT / "config.toml", folder)
        shutil.copytree(tools.ROOT / "schedules", folder / "schedules")
        places = {name: value.replace("/etc/khronos", str(folder)) for name, value in variables.items()}
        said = tools.run(tools.PROGRAMS / "khronos", "check", env=places)
        return said.stdout + said.stderr, variables

    def test_what_the_unit_sets_is_understood_by_the_clock(self):
        text = UNIT.read_text()
        said, variables = self.understood(text)
        self.assertIn("valid", said)
        self.assertEqual(variables["KHRONOS_STORE_PATH"], "/var/lib/" + re.search("^StateDirectory=(.*)", text, re.M)[1].split()[0])

    def test_what_one_of_several_has_instead_is_understood_too(self):
        said, variables = self.understood(UNIT.read_text() + SEVERAL.read_text())
        self.assertIn("valid", said)
        self.assertEqual(variables["KHRONOS_STORE_PATH"], "")

    def test_the_clock_runs_on_the_system_calls_that_it_may_use(self):
        filters = re.findall("^SystemCallFilter=(.*)", UNIT.read_text(), re.M)
        self.assertEqual(filters, ["@system-service", "~@privileged @resources"])
        calls = allowed("@system-service") - allowed("@privileged") - allowed("@resources")
        self.assertIn("read", calls)
        self.assertNotIn("setuid", calls)
        profile = tools.folder("calls") / "profile.json"
        # What the runtime itself still does behind the filter: to become the user, and to give capabilities up.
        of_runtime = ["capset", "setgroups", "setresgid", "setresuid", "setgid", "setuid", "prctl", "execve"]
        profile.write_text(json.dumps({
            "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": sorted(calls) + of_runtime, "action": "SCMP_ACT_ALLOW"}],
        }))
        tools.the_image()
        clock = Container("--read-only", "--security-opt", f"seccomp={profile}", "--env", "KHRONOS_HTTP_OPEN_READS=true")
        self.addCleanup(clock.remove)
        wait_until(f"the clock is ready\n{clock.log()}", lambda: http("http://127.0.0.1:7650/readyz")[0] == 200)
        self.assertIn("Seccomp:\t2", pathlib.Path(f"/proc/{clock.state()['Pid']}/status").read_text())
        clock.execute("khronos", "trigger", "one-day")
        clock.stop(within=40)
        self.assertEqual(clock.state()["ExitCode"], 0, clock.log())


if __name__ == "__main__":
    unittest.main()
