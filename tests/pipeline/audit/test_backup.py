"""The commands of the guide back up and restore an installation, on each database, and the audit log then verifies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.audit import anchors
from pipeline.audit import log as audit_log
from pipeline.cases.publishing import stage
from pipeline.errors import IntegrityError
from pipeline.lake import Lake
from pipeline.settings import ROOT, Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store, open_store
from pipeline.store.tables import Case
from tests.pipeline.cases.conftest import SERVER, _administer
from tests.pipeline.cases.samples import assessment, case_of, commit, night


def commands() -> list[str]:
    """The shell blocks of the guide's chapter on backups: how to back up, and how to restore."""
    chapter = (ROOT / "docs" / "operations.md").read_text().partition("\n## Backups\n")[2].partition("\n## ")[0]
    found: list[str] = re.findall(r"^```sh\n(.*?)^```", chapter, re.DOTALL | re.MULTILINE)
    assert len(found) == 2
    return found


def run(block: str, settings: Settings, backup: Path) -> None:
    url = sa.make_url(settings.case_store_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    words = {
        "PATH": os.environ["PATH"],
        "TRIAGE_HOME": str(settings.home),
        "BACKUP": str(backup),
        "POLICY": str(settings.policy),
        "CASES_URL": plain if url.get_backend_name() == "postgresql" else "",
    }
    done = subprocess.run(["sh", "-euc", block], env=words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def empty(store: Store, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a new home, with a new database where the store has one."""
    home = tmp_path / "restored"
    policy = store.settings.policy
    if store.dialect == "sqlite":
        yield Settings(home=home, policy=policy, force="42")
        return
    name = f"triage_{uuid.uuid4().hex}"
    _administer(SERVER, f'CREATE DATABASE "{name}"')
    url = sa.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    yield Settings(home=home, policy=policy, force="42", cases_url=url)
    _administer(SERVER, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the guide's commands need the program sqlite3")
def test_the_documented_commands_restore_everything_without_a_false_alarm(
    store: Store, empty: Settings, tmp_path: Path
) -> None:
    settings, backup = store.settings, tmp_path / "backup"
    backup.mkdir()
    for number in (1, 2):
        commit(store, night(number), assessments=[assessment(number)])
        stage.run(settings, night(number))
    for folder, name in ((settings.quarantine_dir, "returned.json"), (settings.releases_dir, "CURRENT")):
        folder.mkdir()
        (folder / name).write_text(name)
    save, restore = commands()
    run(save, settings, backup)
    run(restore, empty, backup)
    opened = open_store(empty)
    found = audit_log.verify(opened, SYSTEM)
    assert found.anchors == len(anchors.read(settings)) == 2
    with opened.reader() as session:
        assert set(session.scalars(sa.select(Case.case_id))) == {case_of(1), case_of(2)}
    assert Lake.of(empty).read("assessments").num_rows == Lake.of(settings).read("assessments").num_rows == 2
    assert Lake.of(empty).verify() > 0
    assert (empty.quarantine_dir / "returned.json").is_file() and (empty.releases_dir / "CURRENT").is_file()
    shared = [
        path
        for path in empty.home.rglob("*")
        if path.name in ("secret", "cases.sqlite") and path.stat().st_mode & 0o077
    ]
    assert shared == []
    (empty.home / "secret").unlink()
    with pytest.raises(IntegrityError):
        audit_log.verify(opened, SYSTEM)
    opened.close()
