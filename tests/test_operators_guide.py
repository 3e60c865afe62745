"""The messages in the table of docs/operations.md are those that the product says: each is provoked and looked for."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashsets.release import manifest
from pipeline import cli, files, records
from pipeline import contract as nights
from pipeline.errors import TriageError
from pipeline.export import reporting
from pipeline.lake import Lake
from pipeline.matching.core.index import canaries
from pipeline.night import reconcile, report
from pipeline.night import stages as nightly
from pipeline.settings import ROOT, Settings
from tests.factory import form, ingest, land

Provoke = Callable[[Settings, pytest.MonkeyPatch, pytest.CaptureFixture[str]], str]


def said(work: Callable[[], object]) -> str:
    with pytest.raises(TriageError) as error:
        work()
    return str(error.value)


def damaged_lake(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    lake = Lake.of(settings)
    row = {"sha256": b"v" * 32, "frame": 1, "seconds": 1.0, "pdq": b"p" * 32, "quality": 90, "algorithm_version": "1"}
    [part] = lake.commit("fingerprint", "a", {"video_frames": records.build("video_frames", [row])}, run_id="n").parts
    part.path.write_bytes(b"other" + part.path.read_bytes()[5:])
    text = said(lambda: Lake.of(settings).read("video_frames"))
    assert str(part.path) in text
    return text


def damaged_release(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    folder = settings.releases_dir / "7"
    folder.mkdir(parents=True)
    (folder / "ids.i64").write_bytes(b"x")
    return said(lambda: manifest._check(folder, "ids.i64", {"size": 1, "sha256": "0" * 64}))


def old_lake(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    folder = settings.lake_dir / "commits" / "ingest"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{}")
    return said(lambda: Lake.of(settings).read("packages"))


def old_reporting(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    folder = reporting.reporting_dir(settings)
    part = folder / "report_moment" / "part-1.parquet"
    part.parent.mkdir(parents=True)
    pq.write_table(pa.table({"former": [1]}), part)
    part.rename(part := part.with_name(f"part-1.{files.sha256(part)}.parquet"))
    listed = {name: {"parts": [part.name] if name == "report_moment" else []} for name in reporting.tables()}
    manifest = {"tables": listed, "as_of": "2026-11-29T02:00:00+00:00", "run_id": "trial"}
    (folder / reporting.MANIFEST).write_text(json.dumps(manifest))
    return said(lambda: reporting.load(settings))


def missed_canary(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    return said(lambda: canaries.compare({(0, -1, 0)}, [], "7"))


def unaccounted(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    land(settings, {"referral.json": form("general")}, "a", "other")
    ingest(settings)
    run = nights.start(settings, "trial")
    one_too_many = reconcile.Check("packages in = packages out", 2, 1, {"accepted": 1})
    monkeypatch.setattr(reconcile, "_packages", lambda lake, intake: [one_too_many])
    return said(lambda: reconcile.run(settings, run, None))


def no_space(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    return said(lambda: nightly.check_ready(settings))


def refused_by_the_disk(number: int) -> Provoke:
    def provoke(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
        def refuse(**_: object) -> None:
            raise OSError(number, os.strerror(number), "lake/x")

        monkeypatch.setattr(cli.triage, "main", refuse)
        with pytest.raises(SystemExit):
            cli.main([])
        return capsys.readouterr().err

    return provoke


def fault(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    run = nights.start(settings, "trial").run_id
    return said(lambda: nightly.guarded(settings, run, "match", lambda: 1 // 0))


def flooded(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    counted = nights.StageReport("flood", "trial", read=1, rejected={"flooded": 1})
    summary = {
        "run_id": "trial", "as_of": "2026-11-29T02:00:00+00:00", "version": "x", "reconciles": True, "counted_whole_on": "x", "parts_verified": 1, "checks": [],
        "lake_checked_whole_since": "x", "indexes_with_canaries_checked": 1, "stages": report.stage_rows([counted]),
        "quarantine_reasons": {}, "hash_set_pages_waiting": [], "returned_for_information": [], "returned_for_information_in_all": 0,
    }  # fmt: skip
    return report.text(summary)


MESSAGES: dict[str, Provoke] = {
    "is not what was written": damaged_lake,
    "is not what was published": damaged_release,
    "was written by another version": old_reporting,
    "The lake was written by an earlier version": old_lake,
    "canary": missed_canary,
    "does not reconcile": unaccounted,
    "Too little space": no_space,
    "No space left on device": refused_by_the_disk(errno.ENOSPC),
    "Read-only file system": refused_by_the_disk(errno.EROFS),
    "failed unexpectedly": fault,
    "flooded": flooded,
}


def listed() -> list[str]:
    page = Path(ROOT / "docs" / "operations.md").read_text()
    table = page[page.index("| message | meaning |") :].split("\n\n")[0]
    return [phrase for line in table.splitlines() for phrase in re.findall(r'"([^"]+)"', line.split("|")[1])]


def test_every_message_of_the_guide_can_be_provoked() -> None:
    assert listed() == list(MESSAGES)


@pytest.mark.parametrize("phrase", MESSAGES)
def test_the_guide_has_the_words_that_are_said(
    phrase: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nightly, "POLICIES", ())
    assert phrase in MESSAGES[phrase](settings, monkeypatch, capsys)
