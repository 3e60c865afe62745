"""Who acts: a signed-in person, or the nightly run."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.senders import COMPARTMENTS


@dataclass(frozen=True)
class Actor:
    """A person with roles and compartments, as every service function takes it.

    `roles`: analyst, supervisor, dmi, auditor, administrator (and system, of the nightly run only).
    `compartments`: restricted cases the person may see (`pipeline/senders.py`).
    """

    user_id: str
    name: str
    roles: frozenset[str]
    compartments: frozenset[str] = frozenset()
    team_id: str | None = None


SYSTEM = Actor("system", "Nightly run", frozenset({"system"}), frozenset(COMPARTMENTS))
"""The nightly run: publishes, expires claims, sees all compartments and decides nothing."""
