"""Publishing under faults at every system call, flipped bits in every file, and killed builds."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hashsets.release import building, manifest, publishing, releases
from pipeline.errors import ConflictError, IntegrityError, UsageError
from pipeline.settings import ROOT, Settings
from tests import faults
from tests.hashsets import samples
from tests.hashsets.samples import media


def two_releases(folder: Path, settings: Settings) -> None:
    """Release 1 published, release 2 built and waiting. Both have an index."""

    def pdq(i: int) -> list[dict[str, str]]:
        return [{"HashName": "PDQ", "HashValue": samples.digest("pdq", i)}]

    samples.give(settings, folder, "project_vic", [media(i, AlternativeHashes=pdq(i)) for i in range(4)])
    path = samples.vics(folder / "second.json", [media(9, AlternativeHashes=pdq(9))])
    samples.take(settings, path, "project_vic", release=False)
    building.build_release(settings, samples.night(settings))


@pytest.mark.parametrize("fault", ["signal=SIGKILL", "error=ENOSPC", "error=EIO"])
@pytest.mark.parametrize("syscall", ["write", "fsync", "/rename", "openat", "close"])
def test_a_publish_with_a_fault_at_any_call_leaves_the_old_or_the_new_release(
    syscall: str, fault: str, tmp_path: Path, prepared: Settings, looked: set[str]
) -> None:
    settings = replace(prepared, home=tmp_path / "home")
    before, left = contents(prepared.home), ""
    untouched = everything_in(prepared.home, before)
    tried = 0
    for when in range(1, 80):
        if left != untouched:  # else the home is still what was copied, file for file
            shutil.rmtree(settings.home, ignore_errors=True)
            shutil.copytree(prepared.home, settings.home, symlinks=True)
        status, _ = faults.met(lambda: publishing.publish(settings), [syscall], fault, when)
        left = everything_in(settings.home, before)
        if left not in looked:
            release = releases.current(settings)
            assert release.number in {1, 2}
            assert release.describe([1]).num_rows == 1
            publishing.publish(settings)
            assert releases.current(settings).number == 2
            looked.add(left)
            left = ""
        tried += 1
        if status == 0:
            break
    assert tried > 1, "no call of this kind was met"


def contents(home: Path) -> dict[Path, bytes]:
    """Every file below a home, by its path from there."""
    return {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def everything_in(home: Path, before: dict[Path, bytes]) -> str:
    """SHA-256 of every path below a home with its kind, mode and content; what is `before` byte for byte is not digested again."""
    whole = hashlib.sha256()
    for path in sorted(home.rglob("*")):
        status, name = path.lstat(), path.relative_to(home)
        content = (
            path.readlink().as_posix().encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        )
        kept = not path.is_symlink() and content == before.get(name)
        whole.update(f"{name}\0{status.st_mode}\0{kept}\0{len(content)}\0".encode() + (b"" if kept else content))
    return whole.hexdigest()


@pytest.fixture(scope="module")
def looked() -> set[str]:
    """Homes, by their content, that a fault left and that were found good: most faults come before the first write, and what a
    reader and a second publish find depends on nothing but the files."""
    if not faults.possible():
        pytest.skip("faults cannot be injected: no seccomp listener can be made here")
    return set()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("prepared")
    settings = Settings(home=folder / "home", threads=1)
    two_releases(folder, settings)
    return settings


def test_of_a_thousand_flipped_bits_every_one_is_refused_before_use(tmp_path: Path, prepared: Settings) -> None:
    settings = replace(prepared, home=tmp_path / "home")
    shutil.copytree(prepared.home, settings.home)
    publishing.publish(settings)
    folder = settings.releases_dir
    files = sorted(p for p in (folder / "2").rglob("*") if p.is_file() and p.stat().st_size)
    files += [folder / "CURRENT", folder / "2.json"]
    assert {"hashsets.duckdb", "manifest.json", "CURRENT", "2.json", "ids.u8", "reduced.u16"} <= {p.name for p in files}
    chance = random.Random(7)
    for i in range(1000):
        path = files[i % len(files)]
        size = path.stat().st_size
        with path.open("r+b") as file:
            at = chance.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            flipped = byte ^ (1 << chance.randrange(8))
            file.seek(at)
            file.write(bytes([flipped]))
        with pytest.raises(IntegrityError):
            releases.open_release(settings, 2) if path.name == "2.json" else releases.current(settings)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([byte]))
    assert releases.current(settings).number == 2


def test_foreign_and_missing_files_are_refused(tmp_path: Path, prepared: Settings) -> None:
    settings = replace(prepared, home=tmp_path / "home")
    shutil.copytree(prepared.home, settings.home)
    stray = settings.releases_dir / "1" / "hashsets.duckdb.wal"
    stray.write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"foreign files: hashsets.duckdb.wal"):
        releases.current(settings)
    stray.unlink()
    (settings.releases_dir / "1" / "index" / "pdq" / "manifest.json").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        releases.current(settings)


def test_a_verified_file_is_not_read_again_until_it_changes(
    tmp_path: Path, prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.current(prepared)
    read: list[Path] = []
    monkeypatch.setattr(manifest.files, "sha256", lambda path: read.append(path) or "")
    releases.current(prepared)
    assert read == []
    manifest.forget()
    with pytest.raises(IntegrityError):
        releases.current(prepared)
    manifest.forget()


def test_a_killed_build_leaves_the_current_release_and_the_next_build_is_clean(
    tmp_path: Path, prepared: Settings
) -> None:
    settings = replace(prepared, home=tmp_path / "home")
    shutil.copytree(prepared.home, settings.home)
    shutil.rmtree(settings.releases_dir / "2")
    code = (
        "import sys; from pathlib import Path; from pipeline.settings import Settings; from hashsets.release import building;"
        "from tests.hashsets import samples; s = Settings(home=Path(sys.argv[1]), threads=1);"
        "building.run(s, samples.night(s))"
    )
    for delay in (0.02, 0.2):
        process = subprocess.Popen([sys.executable, "-c", code, str(settings.home)], cwd=ROOT)
        while process.poll() is None and not list(settings.releases_dir.glob(".tmp-*")):
            time.sleep(0.005)
        time.sleep(delay)
        process.kill()
        process.wait()
        assert releases.current(settings).number in {1, 2}
    building.run(settings, samples.night(settings))
    release = releases.current(settings)
    assert release.number == 2
    assert samples.keys(release, 9) == [5]
    assert not list(settings.releases_dir.glob(".tmp-*"))


def test_only_one_process_builds(prepared: Settings) -> None:
    with building.locked(prepared), pytest.raises(ConflictError), building.locked(prepared):
        pass


def test_releases_beyond_the_policy_are_removed_and_pinned_ones_kept(tmp_path: Path, settings: Settings) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(settings.policy, policy)
    text = (policy / "hashsets.yaml").read_text()
    (policy / "hashsets.yaml").write_text(text.replace("keep: 5", "keep: 2").replace("pinned: []", "pinned: [1]"))
    settings = replace(settings, policy=policy)
    for i in range(4):
        samples.give(settings, tmp_path, "project_vic", [media(i)])
    assert sorted(p.name for p in settings.releases_dir.iterdir() if p.is_dir()) == ["1", "3", "4"]
    assert releases.open_release(settings, 1).number == 1
    with pytest.raises(UsageError, match="not kept"):
        releases.open_release(settings, 2)
