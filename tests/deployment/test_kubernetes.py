"""The manifests of deployment/kubernetes, checked offline: nothing here is applied to a cluster.

Kubernetes' own objects are validated against its published schemas, unknown fields being errors.
No maintained package has KEDA's schema for this Python, so that its two objects are compared with
the fields that its documentation names (ScaledObject specification, Redis Lists scaler, and
TriggerAuthentication, as of KEDA 2.15), which were read and written down here by hand.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from botrix import key_ring
from botrix.api.entrance import OPEN
from botrix.cli import _COMMANDS, main
from botrix.line import keys
from botrix.line.connection import ANSWER_WITHIN
from botrix.line.users import acl
from botrix.settings import Settings
from tests.servers.line import TcpLineServer

FOLDER = Path(__file__).parents[2] / "deployment/kubernetes"
PAGE = (FOLDER / "README.md").read_text()
pytestmark = pytest.mark.suite("Kubernetes")
_API_DRAIN = 10  # seconds: timeout_graceful_shutdown in botrix/api/app.py
_SECRETS = {"botrix-app": "app", "botrix-door": "door"}  # what `botrix secrets` makes, by folder

Manifest = dict[str, Any]


def _manifests() -> Iterator[Manifest]:
    for path in sorted(FOLDER.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


ALL = list(_manifests())
OURS = [
    m for m in ALL if m["apiVersion"].split("/")[0] not in ("keda.sh", "kustomize.config.k8s.io")
]


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest.get('metadata', {}).get('name', '')}"


def _one(name: str) -> Manifest:
    (found,) = (manifest for manifest in ALL if _name(manifest) == name)
    return found


def _pod(manifest: Manifest) -> Manifest:
    spec: Manifest = manifest["spec"]["template"]["spec"]
    return spec


PODS = [m for m in OURS if m["kind"] in ("Deployment", "Job")]
DEPLOYMENTS = [m for m in PODS if m["kind"] == "Deployment"]
each_pod = pytest.mark.parametrize("manifest", PODS, ids=_name)
each_deployment = pytest.mark.parametrize("manifest", DEPLOYMENTS, ids=_name)


@pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])
@pytest.mark.parametrize("manifest", OURS, ids=_name)
def test_it_validates(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_an_unknown_field_is_an_error() -> None:
    """The schemas are as strict as the test above relies on, deep inside too."""
    manifest = yaml.safe_load(yaml.safe_dump(_one("Deployment/botrix-api")))
    _pod(manifest)["containers"][0]["livenessProbe"]["httpGet"]["pathh"] = "/live"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_all_of_it_is_there() -> None:
    assert {_name(manifest) for manifest in ALL} == {
        "Namespace/botrix", "ConfigMap/botrix", "Job/botrix-migrate", "Service/botrix-api",
        "Deployment/botrix-api", "PodDisruptionBudget/botrix-api", "Deployment/botrix-worker",
        "PodDisruptionBudget/botrix-worker", "NetworkPolicy/botrix", "NetworkPolicy/botrix-line",
        "NetworkPolicy/botrix-directories", "NetworkPolicy/botrix-api", "Kustomization/",
        "TriggerAuthentication/botrix-line", "ScaledObject/botrix-worker",
    }  # fmt: skip


def test_kustomize_puts_it_together() -> None:
    listed = set(_one("Kustomization/")["resources"])
    assert listed == {p.name for p in FOLDER.glob("*.yaml")} - {
        "kustomization.yaml",
        "scaling.yaml",
    }
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on this machine: kustomization.yaml was not rendered")
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=True
    )
    rendered = list(yaml.safe_load_all(done.stdout))
    assert {_name(m) for m in rendered} == {_name(m) for m in OURS}
    for manifest in rendered:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        assert (
            _name(manifest) == "Namespace/botrix" or manifest["metadata"]["namespace"] == "botrix"
        )


def test_no_secret_stands_in_it() -> None:
    assert not [m for m in ALL if m["kind"] == "Secret"]
    for path in FOLDER.iterdir():
        text = path.read_text()
        assert "://" not in re.sub(r"https://(idp\.example|keda\.sh)", "", text), path
        assert not re.search(r"[A-Za-z0-9+/_-]{32,}={0,2}\b(?!\.)", _without_paths(text)), path
    for manifest in PODS:
        for container in _pod(manifest)["containers"]:
            for one in container.get("env", []):
                assert not re.search("KEY$|URL$|PASSWORD|TOKEN", one["name"]), one


def _without_paths(text: str) -> str:
    return re.sub(r"[\w.-]*(/[\w.-]+)+", "", text)


@each_pod
def test_pods_may_do_nothing_that_they_need_not(manifest: Manifest) -> None:
    pod = _pod(manifest)
    assert pod["automountServiceAccountToken"] is False
    rights = pod["securityContext"]
    assert (rights["runAsNonRoot"], rights["runAsUser"] > 0) == (True, True)
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}


@each_pod
def test_each_mount_has_its_volume_and_secrets_are_files(manifest: Manifest) -> None:
    pod = _pod(manifest)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    secrets = {v["secret"]["secretName"]: v["secret"] for v in volumes.values() if "secret" in v}
    for name, secret in secrets.items():
        assert name in _SECRETS or secret["optional"]
        assert secret["defaultMode"] == 0o440
        assert f"create secret generic {name} " in PAGE
    for mount in container["volumeMounts"]:
        assert mount.get("readOnly", False) == ("secret" in volumes[mount["name"]])


@each_pod
def test_its_settings_can_be_read(manifest: Manifest, folder: Path) -> None:
    """With the files that `botrix secrets` makes, where the volumes have them."""
    done = CliRunner().invoke(main, ["secrets", "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    pod = _pod(manifest)
    (container,) = pod["containers"]
    (source,) = (one["configMapRef"]["name"] for one in container["envFrom"])
    environ = dict(_one(f"ConfigMap/{source}")["data"])
    environ |= {one["name"]: one.get("value", "pod-1") for one in container.get("env", [])}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for volume in pod["volumes"]:
        made = _SECRETS.get(volume.get("secret", {}).get("secretName", ""))
        for name, value in environ.items():
            if made and value.startswith(mounts[volume["name"]]):
                environ[name] = value.replace(mounts[volume["name"]], str(folder / made))
    settings = Settings.read(environ)
    assert settings.ledger_url.startswith("postgresql://")
    assert settings.redis_url.startswith("redis://")
    assert not key_ring.read(settings.sealing_key_file).raw
    assert bool(settings.api_key) == (_name(manifest) == "Deployment/botrix-api")


@each_deployment
def test_probes_ask_what_is_there(manifest: Manifest) -> None:
    (container,) = _pod(manifest)["containers"]
    probes = {kind: probe for kind, probe in container.items() if kind.endswith("Probe")}
    assert {"livenessProbe", "startupProbe"} <= set(probes)
    for probe in probes.values():
        assert probe["timeoutSeconds"] > ANSWER_WITHIN  # so long a line that hangs keeps /ready
        if "exec" in probe:
            program, command = probe["exec"]["command"]
            assert program == "botrix"
            assert command in _COMMANDS
        else:
            assert probe["httpGet"]["path"] in OPEN  # asked without a key
            assert probe["httpGet"]["port"] in {port["name"] for port in container["ports"]}


def test_an_outage_restarts_nothing() -> None:
    (api,) = _pod(_one("Deployment/botrix-api"))["containers"]
    paths = {kind: api[kind]["httpGet"]["path"] for kind in ("livenessProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/live", "readinessProbe": "/ready"}


def test_the_graces_fit() -> None:
    grace = float(_one("ConfigMap/botrix")["data"]["BOTRIX_GRACE"])
    worker, api = (_pod(_one(f"Deployment/botrix-{name}")) for name in ("worker", "api"))
    assert worker["terminationGracePeriodSeconds"] >= grace + 15
    pause = api["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert api["terminationGracePeriodSeconds"] >= pause + _API_DRAIN + 5
    assert (
        f"timeout_graceful_shutdown={_API_DRAIN}"
        in (FOLDER.parents[1] / "botrix/api/app.py").read_text()
    )


def test_the_heartbeat_is_fresh_when_it_is_asked_for() -> None:
    (worker,) = _pod(_one("Deployment/botrix-worker"))["containers"]
    given = {one["name"]: one.get("value") for one in worker["env"]}
    assert given["BOTRIX_HEALTH_FILE"].startswith("/tmp/")  # the one place it may write to
    assert worker["startupProbe"]["failureThreshold"] * worker["startupProbe"]["periodSeconds"] > (
        3 * float(given["HEALTH_CHECK_INTERVAL"])
    )


def test_selectors_find_their_pods() -> None:
    labels = [m["spec"]["template"]["metadata"]["labels"] for m in PODS]
    for manifest in OURS:
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if selector is None:
            continue
        wanted = selector.get("matchLabels", selector)
        chosen = [one for one in labels if _matches(one, wanted, selector)]
        assert chosen, _name(manifest)
        if manifest["kind"] != "NetworkPolicy":
            assert len(chosen) == 1, _name(manifest)


def _matches(labels: dict[str, str], wanted: dict[str, Any], selector: Manifest) -> bool:
    for one in selector.get("matchExpressions", []):
        if labels[one["key"]] not in one["values"]:
            return False
    return "matchExpressions" in wanted or wanted.items() <= labels.items()


def test_a_disruption_leaves_some() -> None:
    for name in ("api", "worker"):
        budget = _one(f"PodDisruptionBudget/botrix-{name}")["spec"]
        assert budget.get("minAvailable", budget.get("maxUnavailable")) == 1
    assert _one("Deployment/botrix-api")["spec"]["replicas"] >= 2
    assert _one("ScaledObject/botrix-worker")["spec"]["minReplicaCount"] >= 2


def test_kedas_objects_have_the_fields_of_its_documentation() -> None:
    spec = _one("ScaledObject/botrix-worker")["spec"]
    assert set(spec) <= {
        "scaleTargetRef", "pollingInterval", "cooldownPeriod", "initialCooldownPeriod",
        "idleReplicaCount", "minReplicaCount", "maxReplicaCount", "fallback", "advanced",
        "triggers",
    }  # fmt: skip
    assert spec["scaleTargetRef"] == {"name": "botrix-worker"}  # of kind Deployment, by default
    for trigger in spec["triggers"]:
        assert set(trigger) == {"type", "name", "metadata", "authenticationRef"}
        assert trigger["type"] == "redis"
        assert set(trigger["metadata"]) == {"listName", "listLength"}
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert trigger["authenticationRef"] == {"name": "botrix-line"}
    given = _one("TriggerAuthentication/botrix-line")["spec"]["secretTargetRef"]
    assert {one["parameter"] for one in given} == {"address", "username", "password"}
    assert all(set(one) == {"parameter", "name", "key"} for one in given)
    for one in given:
        assert f"--from-literal={one['key']}=" in PAGE or f"--from-file={one['key']}=" in PAGE


def test_it_scales_by_the_lanes_of_the_line() -> None:
    triggers = _one("ScaledObject/botrix-worker")["spec"]["triggers"]
    named = {trigger["name"]: trigger["metadata"]["listName"] for trigger in triggers}
    assert named == {lane.value: key for lane, key in keys.LANES.items()}


_COUNT = "local kind = redis.call('type', KEYS[1]).ok return {kind, redis.call('llen', KEYS[1])}"
"""KEDA's scaler asks by a script that looks at the type of the key and then counts."""


