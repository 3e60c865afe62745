"""A look-up of a hash as a process of its own: what it answers, what it leaves in the log, and what it does not load."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys

import pytest

from pipeline.people import users
from pipeline.settings import ROOT, Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import open_store
from pipeline.store.people_tables import AuditEntry
from tests.pipeline.matching.synthetic_night import flipped, known, publish

ME = pwd.getpwuid(os.getuid()).pw_name
ADMIN = Actor("first", "First", frozenset({"administrator"}))
UNASKED = (
    "PIL", "alembic", "deltalake", "llvmlite", "numba", "numpy.random", "pandas", "pyarrow.compute", "rich", "structlog",
    "pipeline.assess", "pipeline.cases", "pipeline.fingerprint.sandbox", "pipeline.lake", "pipeline.matching.core.compiled",
    "pipeline.night", "pipeline.store.tables", "sqlalchemy.dialects.postgresql",
)  # fmt: skip
"""What no look-up of a hash needs: some of it was loaded and cost it time, the rest would."""
NEIGHBOURS = ("numpy", "pyarrow", "pipeline.matching")
"""Needed for the neighbours of a perceptual hash only."""
RUN = """
import json, sys
from pipeline.cli import main
try:
    main(["lookup", *sys.argv[1:], "--reason", "request 12/26"])
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def account(settings: Settings, role: str) -> None:
    store = open_store(settings)
    with store.session() as session:
        users.first(session, "first", "First", None)
        users.add(session, ADMIN, ME, "Machine user", roles=[role])
    store.close()


def looked_up(settings: Settings, value: str) -> tuple[int, list[dict[str, object]], list[str]]:
    """Exit code, rows, and every module that the process had loaded at its end."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("TRIAGE")} | {"TRIAGE_HOME": str(settings.home)}
    done = subprocess.run([sys.executable, "-c", RUN, value], cwd=ROOT, env=given, capture_output=True, text=True)
    return (
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        json.loads(done.stderr.splitlines()[-1]),
    )


def among(loaded: list[str], unasked: tuple[str, ...]) -> list[str]:
    return [name for name in loaded if any(name == u or name.startswith(f"{u}.") for u in unasked)]


def last_entry(settings: Settings) -> AuditEntry:
    store = open_store(settings)
    with store.reader() as session:
        found = session.query(AuditEntry).order_by(AuditEntry.seq.desc()).first()
    store.close()
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["md5", "pdq"])
def test_a_look_up_of_a_hash_loads_no_more_than_it_asks(settings: Settings, kind: str) -> None:
    publish(settings, "known", [known(1), known(2)])
    account(settings, "dmi")
    asked = known(1).md5 if kind == "md5" else flipped(known(1).pdq, 3)
    code, rows, loaded = looked_up(settings, asked.hex())
    assert (code, [(r["result"], r["algorithm"], r["distance"]) for r in rows]) == (
        0, [("exact", "md5", 0) if kind == "md5" else ("near", "pdq", 3)],
    )  # fmt: skip
    assert among(loaded, (*UNASKED, *NEIGHBOURS) if kind == "md5" else UNASKED) == []
    entry = last_entry(settings)
    assert (entry.user_id, entry.category, entry.action, entry.object, entry.reason, entry.detail) == (
        ME, "consultation", "hash.looked_up", "release:1", "request 12/26", '{"hashes":1,"hits":1,"rejected":0}',
    )  # fmt: skip


def test_a_person_who_may_not_look_up_is_refused_and_that_is_logged(settings: Settings) -> None:
    publish(settings, "known", [known(1)])
    account(settings, "auditor")
    code, rows, loaded = looked_up(settings, known(1).md5.hex())
    assert (code, rows) == (8, []) and among(loaded, UNASKED) == []
    entry = last_entry(settings)
    assert (entry.user_id, entry.category, entry.action, entry.object) == (ME, "consultation", "refused", "lookup.hash")


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "table"])
def test_an_answer_is_written_in_every_form_of_text_without_arrow(settings: Settings, form: str) -> None:
    publish(settings, "known", [known(1)])
    account(settings, "dmi")
    given = {k: v for k, v in os.environ.items() if not k.startswith("TRIAGE")} | {"TRIAGE_HOME": str(settings.home)}
    asked = [sys.executable, "-c", RUN, known(1).md5.hex(), "--format", form]
    done = subprocess.run(asked, cwd=ROOT, env=given, capture_output=True, text=True, check=True)
    assert "exact" in done.stdout and among(json.loads(done.stderr.splitlines()[-1]), ("numpy", "pyarrow")) == []
