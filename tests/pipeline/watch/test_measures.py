"""The measures: the page is Prometheus', every name is documented, dashboards and rules ask for what exists and get an answer."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.settings import ROOT
from pipeline.store.opening import Store
from pipeline.watch import alarms, exposition, measures
from pipeline.watch.alarms import Condition
from tests.pipeline.watch.test_alarms import MORNING, report, store  # noqa: F401 - a fixture

MONITORING = ROOT / "deploy" / "monitoring"
STAGES = {
    "ingest": {"read": 12, "kept": 9, "rejected": {"quarantined": 2, "waiting": 1}, "counts": {}, "seconds": 2.0},
    "fingerprint": {"read": 40, "kept": 39, "rejected": {}, "counts": {"workers_died": 3}, "seconds": 8.0},
    "match": {
        "read": 40,
        "kept": 40,
        "rejected": {},
        "counts": {"exact_matches": 4, "near_matches": 2},
        "seconds": 1.0,
    },
}


@pytest.fixture
def page(store: Store) -> bytes:  # noqa: F811
    report(store.settings, stages=STAGES, checks=[{"holds": True}])
    alarms.raise_(store, Condition("disk", "disk:home"))
    return exposition.page(measures.snapshot(store, MORNING))


def values(page: bytes) -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def test_the_page_has_every_measure_with_its_value(page: bytes) -> None:
    found = values(page)
    assert {name for name, *_ in found} == set(measures.NAMES)
    assert found["triage_night_packages", "taken_in"] == 9 and found["triage_night_packages", "quarantined"] == 2
    assert found["triage_night_files",] == 40 and found["triage_night_matches",] == 6
    assert found["triage_night_worker_deaths",] == 3
    assert found["triage_night_stage_rows_per_second", "fingerprint"] == 5
    assert found["triage_night_reconciled",] == 1 and found["triage_night_canaries",] == 2
    assert found["triage_alarms_open", "disk"] == 1 and found["triage_alarms_open", "audit"] == 0
    assert found["triage_queue_cases", "very_high"] == 0 and 0 < found["triage_disk_free_ratio",] <= 1


def test_every_measure_is_documented() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    for name, what in measures.NAMES.items():
        assert f"| `{name}` | {what} |" in text
    for kind in alarms.KINDS:
        assert f"| `{kind}` |" in text


class Scraped(BaseHTTPRequestHandler):
    """Serves the page as the console does."""

    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", exposition.CONTENT_TYPE)
        self.end_headers()
        self.wfile.write(Scraped.page)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus(page: bytes, tmp_path: Path) -> Iterator[str]:
    """Debian's Prometheus, which reads the page; its address once it has."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    Scraped.page = page
    served = HTTPServer(("127.0.0.1", 0), Scraped)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = {
        "job_name": "t",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{served.server_port}"]}],
    }
    (tmp_path / "p.yml").write_text(
        yaml.safe_dump({"scrape_configs": [job], "rule_files": [str(MONITORING / "alerts.yml")]})
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path / 'p.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                if ask(address, "triage_queue_cases"):
                    break
            except (httpx.HTTPError, ValueError):  # it does not listen yet, or is not ready
                pass
            time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)
        served.shutdown()
        served.server_close()


def ask(address: str, query: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{address}/api/v1/query", params={"query": query}, timeout=10).json()
    assert answer["status"] == "success", (query, answer)
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_the_dashboard_and_the_rules_get_answers_from_a_real_prometheus(prometheus: str) -> None:
    board = json.loads((MONITORING / "dashboard.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(queries) >= 15
    for query in queries:
        assert ask(prometheus, query), query
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    firing = {rule["alert"] for rule in rules if ask(prometheus, rule["expr"])}
    assert firing == {"TriageAlarmOpen"}  # the one that was planted; all others are asked and are quiet


def test_the_rules_and_the_job_are_sound() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", "check", "rules", str(MONITORING / "alerts.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", str(MONITORING / "prometheus.yml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_collector_is_pushed_the_same_gauges(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    taken: list[ExportMetricsServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            taken.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    assert exposition.collector() is None
    served = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{served.server_port}")
    report(store.settings, stages=STAGES)
    provider = exposition.collector()
    try:
        assert exposition.push(provider, measures.snapshot(store, MORNING))
    finally:
        provider.shutdown()
        served.shutdown()
        served.server_close()
    names = {m.name for r in taken for rm in r.resource_metrics for sm in rm.scope_metrics for m in sm.metrics}
    assert names == set(measures.NAMES)
