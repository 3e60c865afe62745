"""Graded results that a person uploads in the console: checked there, and attached to the case by what may write.

The console reads the file and shows what it would bring; once the person sends it, the case store holds it until this stage
takes it in, by the code of `triage hashset import --case` and in the person's name. So the console writes neither to the
known-hash store nor to the lake. The file is let go of as soon as it is taken, refused or withdrawn.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hashsets import sources
from hashsets.importing import importer
from pipeline import files
from pipeline.algorithms import DIGESTS
from pipeline.cases import cases
from pipeline.cases.duties import notices
from pipeline.contract import Night, StageReport, run_dir
from pipeline.errors import ConflictError, InputError, PermissionDeniedError, UsageError
from pipeline.lake import Lake
from pipeline.night import turns
from pipeline.night.grading import delivery
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.opening import Store, open_store
from pipeline.store.people_tables import User
from pipeline.store.tables import CaseReferral
from pipeline.store.work_tables import GradedUpload

STAGE = "graded_uploads"
READER = "vics"
"""The format that is taken here; lists of other forms are for the command."""
KEPT = timedelta(hours=24)
"""How long a checked file waits for the person to send it."""


def own_sources(settings: Settings) -> list[tuple[str, str]]:
    """Ids and names of the force's own sources, as which graded results come back."""
    return [(s.source_id, s.name) for s in sources.load(settings).sources.values() if s.own]


