"""Asks the media worker for digests. Ingest itself opens no media file."""

from __future__ import annotations

from collections.abc import Container, Iterable

from pipeline.fingerprint.outcome import Digests, Failure
from pipeline.fingerprint.sandbox.pool import digest_files
from pipeline.ingest.writing.context import Answers
from pipeline.locator import Locator
from pipeline.settings import Settings


def answers(settings: Settings, locators: Iterable[Locator], sha512: Container[Locator] = ()) -> Answers:
    """Digests or failures by locator text, SHA-512 too of those in `sha512`. A failure that still has digests (they were
    read before it) counts as both."""
    digests: dict[str, Digests] = {}
    failures: dict[str, Failure] = {}
    wanted = list(locators)
    if not wanted:
        return Answers(digests, failures)
    for locator, answer in digest_files(settings, wanted, sha512=sha512):
        if isinstance(answer, Digests):
            digests[str(locator)] = answer
        else:
            failures[str(locator)] = answer
            if answer.digests is not None:
                digests[str(locator)] = answer.digests
    return Answers(digests, failures)
