"""The manifest of a release: every file with its SHA-256, each byte of an index hashed once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hashsets.release import indexing, manifest
from pipeline import files
from pipeline.errors import IntegrityError
from pipeline.settings import Settings
from tests.hashsets import samples


def known(name: int) -> dict[str, Any]:
    """A media item with a PDQ hash, as VICS has it."""
    md5, value = samples.digest("md5", name).upper(), samples.digest("sha256", name)
    return samples.media(name, AlternativeHashes=[{"MD5": md5, "HashName": "PDQ", "HashValue": value}])


def test_arrays_of_an_index_are_listed_as_they_were_hashed_when_written(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = files.sha256

    def counted(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(files, "sha256", counted)
    release = samples.give(settings, tmp_path, "project_vic", [known(i) for i in range(10)])
    arrays = indexing.written(release.folder)
    assert len(arrays) >= 6 and not {Path(name).name for name in arrays} & set(read[: read.index("manifest.json")])
    listed = json.loads((release.folder / manifest.NAME).read_text())["files"]
    for name, entry in listed.items():
        content = (release.folder / name).read_bytes()
        assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_an_array_of_another_size_than_was_written_ends_the_build(tmp_path: Path, settings: Settings) -> None:
    release = samples.give(settings, tmp_path, "project_vic", [known(1)])
    arrays = indexing.written(release.folder)
    name = next(iter(arrays))
    copy = tmp_path / "copy" / name
    copy.parent.mkdir(parents=True)
    copy.write_bytes((release.folder / name).read_bytes()[:-8])
    with pytest.raises(IntegrityError, match=r"has \d+ bytes instead of \d+"):
        manifest.write(tmp_path / "copy", {}, arrays)
