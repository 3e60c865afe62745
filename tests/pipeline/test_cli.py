"""What `triage` loads before it works."""

from __future__ import annotations

import os
import subprocess
import sys

from pipeline.settings import ROOT


def test_arrays_are_made_without_importing_pandas() -> None:
    made = (
        "import sys; from pipeline import cli; sys.meta_path.insert(0, cli.WithoutPandas()); import pyarrow as pa;"
        "print(pa.table({'a': pa.array([1])}).to_pylist(), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", made], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[{'a': 1}] False"


def test_numpy_starts_no_threads() -> None:
    """They would wait for linear algebra at full speed, one for each further core."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    program = "import pipeline, numpy, os; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", program], env=kept, check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"


def test_help_loads_neither_logs_nor_a_database() -> None:
    shown = (
        "import sys; from pipeline import cli; cli.triage.main(['--help'], standalone_mode=False);"
        "print(sorted({'structlog', 'duckdb', 'sqlalchemy', 'pyarrow', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_a_look_up_of_a_digest_loads_no_compiler() -> None:
    loaded = (
        "import sys; from pipeline.export import asking, cli, lookup;"
        "print(sorted({'numba', 'llvmlite', 'rich', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_command_has_loaded_is_not_taken_apart_at_its_end() -> None:
    ended = (
        "import gc, sys; from pipeline import cli\ntry:\n    cli.main(['--version'])\n"
        "except SystemExit as end:\n    print(end.code, gc.get_freeze_count() > 1000)"
    )
    done = subprocess.run([sys.executable, "-c", ended], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 True"
