"""The Kubernetes manifests agree with each other, with the settings and with the command."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from config.settings import LiveSettings, load_settings
from flows.live.run_command import _addresses, run
from flows.live.supervisor import GRACE_SECONDS
from flows.live.worker import http_port

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"


def yaml(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return found


MANIFESTS = {path.stem: yaml(path) for path in FOLDER.glob("*.yaml")}
SET = MANIFESTS["statefulset"]
POD = SET["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def hosts() -> list[str]:
    (value,) = (variable["value"] for variable in CONTAINER["env"] if variable["name"] == "CEM_HOSTS")
    return [str(host) for host in value.split(",")]


def test_every_pod_has_its_name_in_the_hosts() -> None:
    name, service, cluster = SET["metadata"]["name"], SET["spec"]["serviceName"], MANIFESTS["service"]
    assert cluster["metadata"]["name"] == service
    port = next(p["port"] for p in cluster["spec"]["ports"] if p["name"] == "cluster")
    assert hosts() == [f"{name}-{i}.{service}:{port}" for i in range(SET["spec"]["replicas"])]
    assert port in [p["containerPort"] for p in CONTAINER["ports"]]
    assert cluster["spec"]["clusterIP"] == "None"
    assert cluster["spec"]["publishNotReadyAddresses"] is True


def test_the_command_takes_the_arguments() -> None:
    script = CONTAINER["args"][0]
    assert CONTAINER["command"] == ["/bin/sh", "-c"]
    assert script.splitlines()[-1].startswith("exec cem run ")  # or the shell would keep SIGTERM
    options = set(re.findall(r"--([a-z]+)", script))
    assert options <= set(inspect.signature(run).parameters)
    for index in range(len(hosts())):
        assert _addresses(",".join(hosts()), index, 1) == hosts()


def test_every_pod_listens_on_the_port_of_the_probes(tmp_path: Path) -> None:
    ports = {p["name"]: p["containerPort"] for p in CONTAINER["ports"]}
    for index in range(len(hosts())):
        assert http_port(settings(tmp_path).http.port, index, hosts()) == ports["metrics"]
    paths = {name: CONTAINER[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert all(probe["port"] == "metrics" for probe in paths.values())
    assert paths["livenessProbe"]["path"] == "/healthz"
    assert paths["readinessProbe"]["path"] == "/readyz"


def settings(folder: Path, **more: str) -> LiveSettings:
    path = folder / "live.yaml"
    path.write_text(MANIFESTS["settings"]["data"]["live.yaml"], encoding="utf-8")
    secret = {name: value or "x" for name, value in MANIFESTS["secret.example"]["stringData"].items()}
    return load_settings(path, secret | more)


def test_the_settings_load_and_find_their_files(tmp_path: Path) -> None:
    loaded = settings(tmp_path)
    mounted = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}
    assert mounted[str(loaded.state)] == "state"
    folder = Path("/etc/cem")
    assert loaded.policy is not None
    for path in (*loaded.rules, loaded.policy):
        relative = path.relative_to(tmp_path)
        assert mounted[str((folder / relative).parent)] == "rules"
        assert (ROOT / "rules/packs" / relative.name).exists()
    assert mounted[str(folder / "live.yaml")] == "settings"
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    assert volumes.keys() == set(mounted.values())
    assert volumes["settings"]["configMap"]["name"] == MANIFESTS["settings"]["metadata"]["name"]
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == MANIFESTS["state"]["metadata"]["name"]
    assert MANIFESTS["state"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert loaded.http.port == 9400
    assert loaded.http.host == "0.0.0.0"


def test_pods_start_together_and_end_in_order() -> None:
    spec = SET["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert POD["terminationGracePeriodSeconds"] > GRACE_SECONDS
    assert len(hosts()) <= 16  # there are so many shards of customers


def test_it_runs_without_rights() -> None:
    user = POD["securityContext"]["runAsUser"]
    assert f"--uid {user} " in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"]["allowPrivilegeEscalation"] is False
    assert POD["automountServiceAccountToken"] is False


def test_only_the_pods_reach_the_port_of_the_cluster() -> None:
    labels = SET["spec"]["template"]["metadata"]["labels"]
    policy = MANIFESTS["network"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels == MANIFESTS["service"]["spec"]["selector"]
    for rule in policy["ingress"]:
        if any(port["port"] == "cluster" for port in rule["ports"]):
            assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]