def check(
    settings: Settings, session: Session, actor: Actor, case_id: str, *, name: str, content: bytes, source_id: str
) -> GradedUpload:
    """Read an uploaded VICS export and keep it as checked: what it holds, and how many of the case's files it has an opinion
    on.

    Raises UsageError for a case that does not exist (for this person) or a source that is not the force's own, InputError
    for a file that is not VICS, is damaged, names another case of ours or has no entry that can be used, ConflictError
    where the same file is attached or waits already.
    """
    cases.find(session, actor, case_id, "case.grade")
    source, plain = delivery.own(settings, source_id), _plain(name)
    digest = hashlib.sha256(content).hexdigest()
    again = select(GradedUpload.state).where(
        GradedUpload.case_id == case_id, GradedUpload.sha256 == digest, GradedUpload.state.in_(["waiting", "taken"])
    )
    if (state := session.scalar(again.limit(1))) is not None:
        raise ConflictError(f"This file is {'attached to the case' if state == 'taken' else 'on its way'} already.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / plain
        path.write_bytes(content)
        place = Path(folder) / "judged"
        place.mkdir()
        judged = importer.judge(path, source, READER, place)
    delivery.refuse_another(plain, judged.notes, case_id)
    if not judged.accepted:
        why = ", ".join(f"{reason} ({number})" for reason, number in judged.rejected.items())
        raise InputError(f"{plain} has no entry that can be used{f': {why}' if why else ''}.")
    total, fitting = _fitting(settings, session, case_id, judged.digests)
    row = GradedUpload(
        case_id=case_id, source_id=source_id, file_name=plain, sha256=digest, content=content, state="checked",
        entries=judged.accepted, rejected=sum(judged.rejected.values()), files=total, fitting=fitting,
        at=now(session), by=actor.user_id,
    )  # fmt: skip
    session.add(row)
    session.flush()
    _log(session, actor, row, "graded.checked")
    return row


def send(session: Session, actor: Actor, case_id: str, upload_id: int) -> GradedUpload:
    """Let a checked file be attached to its case. Raises UsageError where the case has no such file, ConflictError where it
    was sent or withdrawn already."""
    case = cases.find(session, actor, case_id, "case.grade", lock=True)
    row = _checked(session, case_id, upload_id)
    row.state = "waiting"
    text = f"Graded results sent ({row.file_name}): an opinion on {row.fitting} of {row.files} files"
    cases.changed(session, actor, case, "graded", text)
    _log(session, actor, row, "graded.sent")
    return row


def withdraw(session: Session, actor: Actor, case_id: str, upload_id: int) -> GradedUpload:
    """Let go of a checked file. Raises as `send`."""
    cases.find(session, actor, case_id, "case.grade")
    row = _checked(session, case_id, upload_id)
    _settle(session, row, "withdrawn", "Withdrawn before it was sent.")
    _log(session, actor, row, "graded.withdrawn")
    return row


def of_case(session: Session, actor: Actor, case_id: str) -> Sequence[GradedUpload]:
    """Every upload of a case, the newest first."""
    cases.find(session, actor, case_id, "case.grade")
    query = select(GradedUpload).where(GradedUpload.case_id == case_id).order_by(GradedUpload.upload_id.desc())
    return session.scalars(query).all()


def waiting(settings: Settings) -> int:
    """How many uploads can be taken in now: 0 while a run has the turn to write the queue."""
    with _opened(settings) as store, store.reader() as session:
        if turns.present(store) is not None:
            return 0
        return session.scalar(select(func.count()).where(GradedUpload.state == "waiting")) or 0


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Take in every upload that waits. One for which the turn to write the queue, or a person's approval of the release,
    has to be waited for stays (`waits`); one that cannot be attached is refused, and its uploader is told why."""
    report = StageReport(STAGE, night.run_id, shard)
    with _opened(settings) as store:
        with store.session() as session:
            old = select(GradedUpload).where(GradedUpload.state == "checked", GradedUpload.at < now(session) - KEPT)
            for row in session.scalars(old):
                _settle(session, row, "withdrawn", "Not sent within a day.")
            query = select(GradedUpload.upload_id).where(GradedUpload.state == "waiting")
            numbers = list(session.scalars(query.order_by(GradedUpload.upload_id)))
        for number in numbers:
            outcome = _take_in(settings, store, night, number)
            report.read += 1
            if outcome == "taken":
                report.kept += 1
            else:
                report.rejected[outcome] = report.rejected.get(outcome, 0) + 1
    if not report.kept:  # no queue was written, so that nothing in this run has to reconcile
        files.write_json(run_dir(settings, night.run_id) / "hashsets.json", [])
    return report


def _take_in(settings: Settings, store: Store, night: Night, number: int) -> str:
    """Attach one upload: taken, refused or waits."""
    with store.reader() as session:
        row = session.get_one(GradedUpload, number)
        case_id, source_id, content, name = row.case_id, row.source_id, row.content or b"", row.file_name
        user = session.get(User, row.by)
        actor = users.actor_of(user) if user is not None and not user.disabled else None
    state = "refused"
    try:
        if actor is None:
            raise PermissionDeniedError("The account that sent it is closed.", "Let somebody else send it.")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            found = delivery.GradedDelivery(settings, store, actor, night, _unwatched).take_in(
                case_id, [path], source_id
            )
        total = found.files + found.without
        text = f"Attached: an opinion on {found.files} of {total} files; release {found.release}."
        state = "taken"
    except ConflictError as error:
        text, state = f"{error.message} {error.remedy}".strip(), "waits"
    except (InputError, UsageError, PermissionDeniedError) as error:
        text = f"Not attached. {error.message} {error.remedy}".strip()
    with store.session() as session:
        row = session.get_one(GradedUpload, number)
        if state == "waits":
            row.text = text
        else:
            _settle(session, row, state, text)
            notices.tell(session, row.by, f"Graded results of case {case_id} ({name}): {text}")
    return state


@contextmanager
def _unwatched(_path: Path) -> Iterator[importer.Progress]:
    yield lambda _done, _rows: None


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings)
    try:
        yield store
    finally:
        store.close()


def _plain(name: str) -> str:
    """A file's name as it may stand on a disk and in a list."""
    bare = re.sub(r"[^\w. ()-]+", "_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")[-120:]
    return bare or "graded.json"


def _checked(session: Session, case_id: str, upload_id: int) -> GradedUpload:
    row = session.get(GradedUpload, upload_id, populate_existing=True, with_for_update=True)
    if row is None or row.case_id != case_id:
        raise UsageError(f"Case {case_id} has no upload {upload_id}.")
    if row.state != "checked":
        raise ConflictError(f"This file is {row.state} already.", "Look at the page again.")
    return row


def _settle(session: Session, row: GradedUpload, state: str, text: str) -> None:
    row.state, row.text, row.settled_at, row.content = state, text, now(session), None


def _log(session: Session, actor: Actor, row: GradedUpload, action: str) -> None:
    detail = {"source": row.source_id, "sha256": row.sha256, "entries": row.entries, "files": row.files}
    place = f"upload:{row.upload_id}"
    audit.record(session, actor, "collection", action, case_id=row.case_id, object_=place, detail=detail)


def _fitting(settings: Settings, session: Session, case_id: str, held: Mapping[str, set[bytes]]) -> tuple[int, int]:
    """How many media files the case has, and of how many one of these digests is theirs, computed or stated."""
    lake = Lake.of(settings)
    own = set(session.scalars(select(CaseReferral.referral_id).where(CaseReferral.case_id == case_id)))
    claimed = {name: f"claimed_{name}" for name in DIGESTS}
    columns = ["referral_id", "sha256", *claimed.values()]
    rows = lake.read("media_files", columns, where=("referral_id", pa.array(sorted(own), pa.string()))).to_pylist()
    media = [row for row in rows if row["referral_id"] in own]
    contents = pa.array(sorted({row["sha256"] for row in media if row["sha256"]}), pa.binary(32))
    known = lake.read("fingerprints", list(DIGESTS), where=("sha256", contents)).to_pylist() if len(contents) else []
    computed = {row["sha256"]: row for row in known}

    def fits(file: dict[str, bytes | None]) -> bool:
        digests = computed.get(file["sha256"], {"sha256": file["sha256"]})
        return any(digests.get(name) in held[name] or file[column] in held[name] for name, column in claimed.items())

    return len(media), sum(map(fits, media))
