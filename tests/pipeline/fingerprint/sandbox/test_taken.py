"""The worker assumed to be taken over: it can spoil its own package's files by name, and nothing else at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fingerprint.outcome import Failure, Fingerprint, Item, Reason
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import Settings
from tests.pipeline.fingerprint.makers import digests_of, held_items, settings_with, write
from tests.pipeline.fingerprint.sandbox.taken import JUNK

TAKEN = "tests.pipeline.fingerprint.sandbox.taken:decode"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_with(tmp_path_factory.mktemp("taken"))


@pytest.fixture(scope="module")
def pool(settings: Settings) -> Iterator[Pool]:
    with Pool(settings, decoder=TAKEN, workers=1) as one:
        yield one


def batch(lie: str) -> dict[str, bytes]:
    return {
        "nca/evil/1.bin": f"EVIL:{lie} ".encode(),
        "nca/evil/2.bin": b"of the same package",
        "nca/good/1.bin": b"of another package",
        "nca/good/2.bin": b"of another package too",
    }


@pytest.mark.parametrize("lie", ["forge", "other_content", "other_size"])
def test_one_package_cannot_speak_for_another(settings: Settings, pool: Pool, lie: str) -> None:
    """What a taken-over worker says of the next sender's files: it is never asked."""
    files = batch(lie)
    found = [outcome for _, outcome in pool.fingerprints(held_items(settings, files))]
    assert all(isinstance(f, Fingerprint) for f in found[2:])
    assert [f.hashes for f in found[2:] if isinstance(f, Fingerprint)] != [JUNK, JUNK]
    for outcome, data in zip(found, files.values(), strict=True):
        assert outcome.digests == digests_of(data), "the digests of an answer are those that were held"


@pytest.mark.parametrize("lie", ["other_content", "other_size"])
def test_an_answer_for_another_file_ends_the_worker(settings: Settings, pool: Pool, lie: str) -> None:
    """Within the package too: the lie is rubbish, and the file is done by a fresh worker."""
    files = batch(lie)
    before = pool.report.workers
    found = [outcome for _, outcome in pool.fingerprints(held_items(settings, files))]
    assert isinstance(found[1], Fingerprint) and found[1].hashes != JUNK
    assert pool.report.workers - before >= 3, (
        "one for the evil file, one in place of the liar, one for the other package"
    )


def test_files_that_nobody_has_digested_get_a_process_each(settings: Settings, pool: Pool) -> None:
    """Without digests from before nothing could be compared: MD5 and SHA-1 cannot be forged either."""
    files = batch("forge")
    found = [outcome for _, outcome in pool.fingerprints([Item(loc, variants=False) for loc in write(settings, files)])]
    assert [f.digests for f in found] == [digests_of(data) for data in files.values()]
    assert all(isinstance(f, Fingerprint) and f.hashes != JUNK for f in found)


def test_digests_are_made_by_who_has_decoded_nothing(settings: Settings, pool: Pool) -> None:
    files = batch("forge")
    locators = write(settings, files)
    list(pool.fingerprints(held_items(settings, files)[:1]))
    assert [d for _, d in pool.digests(locators)] == [digests_of(data) for data in files.values()]


def test_text_beyond_the_alphabet_does_not_get_out(settings: Settings, pool: Pool) -> None:
    (locator,) = write(settings, {"nca/leak/1.bin": b"EVIL:leak "})
    ((_, outcome),) = pool.fingerprints([Item(locator, variants=False)])
    assert isinstance(outcome, Failure) and outcome.reason is Reason.RUBBISH


def test_a_small_file_cannot_hold_a_worker_by_ticks(settings: Settings, pool: Pool) -> None:
    """A tick has to be for bytes that the file has: the first false one is rubbish."""
    (locator,) = write(settings, {"nca/hold/1.bin": b"EVIL:hold "})
    ((_, outcome),) = pool.fingerprints([Item(locator, variants=False)])
    assert isinstance(outcome, Failure) and outcome.reason is Reason.RUBBISH
    assert outcome.detail == "ticks"


def test_processor_time_ends_at_a_hard_limit(tmp_path: Path) -> None:
    """A decoder that ignores the soft limit is killed by the kernel, long before the wall clock."""
    settings = settings_with(
        tmp_path, wall_seconds=600, cpu_seconds=1, recycle={"cpu_seconds": 2}, video={"cpu_seconds": 1}
    )
    (locator,) = write(settings, {"nca/burn/1.bin": b"EVIL:burn "})
    with Pool(settings, decoder=TAKEN, workers=1) as one:
        ((_, outcome),) = one.fingerprints([Item(locator, variants=False)])
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.detail) == (Reason.CPU_TIME, "SIGKILL")
