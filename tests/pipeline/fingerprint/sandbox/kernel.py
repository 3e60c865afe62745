"""A decoder with one small kernel, which is compiled or loaded when the fork server starts. Only for tests."""

from __future__ import annotations

from typing import Any

from pipeline import kernelcache
from pipeline.fingerprint.decode.task import Task
from pipeline.fingerprint.outcome import Fingerprint
from tests.pipeline.fingerprint.sandbox import faulty


def _next(number: int) -> int:
    return number + 1


def warm(_: dict[str, Any]) -> None:
    kernelcache.compiled(_next)(1)


def decode(task: Task) -> Fingerprint:
    return faulty.decode(task)
