"""Postcode to local authority and force, by the ONS postcode directory and data of the policy folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.ingest import rules
from pipeline.ingest.geography import forces, postcodes
from pipeline.settings import Settings


@pytest.mark.parametrize(
    ("postcode", "authority", "services", "force"),
    [
        ("CM1 1QH", "Chelmsford", "Essex", "42"),
        ("CO1 1AA", "Colchester", "Essex", "42"),
        ("EN9 1AA", "Broxbourne", "Hertfordshire", "41"),
        ("IG7 4AA", "Redbridge", "Redbridge", "01"),
        ("RM1 1AA", "Havering", "Havering", "01"),
        ("RM17 6AA", "Thurrock", "Thurrock", "42"),
        ("CB1 1AA", "Cambridge", "Cambridgeshire", "35"),
        ("CB10 1AA", "Uttlesford", "Essex", "42"),
        ("DN1 1AA", "Doncaster", "Doncaster", "14"),
        ("EC2V 7HH", "City of London", "City of London", "48"),
    ],
)
def test_a_whole_postcode_has_one_authority_and_one_force(
    postcode: str, authority: str, services: str, force: str
) -> None:
    known = forces.load(Settings())
    found = known.authority(postcode)
    assert found is not None and (found.name, found.services, found.force_code) == (authority, services, force)
    assert known.of_postcode(postcode) == (force,)


def test_part_of_a_postcode_gives_every_force_that_shares_it() -> None:
    known = forces.load(Settings())
    assert known.of_postcode("CM1") == ("42",)
    assert known.of_postcode("EN9") == ("01", "41", "42")
    assert known.of_postcode("DN1") == ("14", "16")
    assert known.of_postcode("HG1 1ZZ") == ("12",), "a postcode that the directory has not, in a sector of one force"
    assert known.of_postcode("XX1 1AA") == known.of_postcode(" ") == known.of_postcode("DN") == ()
    assert known.authority("GY1 1AA") is None, "Guernsey has no authority of the table"
    assert known.of_postcode("ZZ99 1AA") == ("ZZ",)


def test_every_authority_of_the_directory_has_a_force_and_every_force_an_authority() -> None:
    known = forces.load(Settings())
    letters = [postcodes._letter(chr(letter)) for letter in range(ord("A"), ord("Z") + 1)]
    codes = {code for letter in letters for code in letter.codes}
    assert codes - set(known.authorities) == {"L99999999", "M99999999"}, "the Channel Islands and the Isle of Man"
    assert {a.force_code for a in known.authorities.values()} == set(known.names) - {"ZZ"}
    assert all(a.services for a in known.authorities.values() if not a.code.startswith("N"))
    assert len(known.authorities) == 361


def test_a_correction_of_the_force_wins_by_its_longest_prefix(tmp_path: Path) -> None:
    shutil.copytree(Settings().policy, tmp_path / "policy")
    with (tmp_path / "policy" / "postcodes.csv").open("a") as file:
        file.write("DN1,14\nDN1 2,16\n")
    known = forces.load(Settings(policy=tmp_path / "policy"))
    assert known.of_postcode("DN1 1AA") == ("14",)
    assert known.of_postcode("DN1 2AA") == ("16",)


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("postcodes.csv", "QQ,77\n", "forces.csv has not"),
        ("postcodes.csv", "not a prefix,01\n", "breaks its schema"),
        ("forces.csv", "toolong,Name of it\n", "breaks its schema"),
        ("local-authorities.csv", "E06000001,Twice,England,Twice,17\n", "twice"),
        ("local-authorities.csv", "E99999999,Nowhere,England,Nowhere,77\n", "forces.csv has not"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, name: str, row: str, why: str) -> None:
    shutil.copytree(Settings().policy, tmp_path / "policy")
    with (tmp_path / "policy" / name).open("a") as file:
        file.write(row)
    with pytest.raises(SettingsError, match=why):
        forces.load(Settings(policy=tmp_path / "policy"))


def test_rules_check_force_and_facts(tmp_path: Path) -> None:
    assert "grooming" in rules.load(Settings()).report.facts
    assert rules.load(Settings()).force is None
    assert rules.load(Settings(force="42")).force == "42"
    with pytest.raises(SettingsError, match="no code"):
        rules.load(Settings(force="77"))
    shutil.copytree(Settings().policy, tmp_path / "policy")
    path = tmp_path / "policy" / "ingest.yaml"
    path.write_text(path.read_text().replace("infant: infant", "infant: no_such_fact"))
    with pytest.raises(SettingsError, match="no_such_fact"):
        rules.load(Settings(policy=tmp_path / "policy"))
