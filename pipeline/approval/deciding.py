"""A person's word on a release that waits: first in the audit log, then beside the release.

No release is ever published on a word that was not logged. A word that was logged and could not be kept (a full disk) is
given again.
"""

from __future__ import annotations

from hashsets.release import approving
from hashsets.release.approving import APPROVED, PUBLISHABLE, REFUSED, Judged
from pipeline.errors import ConflictError, UsageError
from pipeline.people import permissions
from pipeline.settings import Settings
from pipeline.store import recording
from pipeline.store.actors import Actor
from pipeline.store.opening import Store

ACTION = "release.approve"


def open_one(settings: Settings) -> Judged | None:
    """The judged release that is built and not published, whatever was decided of it; None when there is none."""
    release = approving.built(settings)
    return approving.judged(settings, release) if release is not None else None


def decide(store: Store, actor: Actor, number: int, approve: bool, reason: str, *, by_airflow: bool = False) -> Judged:
    """Approve or refuse the release that waits. The same word again changes nothing; a refused one may be approved later.

    `by_airflow`: Airflow has asked whether this user may answer (policy/hashsets.yaml `approval`); otherwise the roles of
    `permissions` decide. Raises UsageError when another release waits or the reason is missing, ConflictError when it was
    published meanwhile.
    """
    settings = store.settings
    release = approving.built(settings)
    found = approving.judged(settings, release) if release is not None else None
    if release is None or found is None or found.release != number:
        raise UsageError(f"Release {number} does not wait for a person.", "`triage hashset approval` shows what does.")
    if not by_airflow:
        with store.session():
            permissions.require(actor, ACTION)
    if not reason.strip():
        raise UsageError("A decision needs a reason.", "Say why with --reason.")
    state = APPROVED if approve else REFUSED
    if found.state == state:
        return found
    if found.state in PUBLISHABLE:
        raise ConflictError(f"Release {number} may be published already: {found.state}.")
    decided = found.decided(state, actor.user_id, actor.name, reason.strip(), store.clock())
    with store.session() as session:
        recording.record(
            session,
            actor,
            "alteration",
            "hashset.approve" if approve else "hashset.refuse",
            object_=f"release {number}",
            reason=decided.reason,
            detail={"manifest_sha256": found.manifest_sha256, **found.difference.counts},
        )
    approving.keep(settings, release, decided)
    return decided
