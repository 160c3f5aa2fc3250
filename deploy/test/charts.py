"""Renders the charts: what `helm template` makes of values, as resources."""

import functools
import pathlib

import tools
import yaml

CHARTS = tools.ROOT / "deploy/helm"
NAMESPACE = "time"
#: Each chart with the values that it is tried with.
MATRIX = [(chart, values) for chart in ("khronos", "ponos-worker") for values in sorted((CHARTS / chart / "ci").glob("*.yaml"))]


@functools.cache
def _rendered(version, chart, values, release):
    text = tools.helm(version, "template", release, CHARTS / chart, "--namespace", NAMESPACE, "--values", values).stdout
    return text


def render(chart, values, version=tools.HELMS[-1], release="one"):
    """The resources of a release, by (kind, name). `values` is a file, or values themselves."""
    if not isinstance(values, pathlib.Path):
        file = tools.folder("values") / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        values = file
    found = {}
    for resource in yaml.safe_load_all(_rendered(version, chart, values, release)):
        if resource:
            key = (resource["kind"], resource["metadata"]["name"])
            assert key not in found, f"two of {key}"
            found[key] = resource
    return found


def refusal(chart, values, version):
    """What is said about values that are refused."""
    file = tools.folder("values") / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    result = tools.helm(version, "template", "one", CHARTS / chart, "--values", file, check=False)
    assert result.returncode != 0, f"{values} is not refused"
    return result.stderr


def pod(resource):
    """The pod of a resource that has one, as spec with metadata; else None."""
    kind, spec = resource["kind"], resource.get("spec", {})
    if kind == "Pod":
        return resource
    if kind == "ScaledJob":
        spec = spec["jobTargetRef"]
    return spec.get("template") if isinstance(spec.get("template"), dict) else None


def containers(pod_):
    return pod_["spec"].get("initContainers", []) + pod_["spec"]["containers"]