@pytest.mark.suite("Valkey")
async def test_the_user_of_the_scaler_can_count_and_nothing_else(folder: Path) -> None:
    rights = acl(botrix="x", viewer="x", scaler="PASSWORD").splitlines()[-1]
    line = TcpLineServer(folder)
    await line.start()
    url = line.tcp_url.replace("//", "//scaler:PASSWORD@")
    try:
        async with Redis.from_url(line.url) as admin, Redis.from_url(url) as scaler:
            await admin.execute_command("ACL", "SETUSER", *rights.split()[1:])
            for key in keys.LANES.values():
                await admin.rpush(key, "{}")
                assert await scaler.eval(_COUNT, 1, key) == [b"list", 1]
                for forbidden in (("RPUSH", key, "x"), ("DEL", key), ("LRANGE", key, "0", "-1")):
                    with pytest.raises(NoPermissionError):
                        await scaler.execute_command(*forbidden)
                with pytest.raises((NoPermissionError, ResponseError)):
                    await scaler.eval("return redis.call('del', KEYS[1])", 1, key)
            for forbidden in (("LLEN", keys.REJECTED), ("KEYS", "*"), ("CLIENT", "KILL", "x")):
                with pytest.raises(NoPermissionError):
                    await scaler.execute_command(*forbidden)
    finally:
        await line.stop()


