"""docker-compose.yml: valid by its schema, made of services that exist, and hardened as docs/safety.md says."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import secrets
from pipeline.settings import ROOT, Settings
from tests.deploy.engine.composition import interpolate

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_it_is_valid_by_the_compose_schema() -> None:
    command = [
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        str(ROOT / "docker-compose.yml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_nothing_it_refers_to_is_missing() -> None:
    for name, service in SERVICES.items():
        depends = service.get("depends_on", {})
        assert set(depends) <= set(SERVICES), name
        for other, how in depends.items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":", 1)[0]
            made = source == "./secrets"  # by the service `secrets` itself
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file() or made, f"{name}: {source}"


SETUP = {name for name, service in SERVICES.items() if service.get("profiles") == ["setup"]}
"""Services that a person runs by hand; nothing starts them, they have no network and end by themselves."""


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    unset = interpolate(service.get("ports", []), {})
    assert all(port.startswith("127.0.0.1:") for port in unset), "reachable without anybody having said so"
    if name in SETUP:
        assert service["network_mode"] == "none" and "networks" not in service and "secrets" not in service
    else:
        assert not service["user"].startswith(("0", "root")) and "cap_add" not in service
        assert name == "airflow-init" or "healthcheck" in service


def test_what_reads_a_secret_is_of_the_group_that_may() -> None:
    for name, service in SERVICES.items():
        if service.get("secrets"):
            groups = {service["user"].split(":")[1], *service.get("group_add", [])}
            assert str(secrets.READERS) in groups, name


def test_only_the_proxy_has_a_way_in_and_only_the_watch_one_out() -> None:
    ways = {n for n, how in COMPOSE["networks"].items() if not (how or {}).get("internal")}
    assert ways == {"front", "out"}
    assert {n for n, s in SERVICES.items() if "front" in s.get("networks", [])} == {"proxy"}
    assert {n for n, s in SERVICES.items() if "out" in s.get("networks", [])} == {"watch"}
    assert [n for n, s in SERVICES.items() if "ports" in s] == ["proxy"]


def test_the_proxy_cannot_reach_a_database_and_a_secret_is_where_it_is_used() -> None:
    assert "data" not in SERVICES["proxy"]["networks"]
    assert {n for n, s in SERVICES.items() if "postgres_password" in s.get("secrets", [])} == {"postgres"}
    assert {n for n, s in SERVICES.items() if "tls_key" in s.get("secrets", [])} == {"proxy"}
    reads_cases = {n for n, s in SERVICES.items() if "cases_db_url" in s.get("secrets", [])}
    assert reads_cases == {
        "airflow-init",
        "airflow-worker",
        "console",
        "airflow-dag-processor",
        "airflow-triggerer",  # the mark of what was imported last
        "watch",
    }
    owns_cases = {n for n, s in SERVICES.items() if "cases_owner_db_url" in s.get("secrets", [])}
    assert owns_cases == {"airflow-init"}
    databases = (ROOT / "deploy" / "postgres-init.sql").read_text()
    assert "CREATE DATABASE cases OWNER cases_owner;" in databases and "SUPERUSER" not in databases
    assert "broker" not in str([SERVICES[n]["secrets"] for n in ("airflow-api-server", "airflow-triggerer", "console")])


def test_the_console_cannot_reach_a_media_file() -> None:
    assert not any("landing" in volume for volume in SERVICES["console"]["volumes"])
    assert all(volume.endswith(":ro") for volume in SERVICES["console"]["volumes"])
    # only the sample's writer, which a person runs for a trial, may write to it
    landing = [v for n, s in SERVICES.items() if n != "sample" for v in s.get("volumes", []) if "landing" in v]
    assert landing and all(v.endswith(":ro") for v in landing)


def test_no_password_stands_in_the_file_and_every_secret_can_be_made(tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name, service in SERVICES.items():
        assert not re.search(r"--password|-a ", str(service.get("command")) + str(service.get("healthcheck"))), name
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|_KEY|CONN|BROKER|BACKEND", key):
                assert key.endswith(("_FILE", "_CMD")), f"{name}: {key}"
                assert "/run/secrets/" in value
    assert not re.search(r"(?<!_)password:", text)
    made = secrets.main(tmp_path / "secrets")
    assert set(made) == set(COMPOSE["secrets"])
    assert secrets.main(tmp_path / "secrets") == []
    for path in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path.name


@pytest.mark.airflow
def test_airflow_knows_every_option_and_every_command(airflow_home: Path) -> None:
    from airflow.cli.cli_parser import get_parser
    from airflow.configuration import conf

    known = {
        f"AIRFLOW__{s.upper()}__{o.upper()}" for s, d in conf.configuration_description.items() for o in d["options"]
    }
    parser = get_parser()
    for name, service in SERVICES.items():
        for key in service.get("environment", {}):
            if key.startswith("AIRFLOW__"):
                assert key.removesuffix("_CMD") in known, f"{name}: {key}"
        command = service.get("command", [])
        if command[:1] == ["airflow"]:
            assert parser.parse_args(command[1:]).func, name


def test_every_triage_setting_in_it_exists() -> None:
    for service in SERVICES.values():
        given = {k: v for k, v in service.get("environment", {}).items() if k.startswith("TRIAGE_")}
        Settings.load({k: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", v) for k, v in given.items()})
        assert all(isinstance(v, str) for v in given.values())


BY_OVERRIDE = {"policy", "lake", "shared", "cases_url", "anchors", "oidc_issuer", "oidc_client_id", "oidc_secret_file"}
"""Settings that the file gives no service: policy/ is in the image, the case store's URL is a secret, and the rest needs a mount or a
network of the force's own, for which the guide shows docker-compose.override.yml."""


