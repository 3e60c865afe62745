"""The one table of referral sources: readers, policy, forms and records agree with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import policy, records, senders
from pipeline.errors import SettingsError
from pipeline.ingest import rules, sources
from pipeline.settings import Settings
from tests.pipeline.cases.conftest import SUPERVISOR


def test_every_reader_is_of_a_source_and_every_source_has_a_reader() -> None:
    assert {reader.source for reader in sources.READERS} == set(senders.SOURCES)


def test_the_policy_has_every_folder_and_the_record_names_every_code(tmp_path: Path) -> None:
    assert set(senders.FOLDERS) <= set(policy.load(Settings(), "ingest").data["landing_folders"])
    described = records.describe("referrals")["properties"]["source"]["description"]
    assert all(code in described for code in senders.SOURCES)


def test_a_policy_without_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    for path in Settings().policy.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    text = (folder / "ingest.yaml").read_text()
    (folder / "ingest.yaml").write_text(
        text.replace("landing_folders: [nca, ucol, ocag, other]", "landing_folders: [nca, ucol, other]")
    )
    with pytest.raises(SettingsError, match=r"leaves out landing folders of sources: \['ocag'\]"):
        rules.load(replace(Settings(), policy=folder))


def test_people_are_admitted_to_the_compartments_of_the_table() -> None:
    assert senders.COMPARTMENTS == ("ucol",) and SUPERVISOR.compartments <= set(senders.COMPARTMENTS)
