"""The pool's interface: order, laziness, recycling, digests, refinement, and what workers need not be told."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import DependencyError
from pipeline.fingerprint.outcome import Digests, Failure, Fingerprint, Item, Reason, Refined, State
from pipeline.fingerprint.sandbox import pool as pools
from pipeline.fingerprint.sandbox.pool import Pool, digest_files, fingerprint_files, refine
from pipeline.locator import Locator
from pipeline.settings import Settings
from tests.pipeline.fingerprint import samples
from tests.pipeline.fingerprint.makers import FAULTY, held_items, items, settings_with, write


def test_digests_in_order(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    content = {f"{n}.bin": bytes([n % 251]) * (n * 37) for n in range(120)}
    locators = [*write(settings, content), Locator("nowhere"), Locator("../outside")]
    found = list(digest_files(settings, locators))
    assert [locator for locator, _ in found] == locators
    for (_, one), data in zip(found, content.values(), strict=False):
        assert one == Digests(
            hashlib.sha256(data).digest(),
            hashlib.md5(data, usedforsecurity=False).digest(),
            hashlib.sha1(data, usedforsecurity=False).digest(),
            len(data),
        )
    assert [one.reason for _, one in found[-2:] if isinstance(one, Failure)] == [Reason.MISSING, Reason.UNREADABLE]


def test_nothing_to_do(tmp_path: Path) -> None:
    assert list(digest_files(settings_with(tmp_path), [])) == []


def test_large_file_earns_time_by_progress(tmp_path: Path) -> None:
    """Reading goes on as long as it goes on; nothing is held in memory for digests."""
    settings = settings_with(tmp_path, heartbeat_mb=1, memory_mb=48)
    data = bytes(60 << 20)
    (locator,) = write(settings, {"big.bin": data})
    ((_, one),) = digest_files(settings, [locator])
    assert isinstance(one, Digests)
    assert one.sha256 == hashlib.sha256(data).digest()


def test_file_beyond_the_size_limit(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, file_gb=1)
    (locator,) = write(settings, {"sparse.bin": b""})
    with (settings.landing_dir / "sparse.bin").open("r+b") as file:
        file.truncate((1 << 30) + 5)
    ((_, one),) = digest_files(settings, [locator])
    assert isinstance(one, Failure)
    assert one.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_number_of_workers_changes_nothing(tmp_path: Path, workers: int) -> None:
    settings = settings_with(tmp_path)
    files = {f"{n}.bin": f"{n}".encode() for n in range(60)}
    asked = held_items(settings, files)
    with Pool(settings, decoder=FAULTY, workers=workers) as pool:
        found = list(pool.fingerprints(asked))
        assert pool.report.workers <= workers
    assert [i for i, _ in found] == asked
    assert all(isinstance(o, Fingerprint) and o.digests.size == len(str(n)) for n, (_, o) in enumerate(found))


def test_input_is_taken_as_it_is_needed(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    locators = write(settings, {f"{n}.bin": b"x" for n in range(50)})
    taken = 0

    def asked() -> Iterator[Locator]:
        nonlocal taken
        for locator in locators:
            taken += 1
            yield locator

    with Pool(settings, decoder=None, workers=2) as pool:
        stream = pool.digests(asked())
        next(stream)
        assert taken <= 4
        stream.close()


def test_waiting_results_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind one slow file at most so many results wait."""
    monkeypatch.setattr(pools, "AHEAD", 5)
    settings = settings_with(tmp_path, wall_seconds=2)
    locators = write(settings, {f"{n}.bin": b"FAULT:sleep" if n == 0 else f"{n}".encode() for n in range(40)})
    with Pool(settings, decoder=FAULTY, workers=2) as pool:
        found = list(pool.fingerprints(items(locators)))
    assert len(found) == 40
    assert found[0][1].reason is Reason.WALL_TIME


def test_workers_are_replaced_after_so_many_files(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, recycle={"files": 10})
    files = {f"{n}.bin": f"{n}".encode() for n in range(50)}
    with Pool(settings, decoder=FAULTY, workers=1) as pool:
        assert all(isinstance(o, Fingerprint) for _, o in pool.fingerprints(held_items(settings, files)))
        assert pool.report.workers == 5
        assert pool.report.deaths == {}


