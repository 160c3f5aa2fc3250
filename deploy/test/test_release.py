"""A release: its workflow, as the forge's schema wants it, and what deploy/release.sh makes of this tree."""

import hashlib
import pathlib
import re
import shutil
import sys
import tarfile
import unittest

import tools
import yaml

SCRIPT = tools.ROOT / "deploy/release.sh"
WORKFLOWS = tools.ROOT / ".github/workflows"
#: All that says which version it is.
VERSIONED = ("Cargo.toml", "Dockerfile", "CHANGELOG.md", "clients/python/pyproject.toml", "clients/node/package.json",
             *(f"crates/{name}/Cargo.toml" for name in ("ponos", "ponos-broker", "ponos-event", "ponos-schema")),
             *(f"deploy/helm/{name}/Chart.yaml" for name in ("khronos", "ponos-worker")))


def release(*words, script=SCRIPT, **options):
    return tools.run(script, *words, **options)


class Release(unittest.TestCase):
    def tree(self):
        """A copy of what the script reads, to be changed."""
        folder = tools.folder("tree")
        for name in ("deploy/release.sh", *VERSIONED):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tools.ROOT / name, folder / name)
        return folder

    def test_the_workflows_are_as_their_schema_wants_them(self):
        paths = sorted(WORKFLOWS.glob("*.yml"))
        self.assertEqual([path.name for path in paths], ["ci.yml", "release.yml"])
        tools.run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)

    def test_what_the_workflow_runs_is_there(self):
        text = (WORKFLOWS / "release.yml").read_text()
        known = release(check=False).stderr
        words = re.findall(r"deploy/release\.sh (\w+)", text)
        self.assertGreater(len(words), 4)
        for word in words:
            self.assertRegex(known, rf"release\.sh {word}\b")
        # What is published is what was tried, in that order.
        tried = re.search(r"readonly CRATES=\((.*)\)", SCRIPT.read_text())[1].split()
        self.assertEqual(re.findall(r"--package ([\w-]+)", text), tried)
        for name in tried:
            self.assertNotIn("publish = false", (tools.ROOT / "crates" / name / "Cargo.toml").read_text())

    def test_no_job_may_do_more_than_it_has_to(self):
        workflow = yaml.safe_load((WORKFLOWS / "release.yml").read_text())
        self.assertEqual(workflow["permissions"], {"contents": "read"})
        writers = {name for name, job in workflow["jobs"].items() if "contents" in job.get("permissions", {}) and job["permissions"]["contents"] == "write"}
        self.assertEqual(writers, {"publish"})

    def test_every_place_has_one_version(self):
        version = release("version").stdout.strip()
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")
        for name in VERSIONED:
            folder = self.tree()
            text = (folder / name).read_text()
            if name in ("CHANGELOG.md", "crates/ponos-event/Cargo.toml"):
                continue # one has many versions, the other that of the workspace
            (folder / name).write_text(text.replace(f"{version}", "9.9.9"))
            found = release("version", script=folder / "deploy/release.sh", check=False)
            self.assertEqual(found.returncode, 1, name)
            self.assertIn(f"{name}: 9.9.9", found.stderr)

    def test_the_notes_are_those_of_the_version_and_of_no_other(self):
        folder = self.tree()
        script = folder / "deploy/release.sh"
        version = release("version").stdout.strip()
        text = "# Changelog\n\n## [Unreleased]\n\n- later\n\n"
        (folder / "CHANGELOG.md").write_text(text)
        self.assertIn(f"nothing under [{version}]", release("notes", script=script, check=False).stderr)
        (folder / "CHANGELOG.md").write_text(f"{text}## [{version}] - 2026-12-01\n\n### Added\n\n- a clock\n\n## [0.0.1] - 2026-01-01\n\n- nothing\n")
        notes = release("notes", script=script).stdout
        self.assertIn("- a clock", notes)
        self.assertNotIn("nothing", notes)
        self.assertNotIn("later", notes)

    def test_the_archive_is_the_same_again_and_has_what_it_takes_to_run(self):
        archives = [pathlib.Path(release("archive", tools.PROGRAMS, tools.folder("dist")).stdout.strip()) for _ in range(2)]
        one, other = (archive.read_bytes() for archive in archives)
        self.assertEqual(hashlib.sha256(one).hexdigest(), hashlib.sha256(other).hexdigest())
        self.assertIn(hashlib.sha256(one).hexdigest(), archives[0].with_name(f"{archives[0].name}.sha256").read_text())
        folder = tools.folder("unpacked")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder)
        (inner,) = folder.iterdir()
        self.assertIn("valid", tools.run(inner / "khronos", "check", "--config", inner / "config.toml").stdout)
        self.assertTrue((inner / "systemd/khronos.service").exists() and (inner / "LICENSE-MIT").exists())

    def test_the_charts_are_packaged_with_the_version(self):
        folder, version = tools.folder("charts"), release("version").stdout.strip()
        release("charts", folder, env={"HELM": str(tools.TOOLS / f"helm-{tools.HELMS[-1]}")})
        self.assertEqual(sorted(path.name for path in folder.iterdir()), [f"khronos-{version}.tgz", f"ponos-worker-{version}.tgz"])


if __name__ == "__main__":
    unittest.main()
