"""The landing folder of hash sets: what lies there is imported or refused by name, and costs nothing else its import."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashsets.importing import importer, landing
from hashsets.importing.importer import import_file
from hashsets.sources import load
from pipeline.contract import run_dir
from pipeline.errors import InputError
from pipeline.settings import Settings
from tests.factory import AS_OF, NIGHT
from tests.hashsets import samples


def outcomes(settings: Settings) -> dict[str, dict[str, str]]:
    """What was said of each file; a sound one of another source lies beside it and is imported."""
    good = settings.landing_dir / "hashsets" / "demo"
    good.mkdir(parents=True)
    samples.vics(good / "good.json", [samples.media(1)])
    report = landing.import_landing(settings, NIGHT)
    assert report.balanced
    said = json.loads((run_dir(settings, NIGHT.run_id) / "hashsets.json").read_bytes())
    found = {outcome["file"]: outcome for outcome in said}
    assert found.pop("good.json")["state"] == "imported"
    return found


def test_a_link_a_pipe_and_a_name_that_is_no_text_are_refused(settings: Settings, tmp_path: Path) -> None:
    folder = settings.landing_dir / "hashsets" / "caid"
    folder.mkdir(parents=True)
    private = tmp_path / "private"
    private.write_text("what nobody may read")
    (folder / "link.json").symlink_to(private)
    os.mkfifo(folder / "pipe.json")
    path = samples.vics(folder / "a.json", [samples.media(2)])
    path.rename(os.fsdecode(os.fsencode(folder) + b"/l\xff.json"))
    samples.vics(folder / "sound.json", [samples.media(3)])
    found = outcomes(settings)
    assert {name: outcome["state"] for name, outcome in found.items()} == {
        "link.json": "failed",
        "pipe.json": "failed",
        "l\\xff.json": "failed",
        "sound.json": "imported",
    }
    assert "links are not followed" in found["link.json"]["reason"]
    assert "a pipe" in found["pipe.json"]["reason"]
    assert "no UTF-8 text" in found["l\\xff.json"]["reason"]
    assert "nobody" not in json.dumps(found), "a refusal quotes nothing of what a link leads to"


def test_what_lies_deeper_or_in_no_source_s_folder_is_named(settings: Settings) -> None:
    """A set in a folder of its own was passed over, and nothing said so; nor of one that was put one folder too high."""
    folder = settings.landing_dir / "hashsets" / "caid"
    (folder / "2026-11" / "deep").mkdir(parents=True)
    samples.vics(folder / "2026-11" / "deep" / "a.json", [samples.media(2)])
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    samples.vics(folder / ".hidden" / "b.json", [samples.media(3)])
    samples.vics(folder.parent / "loose.json", [samples.media(4)])
    samples.vics(folder.parent / "loose.json.part", [samples.media(5)])
    found = outcomes(settings)
    assert {(x["source"], name, x["state"]) for name, x in found.items()} == {
        ("caid", "2026-11", "failed"), (".", "loose.json", "failed"),
    }  # fmt: skip
    assert "what lies in it is not read" in found["2026-11"]["reason"]
    assert "no source's folder" in found["loose.json"]["reason"]


@pytest.mark.parametrize("name", ["caid/closed", "closed"])
def test_a_folder_that_may_not_be_looked_into_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also that of a source: the others are imported."""
    closed = settings.landing_dir / "hashsets" / name
    closed.mkdir(parents=True)
    listing = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert outcomes(settings)["closed"]["state"] == "failed"


def test_a_graph_nested_as_deeply_as_its_parser_lets_through(settings: Settings) -> None:
    folder = settings.landing_dir / "hashsets" / "caid"
    folder.mkdir(parents=True)
    context = '{"@context":{"uco":"https://ontology.unifiedcyberontology.org/uco/core/"}}'
    (folder / "deep.jsonld").write_text(f"[{context},{'[' * 1000}{']' * 1000}]")
    assert outcomes(settings)["deep.jsonld"]["state"] == "imported"


def test_a_pipe_that_a_person_names_is_not_waited_for(settings: Settings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="a pipe"):
        import_file(settings, tmp_path / "pipe.json", load(settings).source("caid"), loaded_at=AS_OF, loaded_by="t")
    assert importer.all_imports(settings) == []
