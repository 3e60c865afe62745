"""Postcode to force, as data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.ingest import forces, rules
from pipeline.settings import Settings


def test_areas_districts_and_shared_areas() -> None:
    known = forces.load(Settings())
    assert known.of_postcode("ZZ99 1AA") == ("ZZ",)
    assert known.of_postcode("HG1 1ZZ") == ("12",)
    assert known.of_postcode("B1 1AA")[0] == "20"
    assert len(known.of_postcode("DN1 1AA")) > 1
    assert known.of_postcode("XX1 1AA") == ()
    assert known.of_postcode(" ") == ()
    assert known.of_postcode("EC1A 1BB") == known.of_postcode("EC2 1BB")


def test_the_longest_prefix_wins(tmp_path: Path) -> None:
    shutil.copytree(Settings().policy, tmp_path / "policy")
    with (tmp_path / "policy" / "postcodes.csv").open("a") as file:
        file.write("DN1,14\nDN1 2,16\n")
    known = forces.load(Settings(policy=tmp_path / "policy"))
    assert known.of_postcode("DN1 1AA") == ("14",)
    assert known.of_postcode("DN1 2AA") == ("16",)
    assert len(known.of_postcode("DN2 1AA")) > 1


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("postcodes.csv", "QQ,77\n", "forces.csv has not"),
        ("postcodes.csv", "not a prefix,01\n", "breaks its schema"),
        ("forces.csv", "toolong,Name of it\n", "breaks its schema"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, name: str, row: str, why: str) -> None:
    shutil.copytree(Settings().policy, tmp_path / "policy")
    with (tmp_path / "policy" / name).open("a") as file:
        file.write(row)
    with pytest.raises(SettingsError, match=why):
        forces.load(Settings(policy=tmp_path / "policy"))


def test_rules_check_force_and_facts(tmp_path: Path) -> None:
    assert "grooming" in rules.load(Settings()).data["facts"]
    assert rules.load(Settings()).force is None
    assert rules.load(Settings(force="42")).force == "42"
    with pytest.raises(SettingsError, match="no code"):
        rules.load(Settings(force="77"))
    shutil.copytree(Settings().policy, tmp_path / "policy")
    path = tmp_path / "policy" / "ingest.yaml"
    path.write_text(path.read_text().replace("infant: infant", "infant: no_such_fact"))
    with pytest.raises(SettingsError, match="no_such_fact"):
        rules.load(Settings(policy=tmp_path / "policy"))
