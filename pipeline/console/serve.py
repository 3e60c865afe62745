"""The application as a server process makes it: settings from the environment, evidence kept up in the background."""

from __future__ import annotations

import gc
import threading
from typing import Any

from pipeline import logs
from pipeline.console import pages
from pipeline.console.app import create_app
from pipeline.console.casepage.evidence import Evidence
from pipeline.console.dashboard.figures import Dashboard
from pipeline.errors import TriageError
from pipeline.night import sharing
from pipeline.settings import Settings

REFRESH_SECONDS = 60


def app() -> Any:
    """The console of this process."""
    settings = Settings.load()
    logs.configure(settings)
    made = create_app(settings)
    pages.warm()
    gc.collect()
    gc.freeze()  # modules and templates live as long as the process: the collector need not walk them again
    kept_up = (settings, made.app.state.dashboard, made.app.state.evidence)
    threading.Thread(target=_keep_up, args=kept_up, daemon=True, name="evidence").start()
    return made


def _draw(dashboard: Dashboard) -> None:
    """Have the dashboard's figures ready before somebody asks: over a million files they take half a second. Tables that are damaged,
    or of another version until the next night writes them anew, are logged and said on the dashboard."""
    try:
        dashboard.figures()
    except TriageError as error:
        logs.get("console").error("dashboard not ready", reason=error.message)


def _keep_up(settings: Settings, dashboard: Dashboard, evidence: Evidence) -> None:
    """Take in what the lake publishes, what nights count and what other machines share while the server runs; nobody's page
    waits for it. A damaged part is logged and asked for again, as is a store that cannot be reached."""
    wait = threading.Event()
    while True:
        _draw(dashboard)
        try:
            evidence.refresh()
        except TriageError as error:
            logs.get("console").error("evidence not refreshed", reason=error.message)
        try:
            sharing.bring(settings)
        except TriageError as error:
            logs.get("console").error("shared files not fetched", reason=error.message)
        wait.wait(REFRESH_SECONDS)
