"""Structured logs: run, stage and counts. Never a name, an address, a text or a file name from a referral.

structlog is imported with the first logger: a command that logs nothing starts without it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from pipeline.settings import Settings

_wanted: list[Settings] = []
"""The settings of `configure` until the first logger applies them."""


def configure(settings: Settings) -> None:
    """Send the product's log lines to standard error, as text or JSON lines, from the configured level on."""
    _wanted[:] = [settings]


def _apply(settings: Settings) -> None:
    import structlog  # see above: a command that logs nothing starts without it

    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    filtering = structlog.make_filtering_bound_logger(getattr(logging, settings.log_level))
    # in one process with Airflow (`make demo`, a test of a DAG) its operators ask this logger by the standard library's names
    names = {"getEffectiveLevel": filtering.get_effective_level, "isEnabledFor": filtering.is_enabled_for}
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=type(filtering.__name__, (filtering,), names),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def get(stage: str) -> Any:
    """A logger bound to a stage's name."""
    import structlog  # see above: a command that logs nothing starts without it

    if _wanted:
        _apply(_wanted.pop())
    return structlog.get_logger().bind(stage=stage)
