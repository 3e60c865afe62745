"""What a server process does when it starts."""

from __future__ import annotations

import httpx

from pipeline.console.app import create_app
from pipeline.export import reporting
from pipeline.settings import Settings
from tests.pipeline.console import world
from tests.pipeline.console.client import Client


def test_the_queue_does_not_wait_for_reporting_tables_that_are_damaged(home: Settings) -> None:
    damaged = next(reporting.reporting_dir(home).glob("report_cases/*.parquet"))
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with world.server(home) as address:
        assert httpx.get(f"{address}/ready").status_code == 200
    browser = Client(create_app(home))
    assert browser.sign_in("sue").status_code == 303
    assert browser.get("/queue").status_code == 200
    page = browser.get("/dashboard")
    assert page.status_code == 503
    assert "report_cases" in page.text and "triage export reporting" in page.text
    browser.close()
