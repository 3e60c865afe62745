"""The `hashset` commands, as an operator uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hashsets.cli import hashset
from pipeline.errors import TriageError, UsageError
from pipeline.settings import Settings
from tests.hashsets import samples
from tests.hashsets.samples import media


def run(settings: Settings, *arguments: str) -> str:
    result = CliRunner().invoke(hashset, list(arguments), obj=settings, catch_exceptions=True)
    if isinstance(result.exception, TriageError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(run(settings, *arguments, "--format", "json"))


def test_import_release_diff_conflicts_withdraw_export(tmp_path: Path, settings: Settings) -> None:
    one = samples.vics(tmp_path / "one.json", [media(1), media(2), media(3, MD5="zz", SHA1=None)])
    [imported] = rows(settings, "import", "--source", "project_vic", str(one))
    assert (imported["read"], imported["kept"], imported["rejected"], imported["release"]) == (3, 2, 1, 1)
    two = samples.vics(tmp_path / "two.json", [media(1, Category="A"), media(4, Category="A")], country="UK")
    rows(settings, "import", "--source", "caid", str(two), "--by", "a person")
    assert [r["release"] for r in rows(settings, "releases")] == [2, 1]
    changed = {r["sha1"]: r["change"] for r in rows(settings, "diff", "1", "2")}
    assert changed == {samples.digest("sha1", 1): "regraded", samples.digest("sha1", 4): "new"}
    assert rows(settings, "conflicts") == []
    [gone] = rows(settings, "withdraw", "--source", "caid", "--sha1", samples.digest("sha1", 4), "--reason", "wrong")
    assert gone["withdrawn"] == 1
    target = tmp_path / "out.json"
    assert "1 entries of caid" in run(settings, "export", "--source", "caid", "--output", str(target))
    assert json.loads(target.read_text())["value"][0]["SHA1"] == samples.digest("sha1", 1).upper()
    assert "is sound" in run(settings, "verify")
    rejects = tmp_path / "rejects.csv"
    run(settings, "rejects", imported["import"], "--output", str(rejects))
    assert "3,row,md5,wrong_length,zz" in rejects.read_text()
    named = {r["source"]: r for r in rows(settings, "sources")}
    assert (named["project_vic"]["entries"], named["caid"]["entries"]) == (2, 1)
    assert rows(settings, "detect", str(one))[0]["format"] == "vics"


def test_a_file_needs_a_source(tmp_path: Path, settings: Settings) -> None:
    one = samples.vics(tmp_path / "one.json", [media(1)])
    with pytest.raises(UsageError, match="Whose files"):
        run(settings, "import", str(one))
    with pytest.raises(UsageError, match="not declared"):
        run(settings, "import", "--source", "nobody", str(one))


def test_an_import_can_be_discarded_until_a_release_has_it(tmp_path: Path, settings: Settings) -> None:
    one = samples.vics(tmp_path / "one.json", [media(1)])
    [imported] = rows(settings, "import", "--source", "project_vic", str(one), "--no-release")
    assert imported["release"] is None
    assert "Discarded" in run(settings, "discard", imported["import"])
    assert rows(settings, "imports") == []
    rows(settings, "import", "--source", "project_vic", str(one))
    with pytest.raises(UsageError, match="part of a release"):
        run(settings, "discard", imported["import"])


def test_the_checkpoint_moves_when_the_last_page_is_in(tmp_path: Path, settings: Settings) -> None:
    def checkpoint() -> str | None:
        return next(r["checkpoint"] for r in rows(settings, "sources") if r["source"] == "ncmec")

    old, new = "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"
    one = samples.ncmec(tmp_path / "1.xml", samples.ncmec_entry(1, stamp=old), stamp=old)
    rows(settings, "import", "--source", "ncmec", str(one))
    assert checkpoint() == old
    entry = samples.ncmec_entry(2, stamp=new)
    first = samples.ncmec(tmp_path / "2.xml", entry, stamp=new, next_="/v2/entries?start=1&amp;size=1")
    rows(settings, "import", "--source", "ncmec", str(first))
    assert checkpoint() == old
    last = samples.ncmec(tmp_path / "3.xml", samples.ncmec_entry(3, stamp=old), stamp=new)
    rows(settings, "import", "--source", "ncmec", str(last))
    assert checkpoint() == new


def test_a_landed_file_that_is_refused_is_named_with_its_reason(tmp_path: Path, settings: Settings) -> None:
    folder = settings.landing_dir / "hashsets" / "project_vic"
    folder.mkdir(parents=True)
    samples.vics(folder / "good.json", [media(1)])
    (folder / "bad.json").write_text("{")
    result = CliRunner().invoke(hashset, ["import", "--format", "json"], obj=settings)
    assert result.exit_code == 0, result.output
    assert "project_vic/bad.json was not imported. bad.json is not a known hash-set format" in result.stderr
    assert [r["file"] for r in rows(settings, "imports")] == ["good.json"]
