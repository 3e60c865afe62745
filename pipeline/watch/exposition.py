"""The measures as a page that Prometheus reads, and as gauges pushed to an OpenTelemetry collector."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from pipeline import __version__
from pipeline.watch.measures import NAMES, Measure

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def page(measures: Iterable[Measure]) -> bytes:
    """The measures in Prometheus' text format."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for measure in measures:
        if measure.name not in gauges:
            gauges[measure.name] = Gauge(measure.name, NAMES[measure.name], sorted(measure.labels), registry=registry)
        gauge = gauges[measure.name]
        (gauge.labels(**measure.labels) if measure.labels else gauge).set(measure.value)
    return generate_latest(registry)


def collector() -> Any:
    """A meter provider that pushes to the collector which OTEL_EXPORTER_OTLP_ENDPOINT names; None without one."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    # loaded only where there is a collector
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    # pushed when a look is done, never by a clock of its own
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=float("inf"))
    resource = Resource.create({"service.name": "referral-triage", "service.version": __version__})
    return MeterProvider(metric_readers=[reader], resource=resource)


def push(provider: Any, measures: Iterable[Measure]) -> bool:
    """Set every gauge and push; whether the collector took them."""
    meter = provider.get_meter("referral-triage")
    gauges: dict[str, Any] = {}
    for measure in measures:
        gauge = gauges.setdefault(measure.name, meter.create_gauge(measure.name, description=NAMES[measure.name]))
        gauge.set(measure.value, measure.labels)
    return bool(provider.force_flush())
