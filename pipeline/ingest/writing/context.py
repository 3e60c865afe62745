"""What the rows of a referral need besides its draft, and the ids that they get."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.fingerprint.outcome import Digests, Failure
from pipeline.ingest.landing.package import Member, Package
from pipeline.ingest.rules import IngestRules


def stable_id(*parts: object) -> str:
    """32 hexadecimal digits of SHA-256 over the parts: the same things have the same id in every run."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def numbered_ids(referral_id: str, what: str, count: int) -> list[str]:
    """The ids of a referral's rows of one kind: the first `count` blocks of 32 hexadecimal digits of SHAKE-256 over both,
    so that an id does not depend on how many follow it."""
    digits = hashlib.shake_256(f"{referral_id}\x1f{what}".encode()).hexdigest(16 * count)
    return [digits[start : start + 32] for start in range(0, 32 * count, 32)]


@dataclass
class Answers:
    """What the media worker said, by locator text."""

    digests: Mapping[str, Digests]
    failures: Mapping[str, Failure]

    def give(self, members: Iterable[Member]) -> None:
        """Let each member have its answer."""
        for member in members:
            member.digests = self.digests.get(member.key)
            member.failure = self.failures.get(member.key) if self.failures else None


@dataclass
class Context:
    """What rows need besides the draft."""

    package: Package
    package_id: str
    referral_id: str
    supplements: str | None
    rules: IngestRules
    run_id: str
    as_of: datetime
    clock_from: datetime | None = None
    """First arrival of the package in quarantine that this one puts right, if it does."""
