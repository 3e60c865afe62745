"""`triage console`: serve the web pages and the HTTP API."""

from __future__ import annotations

import click

from pipeline.settings import Settings


@click.command()
@click.option("--host", default=None, help="Address to listen on. Default: TRIAGE_CONSOLE_HOST.")
@click.option("--port", type=int, default=None, help="Port to listen on. Default: TRIAGE_CONSOLE_PORT.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Server processes.")
@click.pass_obj
def console(settings: Settings, host: str | None, port: int | None, workers: int) -> None:
    """Serve the analysts' pages, the DMI's look-ups, the dashboard and the HTTP API.

    It listens on the loopback address unless told otherwise; put a TLS-terminating proxy before it, name the host in
    TRIAGE_CONSOLE_HOSTS and set TRIAGE_CONSOLE_TLS=yes. Accounts: `triage users add`.
    """
    import uvicorn

    from pipeline.console.evidence import Evidence
    from pipeline.store import opening as store

    store.open_store(
        settings
    ).close()  # make or migrate it once, and fail here with a readable error if that is not possible
    taken = Evidence(settings).refresh()
    click.echo(
        f"{taken} new lake parts taken in; serving on http://{host or settings.console_host}:{port or settings.console_port}",
        err=True,
    )
    uvicorn.run(
        "pipeline.console.serve:app",
        factory=True,
        host=host or settings.console_host,
        port=settings.console_port if port is None else port,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # a process that has to wait for the processor (the night runs beside it) is slow, not dead: 5 s would end it
        timeout_worker_healthcheck=60,
    )
