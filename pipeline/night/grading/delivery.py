"""Graded results that come back: what the force's own grading of a case's files says, attached to the case at once.

The force's grading tool exports VICS (or a list) after the examination. The file is imported as every hash-set file is,
as one of the force's own sources (`own` in policy/hashsets.yaml), so the opinions stand in the known-hash store and in
every export of that source (`triage hashset export --source force`, which CAID takes). Then, without waiting for a
night: the next release is built, the case's own files are matched against it, the case is assessed anew and published,
with what that raises. The past of other cases is matched by the next retro-match, as after every release.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select
from sqlalchemy.orm import Session

from hashsets import sources
from hashsets.importing import importer
from hashsets.release import releases
from pipeline.approval import stage as releasing
from pipeline.cases import cases
from pipeline.contract import Night
from pipeline.errors import ConflictError, InputError, UsageError
from pipeline.lake import Lake
from pipeline.matching import flood, retro, stage
from pipeline.night import stages, turns
from pipeline.settings import Settings
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.opening import Store
from pipeline.store.tables import Case, CaseReferral

Watched = Callable[[Path], AbstractContextManager[importer.Progress]]
"""Shows the progress of one file's import."""

_NUMBER = re.compile(r"C-[0-9A-Z]{10}")
"""A case number of ours; the numbers of a grading tool look otherwise."""

AFTER = ("flood", "assess", "publish")
"""Stages that follow once the case's files are matched."""


@dataclass(frozen=True)
class Graded:
    """What became of a delivery: the imports, how many of the case's files the source has an opinion on and how many not,
    and the case before and after."""

    case_id: str
    imports: tuple[importer.Import, ...]
    release: int
    files: int
    without: int
    band: str
    band_before: str
    score: float
    score_before: float

    def as_row(self) -> dict[str, Any]:
        """The result as the command shows it."""
        return {
            "case_id": self.case_id,
            "import": ", ".join(record.key for record in self.imports),
            "entries": sum(record.accepted for record in self.imports),
            "rejected": sum(sum(record.rejected.values()) for record in self.imports),
            "release": self.release,
            "files_graded": self.files,
            "files_not_graded": self.without,
            "band": self.band,
            "band_before": self.band_before,
            "score": self.score,
            "score_before": self.score_before,
        }


@dataclass(frozen=True)
class _Files:
    """The media files of a case in the lake: file id to SHA-256 of the content (None where only described)."""

    content: dict[str, bytes | None]

    @property
    def contents(self) -> set[bytes]:
        return {digest for digest in self.content.values() if digest is not None}


@dataclass(frozen=True)
class GradedDelivery:
    """Who brings graded results of a case, and the run in which they are taken in."""

    settings: Settings
    store: Store
    actor: Actor
    night: Night
    watched: Watched

    def take_in(self, case_id: str, paths: Sequence[Path], source_id: str) -> Graded:
        """Import the files as the source's and attach what they say to the case. Repeating it changes nothing.

        Raises UsageError for a case that does not exist (for this person) or a source that is not the force's own,
        InputError for a damaged file or one that names another case of ours, ConflictError while another run has the
        turn to write the queue; nothing is imported then.
        """
        source = own(self.settings, source_id)
        with self.store.session() as session:
            case = cases.find(session, self.actor, case_id, "case.grade")
            band, score = case.band, case.score
            referrals = list(session.scalars(select(CaseReferral.referral_id).where(CaseReferral.case_id == case_id)))
        with turns.held_by_command(self.settings, self.night.run_id):
            imports = tuple(self._imported(path, source, case_id) for path in paths)
            if releasing.run(self.settings, self.night).counts["waits"]:
                raise ConflictError(
                    "The results are imported, and the release that holds them waits for a person's approval.",
                    "`triage hashset approval` shows why; after `approve`, give the same command again.",
                )
            lake = Lake.of(self.settings)
            files = _files(lake, referrals)
            release = _matched(self.settings, lake, self.night, files)
            for name in AFTER:
                stages.run_stage(self.settings, stages.find(name), self.night, None)
            on, off = _graded(lake, files, source_id)
            found = Graded(case_id, imports, release, on, off, band, band, score, score)
            with self.store.session() as session:
                case = self._noted(session, found, source)
                return replace(found, band=case.band, score=case.score)

    def _imported(self, path: Path, source: sources.KnownSource, case_id: str) -> importer.Import:
        """One file, staged. A VICS case export that carries another number of ours is refused and removed again."""
        with self.watched(path) as progress:
            given: dict[str, Any] = {
                "loaded_at": self.night.as_of,
                "loaded_by": self.actor.user_id,
                "progress": progress,
            }
            record, new = importer.import_file(self.settings, path, source, **given)
        try:
            refuse_another(path.name, record.notes, case_id)
        except InputError:
            if new:
                shutil.rmtree(importer.imports_dir(self.settings) / record.key)
            raise
        return record

    def _noted(self, session: Session, found: Graded, source: sources.KnownSource) -> Case:
        """The case with a line of its history and an entry of the audit log."""
        case = cases.find(session, self.actor, found.case_id, "case.grade", lock=True)
        names = ", ".join(record.file_name for record in found.imports)
        total = found.files + found.without
        text = f"{found.files} of {total} files graded, release {found.release}"
        cases.changed(session, self.actor, case, "graded", f"Graded results came back ({source.name}, {names}): {text}")
        detail: dict[str, Any] = {
            "source": source.source_id,
            "imports": [record.key for record in found.imports],
            "entries": sum(record.accepted for record in found.imports),
            "files": found.files,
            "files_without": found.without,
            "release": found.release,
        }
        place: dict[str, Any] = {"case_id": case.case_id, "object_": f"release:{found.release}"}
        audit.record(session, self.actor, "collection", "case.graded", detail=detail, **place)
        session.flush()
        return case


