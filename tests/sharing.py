"""Test workers side by side (`make test`: one more than there are cores): which tests stay together, and what is made only once.

Tests of one file run in one worker, because they share fixtures. The files that take long come first, so that no
worker is left alone with one of them at the end. What several workers need and nobody changes is made by the first
that asks, under a lock, and read by the others.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = "PYTEST_XDIST_WORKER"
"""Set in each worker; not set where all tests run in one process."""

TOGETHER = {
    "tests/dags/test_dags.py": "airflow",
    "tests/dags/test_trigger.py": "airflow",
    "tests/deploy/test_compose.py": "airflow",
}
"""Files that go to one worker: importing and configuring Airflow takes as long as many of their tests."""


FIRST = (
    "tests/deploy/test_containers.py",
    "tests/pipeline/console/test_schemathesis.py",
    "tests/hashsets/test_faults.py",
    "tests/pipeline/night/test_whole_night.py",
    "tests/pipeline/fingerprint/decode/test_mutations.py",
    "tests/pipeline/night/test_night_killed.py",
    "tests/pipeline/night/test_sharing.py",
    "tests/deploy/test_demo.py",
)
"""The longest files by measured duration: the containers wait for services, a night takes a minute. Those that need no media worker
go on while its kernels are compiled for the first."""

ALL_KERNELS = "all-kernels"
"""Name for `once`: every kernel, those of the media workers among them."""


def group_of(nodeid: str) -> str:
    """The group of a test: its file, or the files that go with it."""
    file = nodeid.split("::", maxsplit=1)[0]
    return TOGETHER.get(file, file)


def arrange(items: list[pytest.Item]) -> None:
    """Order the tests by group: the longest files and those with a slow test first, else as they were collected."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)
    slow = {name for name, members in groups.items() if any(m.get_closest_marker("slow") for m in members)}
    place = {name: number for number, name in enumerate(FIRST)}
    order = sorted(groups, key=lambda name: (place.get(name, len(FIRST)), name not in slow))
    items[:] = [item for name in order for item in groups[name]]


def workers() -> int:
    """One more than there are cores: at any time some test waits for a service, a clock or a lock."""
    return len(os.sched_getaffinity(0)) + 1


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills once a test run, whichever worker asks first. Only to be read."""
    base = factory.getbasetemp()
    folder = (base.parent if WORKER in os.environ else base) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made"
        if not made.exists():
            make(folder)
            made.touch()
    return folder
