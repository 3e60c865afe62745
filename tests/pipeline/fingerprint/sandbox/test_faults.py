"""A decoder that dies, hangs, grows or lies costs one file: every other file of the batch keeps its fingerprint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fingerprint.outcome import Failure, Fingerprint, Reason
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.settings import Settings
from tests.pipeline.fingerprint.makers import FAULTY, held_items, items, settings_with, write
from tests.pipeline.fingerprint.sandbox.faulty import HARMLESS, QUICK, SLOW

BATCH = 9
ROUNDS = 5
"""Each quick fault in each of three places, so often: 225 runs with one planted fault."""


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_with(tmp_path_factory.mktemp("faults"), wall_seconds=60, cpu_seconds=1, memory_mb=96)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """For what never ends and uses no processor time."""
    return settings_with(tmp_path_factory.mktemp("hasty"), wall_seconds=4)


@pytest.fixture(scope="module")
def pool(tight: Settings) -> Iterator[Pool]:
    with Pool(tight, decoder=FAULTY) as made:
        yield made


def good(name: str) -> bytes:
    return f"good file {name}".encode()


def batch(settings: Settings, faults: dict[int, str], size: int = BATCH) -> dict[str, bytes]:
    return {
        f"{number:04}.bin": f"FAULT:{faults[number]} {number}".encode() if number in faults else good(str(number))
        for number in range(size)
    }


def run(pool: Pool, files: dict[str, bytes]) -> list[Fingerprint | Failure]:
    return [outcome for _, outcome in pool.fingerprints(items(write(pool.settings, files)))]


@pytest.fixture(scope="module")
def clean(tight: Settings) -> dict[str, Fingerprint | Failure]:
    """Outcome of each good file when there is no bad one."""
    with Pool(tight, decoder=FAULTY, workers=1) as one:
        files = batch(tight, {}, 400)
        return dict(zip(files, run(one, files), strict=True))


def check(
    outcomes: list[Fingerprint | Failure], faults: dict[int, str], clean: dict[str, Fingerprint | Failure]
) -> None:
    for number, outcome in enumerate(outcomes):
        if number not in faults:
            assert outcome == clean[f"{number:04}.bin"]
        elif faults[number] in HARMLESS:
            assert isinstance(outcome, Fingerprint)
        else:
            assert isinstance(outcome, Failure)
            assert outcome.reason in {**QUICK, **SLOW}[faults[number]]
            assert outcome.digests is not None, "the digests were made before the decoder died"


@pytest.mark.parametrize("place", [0, BATCH // 2, BATCH - 1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("fault", [*QUICK, *HARMLESS])
def test_one_fault_costs_one_file(pool: Pool, clean: dict[str, Fingerprint | Failure], fault: str, place: int) -> None:
    for _ in range(ROUNDS):
        check(run(pool, batch(pool.settings, {place: fault})), {place: fault}, clean)


@pytest.mark.parametrize("place", [0, BATCH - 1], ids=["first", "last"])
@pytest.mark.parametrize("fault", ["loop", "memory"])
def test_what_the_kernel_ends(pool: Pool, clean: dict[str, Fingerprint | Failure], fault: str, place: int) -> None:
    check(run(pool, batch(pool.settings, {place: fault})), {place: fault}, clean)


@pytest.mark.parametrize("place", [0, BATCH - 1], ids=["first", "last"])
@pytest.mark.parametrize("fault", ["sleep", "stop"])
def test_what_the_deadline_ends(
    hasty: Settings, clean: dict[str, Fingerprint | Failure], fault: str, place: int
) -> None:
    with Pool(hasty, decoder=FAULTY) as one:
        check(run(one, batch(hasty, {place: fault})), {place: fault}, clean)


@pytest.mark.parametrize("workers", [1, 3])
def test_storm(tight: Settings, clean: dict[str, Fingerprint | Failure], workers: int) -> None:
    """One file in ten is bad, each in another way."""
    kinds = [*QUICK, *HARMLESS, "memory"]
    faults = {number: kinds[(number // 10) % len(kinds)] for number in range(5, 400, 10)}
    with Pool(tight, decoder=FAULTY, workers=workers) as stormy:
        check(run(stormy, batch(tight, faults, 400)), faults, clean)
        assert sum(stormy.report.deaths.values()) > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_package_of_such_files_is_given_up_and_the_next_is_not(tmp_path: Path, workers: int) -> None:
    """Each file may take all its time, and twenty thousand of them all of the night."""
    few = settings_with(tmp_path, package_faults=4)
    bad = {f"other/bad/{number % 3}/{number:03}.bin": f"FAULT:segv {number}".encode() for number in range(30)}
    bad["other/bad/0/000.bin"], bad["other/bad/2/029.bin"] = good("first"), good("last")
    sound = {f"other/sound/{number}.bin": good(str(number)) for number in range(5)}
    with Pool(few, decoder=FAULTY, workers=workers) as one:
        found = [outcome for _, outcome in one.fingerprints(held_items(few, {**bad, **sound}))]
    reasons = [outcome.reason for outcome in found]
    assert reasons == [Reason.NONE, *[Reason.CRASHED] * 4, *[Reason.PACKAGE_FAULTS] * 25, *[Reason.NONE] * 5]
    assert all(outcome.digests is not None for outcome in found), "what was made before any decoding is kept"


def test_deaths_and_output_are_counted(tight: Settings) -> None:
    with Pool(tight, decoder=FAULTY, workers=1) as one:
        run(one, batch(tight, {1: "segv", 2: "exit_code", 3: "prints"}, 5))
        assert one.report.deaths == {"SIGSEGV": 2, "exit.3": 2}, "each bad file was given a second worker"
        assert 0 < one.report.stderr_bytes <= one.policy["limits"]["stderr_bytes"], "the rest is dropped"
        assert one.report.workers == 7, "a process for each of five files, and for each second try"


def test_nothing_is_left_running(hasty: Settings) -> None:
    with Pool(hasty, decoder=FAULTY) as one:
        run(one, batch(hasty, {0: "hang_up", 4: "sleep"}))
        server = one._server
        assert server is not None
        group = server._process.pid
    assert not Path(f"/proc/{group}").exists()
    assert not [p for p in Path("/proc").glob("[0-9]*/stat") if _session(p) == group]


def _session(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def test_lost_fork_server(tight: Settings, clean: dict[str, Fingerprint | Failure]) -> None:
    """Somebody kills the fork server and all workers in the middle: the files are done by the next."""
    files = batch(tight, {}, 60)
    locators = write(tight, files)
    with Pool(tight, decoder=FAULTY) as one:
        outcomes = []
        for number, (_, outcome) in enumerate(one.fingerprints(items(locators))):
            outcomes.append(outcome)
            if number in (10, 30):
                assert one._server is not None
                one._server._process.kill()
                one._server._process.wait()
        check(outcomes, {}, clean)


def test_reader_stops_early(pool: Pool, clean: dict[str, Fingerprint | Failure]) -> None:
    """A caller that takes three results and leaves does not disturb the next."""
    locators = write(pool.settings, batch(pool.settings, {}))
    stream = pool.fingerprints(items(locators))
    for _ in range(3):
        next(stream)
    stream.close()
    check(run(pool, batch(pool.settings, {4: "segv"})), {4: "segv"}, clean)


def test_reasons_are_told_apart(tight: Settings) -> None:
    with Pool(tight, decoder=FAULTY, workers=1) as one:
        found = run(one, batch(tight, {0: "loop", 1: "abort", 2: "exit", 3: "rubbish", 4: "memory"}, 5))
    assert [(f.reason, f.detail) for f in found if isinstance(f, Failure)] == [
        (Reason.CPU_TIME, "SIGXCPU"),
        (Reason.CRASHED, "SIGABRT"),
        (Reason.EXITED, "exit.0"),
        (Reason.RUBBISH, found[3].detail),
        (Reason.MEMORY, "MemoryError"),
    ]


def test_this_process_has_not_changed(pool: Pool) -> None:
    """The parent is not confined by what confines its workers."""
    assert os.fork is not None
    assert os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1] == 0