def refuse_another(name: str, notes: Mapping[str, Any], case_id: str) -> None:
    """Raises InputError for a VICS case export (`notes` of its import) that carries another case number of ours."""
    stated = [str(c.get("CaseNumber") or "") for c in notes.get("cases") or ()]
    other = sorted({n for n in stated if _NUMBER.fullmatch(n) and n != case_id})
    if other:
        raise InputError(
            f"{name} is of case {', '.join(other)}, not of {case_id}.",
            "Nothing was attached. Name the case that the file is of.",
        )


def own(settings: Settings, source_id: str) -> sources.KnownSource:
    """The force's own source of that id. Raises UsageError for any other."""
    declared = sources.load(settings)
    source = declared.source(source_id)
    if not source.own:
        own = ", ".join(s.source_id for s in declared.sources.values() if s.own)
        raise UsageError(
            f"{source_id} is not the force's own source; its files say nothing of one case.",
            f"Own sources (policy/hashsets.yaml): {own or 'none'}.",
        )
    return source


def _files(lake: Lake, referrals: Sequence[str]) -> _Files:
    wanted = pa.array(sorted(referrals), pa.string())
    rows = lake.read("media_files", ["file_id", "sha256", "referral_id"], where=("referral_id", wanted))
    rows = rows.filter(pc.is_in(rows["referral_id"], value_set=wanted))
    return _Files(dict(zip(rows["file_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True)))


def _matched(settings: Settings, lake: Lake, night: Night, files: _Files) -> int:
    """Bring the units that hold the case's files up to the current release, and return its number. A unit that was never
    matched is matched whole."""
    release = releases.current(settings)
    units = _units(lake, files)
    covered = retro.coverage(lake)
    for unit in units:
        if unit not in covered:
            stages.run_stage(settings, stages.find("match"), night, unit)
    for since in sorted({covered[u] for u in units if covered.get(u, release.number) < release.number}):
        behind = sorted(u for u in units if covered.get(u) == since)
        with retro.ReleaseChange(settings, night, lake, release, since) as change:
            for batch in retro.batches(lake, behind):
                change.bring_up(batch)
    return release.number


def _units(lake: Lake, files: _Files) -> list[str]:
    """Units of the match stage that hold a content or a described file of the case."""
    contents, named = pa.array(sorted(files.contents), pa.binary(32)), pa.array(sorted(files.content), pa.string())
    found = []
    for of_stage, table, column, values, prefix in (
        ("fingerprint", "fingerprints", "sha256", contents, stage.CONTENT),
        ("ingest", "media_files", "file_id", named, stage.CLAIMED),
    ):
        for commit in lake.commits(of_stage):
            parts = [p for p in commit.parts if p.table == table]
            if parts and len(values):
                held = lake.read(table, [column], parts=parts, where=(column, values))
                if pc.any(pc.is_in(held[column], value_set=values)).as_py():
                    found.append(prefix + commit.key)
    return found


def _graded(lake: Lake, files: _Files, source_id: str) -> tuple[int, int]:
    """How many of the case's files the source has an opinion on by their digest, and how many not."""
    matches = flood.latest(lake)
    sure = matches.filter(pc.is_in(matches["kind"], pa.array(flood.SURE)))
    rows = [r for r in sure.select(["sha256", "file_id", "sources"]).to_pylist() if source_id in (r["sources"] or ())]
    contents, described = {r["sha256"] for r in rows if not r["file_id"]}, {r["file_id"] for r in rows if r["file_id"]}
    on = sum(1 for name, digest in files.content.items() if name in described or digest in contents)
    return on, len(files.content) - on
