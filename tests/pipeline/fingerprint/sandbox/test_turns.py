"""Which file a worker gets next."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprint.sandbox.jobs import Job, Request
from pipeline.fingerprint.sandbox.turns import Turns
from pipeline.locator import Locator


def jobs(packages: list[int], kind: str = "fingerprint") -> Iterator[Job[int]]:
    for number, package in enumerate(packages):
        yield Job(number, number, Request(kind, Locator(f"nca/{package}/{number}.jpg")))


def group(package: int) -> str:
    return f"nca/{package}"


def test_a_package_stays_with_the_worker_that_has_begun_it() -> None:
    turns = Turns(jobs([1, 1, 1, 2, 2]))
    first = turns.take([], [])
    other = turns.take([], [group(1)])
    assert first is not None and other is not None and (first.number, other.number) == (0, 3)
    following = [turns.take([group(package)], [group(3 - package)]) for package in (1, 2, 1)]
    assert [job and job.number for job in following] == [1, 4, 2]
    assert turns.take([group(1)], []) is None


def test_a_large_package_is_shared_and_what_has_waited_is_next() -> None:
    turns = Turns(jobs([1] * 70 + [2]), window=8)
    assert [turns.take([], [group(1)]).number for _ in range(3)] == [0, 1, 2]  # type: ignore[union-attr]


def test_digests_of_plain_files_are_taken_in_order() -> None:
    source = jobs([1, 1, 2, 3], "digest")
    turns = Turns(source)
    assert [turns.take([], [""]).number for _ in range(2)] == [0, 1]  # type: ignore[union-attr]
    assert next(source).number == 2, "nothing is taken before it is needed"


@given(st.lists(st.integers(0, 4), max_size=80), st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_job_has_its_turn_once_and_none_waits_longer_than_the_window(packages, window, random) -> None:  # type: ignore[no-untyped-def]
    turns = Turns(jobs(packages), window)
    taken: list[int] = []
    while True:
        states = [[], []]  # type: list[list[str]]
        for package in range(5):
            states[random.randint(0, 1)].append(group(package))
        job = turns.take(*states)
        if job is None:
            break
        waiting = min(set(range(len(packages))) - set(taken))
        assert job.number < waiting + window
        taken.append(job.number)
    assert sorted(taken) == list(range(len(packages)))