def test_the_page_names_what_is_there() -> None:
    for path in re.findall(r"deployment/kubernetes/[\w./-]*\.yaml", PAGE):
        assert (FOLDER.parents[1] / path).exists(), path
    for kind, name in re.findall(r"\b(deployment|deploy|job)/(botrix-\w+)", PAGE):
        assert _one(f"{'Job' if kind == 'job' else 'Deployment'}/{name}")
    for command in re.findall(r"(?:^ *|-- )botrix ([a-z]+) ", PAGE, re.MULTILINE):
        assert command in _COMMANDS


def test_its_commands_make_the_secrets(folder: Path) -> None:
    """Those that need no cluster, as they stand there."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on this machine: the commands that make secrets were not run")
    CliRunner().invoke(main, ["secrets", "--folder", str(folder / "secrets")])
    for name in ("staging.token", "scaler.password"):
        (folder / name).write_text("x")
    made = {}
    commands = re.findall(r"^ *(kubectl -n botrix create secret .*)$", PAGE, re.MULTILINE)
    for command in commands:
        asked = [*command.split(), "--dry-run=client", "-o", "yaml"]
        done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
        secret = yaml.safe_load(done.stdout)
        kubernetes_validate.validate(secret, "1.37", strict=True)
        made[secret["metadata"]["name"]] = set(secret["data"])
    assert made == {
        "botrix-app": {"ledger_url", "redis_url", "sealing.key"},
        "botrix-door": {"api_key"},
        "botrix-directories": {"staging"},
        "botrix-scaler": {"address", "username", "password"},
    }
