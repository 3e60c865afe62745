"""deploy/kubernetes: rendered as kubectl does, valid by the schemas of the API, hardened as the compose file is; the task's pod as the
executor makes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipeline.settings import ROOT, Settings

FOLDER = ROOT / "deploy" / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def merged(base: Any, patch: Any) -> Any:
    """A strategic merge, as far as the patches of kustomization.yaml need one: mappings key by key, containers by their name."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{k: merged(base[k], v) if k in base else v for k, v in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list):
        named = {one["name"]: one for one in patch}
        return [merged(one, named.get(one["name"], {})) for one in base]
    return patch


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of the folder, without kubectl; that it is the same is a test of its own."""
    plan = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert set(plan) == {"apiVersion", "kind", "namespace", "resources", "patches"}, (
        "a key that is not carried out here"
    )
    found = [one for name in plan["resources"] for one in yaml.safe_load_all((FOLDER / name).read_text()) if one]
    for patch in plan["patches"]:
        change = yaml.safe_load(patch["patch"])
        del change["metadata"]  # the name there is any: the target says which
        found = [merged(one, change) if one["kind"] == patch["target"]["kind"] else one for one in found]
    for one in found:
        for placed in (one["metadata"], *one.get("subjects", [])):
            placed["namespace"] = plan["namespace"]
    return found


def test_kubectl_renders_the_same(rendered: list[dict[str, Any]]) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def name(one: dict[str, Any]) -> tuple[str, str]:
        return one["kind"], one["metadata"]["name"]

    assert sorted(yaml.safe_load_all(done.stdout), key=name) == sorted(rendered, key=name)


def test_its_settings_are_those_of_the_compose_file_and_exist() -> None:
    given = yaml.safe_load((FOLDER / "settings.yaml").read_text())["data"]
    assert all(isinstance(value, str) for value in given.values())
    Settings.load({k: v for k, v in given.items() if k.startswith("TRIAGE_")})
    everywhere = {k for service in COMPOSE.values() for k in service.get("environment", {})}
    wanted = {k for k in everywhere if k.startswith(("AIRFLOW__", "TRIAGE_")) and "__CELERY__" not in k}
    # who makes tables has a setting of its own (init.yaml); what is empty has its default; one pod has one server process
    left_to_defaults = {k for k in wanted if k not in given}
    assert left_to_defaults == {
        "TRIAGE_CASES_OWNER_URL_FILE", "TRIAGE_CONSOLE_PORT", "AIRFLOW__API__WORKERS", "TRIAGE_LOG_LEVEL", "TRIAGE_THREADS",
        "TRIAGE_SHARD_FILES", "TRIAGE_LARGE_NIGHT", "TRIAGE_TASK_SECONDS", "TRIAGE_SANDBOX", "TRIAGE_ALARM_SMTP_TLS",
    }  # fmt: skip


def pods(rendered: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {
        d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in rendered if d["kind"] in ("Deployment", "Job")
    }
    return {**found, "airflow-worker": yaml.safe_load((FOLDER / "pod.yaml").read_text())["spec"]}


def test_every_object_is_valid(rendered: list[dict[str, Any]]) -> None:
    for one in [*rendered, yaml.safe_load((FOLDER / "pod.yaml").read_text())]:
        kubernetes_validate.validate(one, "1.33", strict=True)
    assert len(rendered) >= 20


def test_every_pod_is_hardened_and_has_the_secrets_of_its_service_in_the_compose_file(
    rendered: list[dict[str, Any]],
) -> None:
    for name, pod in pods(rendered).items():
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"], name
        assert context["capabilities"] == {"drop": ["ALL"]} and {"limits", "requests"} <= set(container["resources"])
        assert pod["automountServiceAccountToken"] is (name == "airflow-scheduler")
        secret = next(v["secret"] for v in pod["volumes"] if v["name"] == "secrets")
        given = {item["key"] for item in secret["items"]}
        # no Celery here: neither broker nor result backend
        wanted = set(COMPOSE[name]["secrets"]) - {"airflow_broker_url", "airflow_result_backend"}
        assert given - {"airflow_jwt_secret"} == wanted - {"airflow_jwt_secret"}, name
        writable = {m["name"] for m in container["volumeMounts"] if not m.get("readOnly")}
        assert "landing" not in writable
        assert name in ("airflow-init", "airflow-worker") or "home" not in writable, name


def test_what_serves_is_probed_and_nothing_is_reachable_by_default(rendered: list[dict[str, Any]]) -> None:
    for one in rendered:
        if one["kind"] == "Deployment":
            assert {"readinessProbe", "livenessProbe", "startupProbe"} <= set(
                one["spec"]["template"]["spec"]["containers"][0]
            )
    policies = {d["metadata"]["name"]: d["spec"] for d in rendered if d["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.airflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_executor_makes_the_pod_of_a_task_from_the_template(airflow_home: Path) -> None:
    from datetime import UTC, datetime

    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import ApiClient

    template = PodGenerator.deserialize_model_file(str(FOLDER / "pod.yaml"))
    made = PodGenerator.construct_pod(
        dag_id="nightly_triage", task_id="fingerprint", pod_id="task-1", try_number=1, kube_image="referral-triage:0.1.0",
        date=datetime(2026, 11, 28, tzinfo=UTC), args=["airflow", "version"], pod_override_object=None,
        base_worker_pod=template, namespace="triage", scheduler_job_id="1",
    )  # fmt: skip
    pod = ApiClient().sanitize_for_serialization(made)
    kubernetes_validate.validate(pod, "1.33", strict=True)
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["airflow", "version"] and container["image"] == "referral-triage:0.1.0"
    assert (
        container["securityContext"]["readOnlyRootFilesystem"] and pod["spec"]["automountServiceAccountToken"] is False
    )


@pytest.mark.airflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_image_of_tasks_can_be_named_by_its_digest(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.cncf.kubernetes.kube_config import KubeConfig

    settings = yaml.safe_load((FOLDER / "settings.yaml").read_text())["data"]
    repository, tag = (f"AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_{n}" for n in ("REPOSITORY", "TAG"))
    assert {repository, tag} <= set(settings)
    monkeypatch.setenv(repository, "registry.example/triage@sha256")
    monkeypatch.setenv(tag, "0" * 64)
    assert KubeConfig().kube_image == f"registry.example/triage@sha256:{'0' * 64}"
