"""The compose file and the image: what they name is there, and they agree with each other and with the settings."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from config.settings import load_settings
from rules.load import load_rules
from rules.policy import load_policy

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"CLICKHOUSE_PASSWORD": "c", "REDIS_PASSWORD": "r"}
ONE_SHOT = {"topics"}
WITHOUT_HEALTHCHECK = {"topics", "traffic", "engine"}  # it ends; it has none; the image has it


def yaml(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml("docker-compose.yml")["services"]
    return found


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Target to source of the bind mounts."""
    parts = (volume.split(":") for volume in service.get("volumes", ()))
    return {target: source for source, target, *_ in parts if source.startswith(".")}


def test_every_mounted_file_exists(services: dict[str, dict[str, Any]]) -> None:
    sources = [source for service in services.values() for source in mounts(service).values()]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_named_volumes_are_declared(services: dict[str, dict[str, Any]]) -> None:
    used = {v.split(":")[0] for service in services.values() for v in service.get("volumes", ())}
    assert {name for name in used if not name.startswith(".")} == yaml("docker-compose.yml")["volumes"].keys()


def test_every_service_is_bounded_watched_and_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory"}, name
        assert name in WITHOUT_HEALTHCHECK or service["healthcheck"]["test"], name
        assert service["image"] == "cem-engine" or re.search(r":v?\d+\.\d+", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for other, condition in service.get("depends_on", {}).items():
            ends = condition["condition"] == "service_completed_successfully"
            assert ends == (other in ONE_SHOT), (name, other)


def test_variables_are_those_of_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = dict(re.findall(r"(?<!\$)\$\{(\w+)(:[?-][^}]*)\}", text))
    assert set(re.findall(r"(?<!\$)\$\{?(\w+)", text)) == used.keys()
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert used.keys() == example.keys()
    for name, default in used.items():
        if name.endswith("_PASSWORD"):
            assert default.startswith(":?"), name
            assert not example[name], name
        else:
            assert default == f":-{example[name]}", name


def test_passwords_are_drawn_at_random() -> None:
    printed = [
        subprocess.run(["sh", "deploy/new-env.sh"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    passwords = [value for text in printed for value in re.findall(r"^\w+_PASSWORD=(.*)$", text, re.MULTILINE)]
    assert len(passwords) == len(set(passwords)) == 8
    assert all(re.fullmatch("[0-9a-f]{32}", password) for password in passwords)


def test_the_engine_finds_its_settings_and_rules(services: dict[str, dict[str, Any]]) -> None:
    settings = load_settings(ROOT / "deploy/live.docker.yaml", ENVIRONMENT)
    for name in ("engine", "traffic"):
        bound = mounts(services[name])
        command = services[name]["command"]
        config = command[command.index("--config") + 1]
        assert bound[config] == "./deploy/live.docker.yaml"
        folder = Path(config).parent
        # Relative paths are relative to the settings file: there, not here.
        inside = {str(folder / path.relative_to(ROOT / "deploy")): path for path in (*settings.rules, settings.policy)}
        for path in inside:
            target = next(target for target in bound if path.startswith(f"{target}/"))
            assert (ROOT / bound[target] / Path(path).relative_to(target)).exists()
    assert not [problem for problem in load_rules([ROOT / "rules/packs/demo.yaml"])[1] if problem.is_error]
    assert load_policy(ROOT / "rules/packs/demo-policy.yaml")[0] is not None
    volumes = services["engine"]["volumes"]
    assert any(v.split(":")[1] == str(settings.state) for v in volumes)
    assert services["engine"]["environment"].keys() == services["traffic"]["environment"].keys() == ENVIRONMENT.keys()


def test_the_script_creates_the_topics_of_the_settings() -> None:
    settings = load_settings(ROOT / "deploy/live.docker.yaml", ENVIRONMENT)
    script = (ROOT / "deploy/kafka/create-topics.sh").read_text(encoding="utf-8")
    loops = re.findall(r"^for (\w+) in (.*); do\n  create \"(\w+)\.\$\1\"", script, re.MULTILINE)
    created = {f"{prefix}.{name}" for _, names, prefix in loops for name in names.split()}
    assert settings.sinks.kafka is not None
    read = {topic for topics in dict(settings.source.topics).values() for topic in topics}
    assert created == read | set(settings.sinks.kafka.topics.names())


def test_prometheus_scrapes_every_worker(services: dict[str, dict[str, Any]]) -> None:
    prometheus = yaml("deploy/prometheus.yml")
    bound = mounts(services["prometheus"])
    assert [bound[path] for path in prometheus["rule_files"]] == ["./deploy/alerts.yml"]
    settings = load_settings(ROOT / "deploy/live.docker.yaml", ENVIRONMENT)
    workers = int(re.findall(r"^CEM_WORKERS=(\d+)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M)[0])
    (cem,) = (job for job in prometheus["scrape_configs"] if job["job_name"] == "cem")
    targets = [target for config in cem["static_configs"] for target in config["targets"]]
    assert targets == [f"engine:{settings.http.port + worker}" for worker in range(workers)]
    assert settings.http.host == "0.0.0.0"


def test_grafana_finds_dashboards_and_sources(services: dict[str, dict[str, Any]]) -> None:
    bound = mounts(services["grafana"])
    (provider,) = yaml("deploy/grafana/provisioning/dashboards/dashboards.yml")["providers"]
    assert bound[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    assert bound["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / bound[str(home.parent)] / home.name).exists()
    sources = yaml("deploy/grafana/provisioning/datasources/datasources.yml")["datasources"]
    hosts = {re.sub(r"https?://|:.*", "", source.get("url") or source["jsonData"]["host"]) for source in sources}
    assert hosts <= services.keys()
    variables = {v for s in sources for v in re.findall(r"\$(\w+)", json.dumps(s.get("secureJsonData", {})))}
    assert variables <= services["grafana"]["environment"].keys()
    assert variables <= services["clickhouse"]["environment"].keys()


def test_what_the_image_copies_is_sent_and_exists() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == sent
    assert [source for source in copied if not (ROOT / source).exists()] == []
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "tests"}
    assert packages <= set(copied)


def test_the_image_is_not_roots_and_gets_signals() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    final = text[text.rindex("\nFROM ") :]
    instructions = dict(re.findall(r"^(USER|ENTRYPOINT|CMD|STOPSIGNAL) (.*)$", final, re.MULTILINE))
    assert instructions["USER"] == "cem"
    assert json.loads(instructions["ENTRYPOINT"]) == ["cem"]
    assert json.loads(instructions["CMD"])[0] == "run"
    assert "HEALTHCHECK" in final
    assert "/healthz" in final
    assert final.index("USER cem") < final.index('RUN ["cem", "warm-up"]')  # compiled as who uses it


def test_what_runs_is_kept_in_the_image() -> None:
    spec = importlib.util.spec_from_file_location("keep_runtime", ROOT / "deploy/image/keep_runtime.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gone = set(module.superfluous(ROOT / "pyproject.toml"))
    assert {"pytest", "mypy", "ruff"} <= gone
    used = {"bytewax", "clickhouse-connect", "chdb", "confluent-kafka", "numba", "llvmlite", "numpy", "redis",
            "pydantic", "pydantic-core", "prometheus-client", "typer", "ruamel-yaml", "zstandard"}  # fmt: skip
    assert not used & gone


def test_scripts_and_users_can_be_read() -> None:
    for script in sorted((ROOT / "deploy").rglob("*.sh")):
        subprocess.run(["sh", "-n", str(script)], check=True)
    user = ElementTree.parse(ROOT / "deploy/clickhouse/grafana.xml").getroot().find("users/grafana")
    assert user is not None
    assert user.findtext("grants/query") == "GRANT SELECT ON cem.*"
    password = user.find("password")
    assert password is not None
    assert password.attrib == {"from_env": "GRAFANA_CLICKHOUSE_PASSWORD"}
