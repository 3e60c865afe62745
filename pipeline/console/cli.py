"""`triage console`: serve the web pages and the HTTP API."""

from __future__ import annotations

import errno
import socket

import click

from pipeline.errors import DependencyError
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

    address = host or settings.console_host, settings.console_port if port is None else port
    _free(*address)
    from pipeline.console.casepage.evidence import Evidence
    from pipeline.store import opening as store

    store.open_store(
        settings
    ).close()  # make or migrate it once, and fail here with a readable error if that is not possible
    taken = Evidence(settings).refresh()
    click.echo(
        f"{taken} new lake parts taken in; serving on http://{address[0]}:{address[1]}",
        err=True,
    )
    uvicorn.run(
        "pipeline.console.serve:app",
        factory=True,
        host=address[0],
        port=address[1],
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # a process that has to wait for the processor (the night runs beside it) is slow, not dead: 5 s would end it
        timeout_worker_healthcheck=60,
    )


def _free(host: str, port: int) -> None:
    """Raises DependencyError when nothing can listen there, before anything is opened or said."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise DependencyError(
                f"Port {port} of {host} is in use by another program.",
                "Stop that one, or give --port (TRIAGE_CONSOLE_PORT).",
            ) from error
        raise DependencyError(f"The console cannot listen on {host}, port {port}: {error.strerror}.") from error