def test_every_other_setting_is_fixed_by_the_file_or_can_be_set_in_the_environment() -> None:
    given = {k for service in SERVICES.values() for k in service.get("environment", {})}
    fields = set(Settings.__dataclass_fields__)
    assert {f for f in fields if f"TRIAGE_{f.upper()}" not in given} == BY_OVERRIDE


def pages() -> str:
    return "".join((ROOT / "docs" / name).read_text() for name in ("operations.md", "monitoring.md"))


def test_the_guide_names_every_variable_of_the_file_and_no_other() -> None:
    """What is written into .env under a name that the file does not read is passed over by Compose without a word."""
    text = (ROOT / "docker-compose.yml").read_text()
    read = set(re.findall(r"\$\{(TRIAGE_\w+)", text)) | set(
        re.findall(r"TRIAGE_\w+", (ROOT / "deploy" / "pin.sh").read_text())
    )
    read = {name for name in read if not name.endswith("_")}
    named = set(re.findall(r"TRIAGE_[A-Z_]*[A-Z]", pages()))
    assert read - named == set()
    settings = {f"TRIAGE_{f.upper()}" for f in Settings.__dataclass_fields__}
    assert named - read - settings == set()


def test_the_overrides_that_the_guide_shows_fit_the_file() -> None:
    shown = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", pages(), re.MULTILINE | re.DOTALL)]
    assert len(shown) == 2
    for override in shown:
        for name, service in override["services"].items():
            assert name in SERVICES or "@sha256:" in service["image"]
            assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
            known = set(COMPOSE["secrets"]) | set(override.get("secrets", {}))
            assert set(service.get("secrets", [])) <= known
            environment = service.get("environment", {})
            Settings.load({k: v for k, v in environment.items() if k.startswith("TRIAGE_")})
            for key, value in environment.items():
                if key.endswith("_FILE"):
                    assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_the_build_sees_what_the_dockerfile_copies_and_neither_secrets_nor_packages() -> None:
    build = (ROOT / "Dockerfile").read_text().partition("\nFROM ${PYTHON_IMAGE}\n")[0]
    copied = {word for line in re.findall(r"^COPY (.+) \S+$", build, re.MULTILINE) for word in line.split()}
    patterns = [p for p in (ROOT / ".dockerignore").read_text().splitlines() if p and not p.startswith("#")]
    assert patterns[0] == "*"
    assert {p[1:] for p in patterns if p.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_the_proxy_configuration_is_read_by_nginx(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    secrets.main(tmp_path / "secrets")
    text = (ROOT / "deploy" / "nginx.conf").read_text().replace("/tmp/", f"{tmp_path}/")
    text = text.replace("/run/secrets", str(tmp_path / "secrets"))
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run([nginx, "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_image_copies_every_folder_the_product_reads() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {"pipeline", "hashsets", "triggers", "tasks", "deploy", "dags", "schemas", "policy"} <= copied
    assert "USER 10001:10001" in (ROOT / "Dockerfile").read_text()


def test_every_image_of_others_can_be_named_by_its_digest(tmp_path: Path) -> None:
    """deploy/pin.sh finds all of them, writes what the registry gave, and leaves what was chosen before."""
    others = {s["image"] for s in SERVICES.values() if "build" not in s}
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text("TRIAGE_REDIS_IMAGE=mirror/redis@sha256:1\n")
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nfor name; do :; done\n[ "$1" = pull ] || echo "${name%%:*}@sha256:feed"\n')
    docker.chmod(0o755)
    run = ["sh", str(ROOT / "deploy" / "pin.sh")]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(run, cwd=tmp_path, env=environment, check=True, capture_output=True)
    written = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert written == {
        "TRIAGE_REDIS_IMAGE": "mirror/redis@sha256:1",
        "TRIAGE_POSTGRES_IMAGE": "postgres@sha256:feed",
        "TRIAGE_PROXY_IMAGE": "nginxinc/nginx-unprivileged@sha256:feed",
        "TRIAGE_PYTHON_IMAGE": "python@sha256:feed",
    }
    assert {re.sub(r"\$\{(\w+):-.*", r"\1", image) for image in others} <= set(written)
    checked = SERVICES["airflow-init"]["environment"]
    assert {v.split(":-")[0][2:] for k, v in checked.items() if k.startswith("DEPLOYED_") and "_IMAGE" in v} == set(
        written
    )
    docker.write_text("#!/bin/sh\n")  # an image that came from no registry has no digest
    (tmp_path / ".env").unlink()
    assert subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True).returncode == 1