def test_a_worker_has_files_of_one_folder_or_archive_only(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    files = {f"nca/{n // 4}/{n}.bin": f"{n}".encode() for n in range(12)}
    with Pool(settings, decoder=FAULTY, workers=1) as pool:
        list(pool.fingerprints(held_items(settings, files)))
        assert pool.report.workers == 3
        list(pool.digests([Locator(name) for name in files]))
        assert pool.report.workers == 4, "digests of plain files are made without looking into them"


def test_workers_are_replaced_when_they_have_grown(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, recycle={"resident_mb": 1})
    locators = write(settings, {f"{n}.bin": f"{n}".encode() for n in range(5)})
    with Pool(settings, decoder=FAULTY, workers=1) as pool:
        list(pool.fingerprints(items(locators)))
        assert pool.report.workers == 5


def test_fork_server_that_cannot_start(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    with (
        pytest.raises(DependencyError, match="fork server") as raised,
        Pool(settings, decoder="no.such.module:x") as pool,
    ):
        pool.start()
    kept = settings.home / "media-worker-standard-error.txt"
    assert "No module named 'no'" in kept.read_text() and str(kept) in str(raised.value)


def test_root_is_the_only_thing_that_can_be_read(tmp_path: Path) -> None:
    """A locator below the root, but not among what is readable, is not opened."""
    settings = settings_with(tmp_path)
    for name in ("yes", "no"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_bytes(b"content")
    locators = [Locator("yes/a.bin"), Locator("no/a.bin")]
    with Pool(settings, decoder=None, root=tmp_path, readable=[tmp_path / "yes"]) as pool:
        allowed, refused = (one for _, one in pool.digests(locators))
    assert isinstance(allowed, Digests)
    assert isinstance(refused, Failure) and refused.reason is Reason.UNREADABLE


@pytest.fixture(scope="module")
def pictures(real_settings: Settings) -> dict[str, Locator]:
    """A picture, and copies of it: mirrored, cropped at the left, and another picture."""
    scene = Image.fromarray(samples.scene(400, 300, 5))
    made = {
        "whole.png": scene,
        "mirrored.png": scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "cropped.png": scene.crop((20, 0, 400, 300)),
        "other.png": Image.fromarray(samples.scene(400, 300, 6)),
    }
    return dict(zip(made, write(real_settings, {n: samples.encoded(i, "PNG") for n, i in made.items()}), strict=True))


def test_refinement_finds_the_geometry(real_settings: Settings, real_pool: Pool, pictures: dict[str, Locator]) -> None:
    found = {i.locator: o for i, o in fingerprint_files(real_settings, items(list(pictures.values())), pool=real_pool)}
    prints = {name: o for name, loc in pictures.items() if isinstance(o := found[loc], Fingerprint)}
    known = prints["whole.png"].hashes
    unlike = prints["other.png"].hashes
    assert known is not None and unlike is not None
    asked = [
        (pictures[name], prints[name].digests.sha256, pdq)
        for name in ("mirrored.png", "cropped.png", "whole.png")
        for pdq in (known.pdq, unlike.pdq)
    ]
    answers = list(refine(real_settings, asked, pool=real_pool))
    assert all(isinstance(a, Refined) for a in answers)
    refined = [a for a in answers if isinstance(a, Refined)]
    assert [(a.locator, a.sha256, a.known_pdq) for a in refined] == asked
    for near, far in zip(refined[::2], refined[1::2], strict=True):
        assert near.distance <= 31 < far.distance
        assert near.geometry.startswith("known picture")
    assert "mirrored" in refined[0].geometry


def test_refinement_of_what_is_gone(real_settings: Settings, real_pool: Pool, pictures: dict[str, Locator]) -> None:
    """Missing, altered, no picture: a failure each, in the order asked."""
    (text,) = write(real_settings, {"r.txt": b"[synthetic message 3]"})
    digest = hashlib.sha256(b"[synthetic message 3]").digest()
    asked = [
        (Locator("not-there.png"), bytes(32), bytes(32)),
        (pictures["whole.png"], bytes(32), bytes(32)),
        (text, digest, bytes(32)),
    ]
    answers = list(real_pool.refinements(asked))
    assert [a.reason for a in answers if isinstance(a, Failure)] == [Reason.MISSING, Reason.CHANGED, Reason.NOT_MEDIA]


def test_no_personal_data_reaches_the_environment_of_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server gets a clean environment: secrets of the pipeline's own process are not there to be read."""
    from pipeline.fingerprint.sandbox import spawner

    monkeypatch.setenv("TRIAGE_CASES_URL", "secret")
    assert "secret" not in repr(spawner._environment())
    with Pool(settings_with(tmp_path), decoder=None) as pool:
        pool.start()
        assert pool._server is not None
        tree = [p for p in Path("/proc").glob("[0-9]*/environ") if _belongs(p, pool._server._process.pid)]
        assert tree
        assert all(b"secret" not in _content(p) for p in tree)


def _belongs(environ: Path, group: int) -> bool:
    try:
        return int((environ.parent / "stat").read_text().rpartition(")")[2].split()[2]) == group
    except OSError:
        return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_answer_does_not_depend_on_neighbours(real_settings: Settings, real_pool: Pool) -> None:
    """The same file between others, forwards and backwards, has the same fingerprint."""
    locators = write(real_settings, samples.stills())
    forward = {i.locator: o for i, o in real_pool.fingerprints(items(locators))}
    backward = {i.locator: o for i, o in real_pool.fingerprints(items(locators[::-1]))}
    assert forward == backward


def test_pictures_of_a_zip_are_those_of_the_folder(real_settings: Settings, real_pool: Pool) -> None:
    import zipfile

    made = samples.stills()
    with zipfile.ZipFile(real_settings.landing_dir / "same.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in made.items():
            archive.writestr(f"media/{name}", data)
    plain = [o for _, o in real_pool.fingerprints(items(write(real_settings, made)))]
    inside = [o for _, o in real_pool.fingerprints(items([Locator("same.zip", f"media/{n}") for n in made]))]
    assert plain == inside


def test_this_process_decodes_nothing(
    real_pool: Pool, real_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's opener is broken here, and the fingerprints come all the same."""

    def broken(*_: object, **__: object) -> None:
        raise AssertionError("a picture was opened outside the worker")

    monkeypatch.setattr(Image, "open", broken)
    found = list(real_pool.fingerprints(items(write(real_settings, {"x.png": samples.stills()["rgb.png"]}))))
    assert isinstance(found[0][1], Fingerprint)


def test_members_of_unknown_size_share_workers(tmp_path: Path) -> None:
    """What an archive's member may grow to costs no process of its own for each: the limit of the worker leaves room."""
    settings = settings_with(tmp_path)
    with zipfile.ZipFile(settings.landing_dir / "many.zip", "w") as archive:
        for n in range(50):
            archive.writestr(f"{n}.bin", f"{n}".encode())
    with Pool(settings, decoder=FAULTY, workers=1) as pool:
        assert all(
            isinstance(d, Digests) for _, d in pool.digests([Locator("many.zip", f"{n}.bin") for n in range(50)])
        )
        assert pool.report.workers == 1


def test_a_worker_whose_decoder_may_be_in_disorder_is_replaced(
    real_settings: Settings, pictures: dict[str, Locator]
) -> None:
    whole = samples.stills(40, 30)["photo.heic"]
    path = real_settings.landing_dir / "disorder.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(6):
            archive.writestr(f"{n}.heic", whole[: len(whole) * 2 // 3 if n % 2 == 0 else len(whole)])
    places = [Locator("disorder.zip", f"{n}.heic") for n in range(6)]
    try:
        with Pool(real_settings, workers=1) as pool:
            held = [Item(place, found) for place, found in pool.digests(places) if isinstance(found, Digests)]
            before = pool.report.workers
            found = [one for _, one in pool.fingerprints(held)]
            assert pool.report.workers == before + 3
    finally:
        path.unlink()
    assert [getattr(one, "state", None) is State.HASHED for one in found] == [False, True] * 3
