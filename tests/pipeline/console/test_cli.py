"""`triage console` where it cannot start, and what it starts without."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pipeline.console.cli import console
from pipeline.errors import DependencyError
from pipeline.settings import ROOT, Settings


def test_a_port_in_use_is_one_line_and_nothing_is_begun(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DependencyError) as error:
            CliRunner().invoke(console, ["--port", str(port)], obj=settings, catch_exceptions=False)
    assert str(error.value) == (
        f"Port {port} of 127.0.0.1 is in use by another program. Stop that one, or give --port (TRIAGE_CONSOLE_PORT)."
    )
    assert not settings.home.exists()


def test_an_address_that_is_not_this_machine_s_is_said(settings: Settings) -> None:
    with pytest.raises(DependencyError, match=r"cannot listen on 192\.0\.2\.1, port 8899"):
        CliRunner().invoke(console, ["--host", "192.0.2.1"], obj=settings, catch_exceptions=False)


def test_the_console_loads_no_compiled_kernels_before_they_are_needed() -> None:
    code = "import sys, pipeline.console.serve; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
