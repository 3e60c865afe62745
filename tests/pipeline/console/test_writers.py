"""The line of writers: one at a time, also between two lines over one folder, and an error does not stop it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.console.writers import Writers
from pipeline.settings import Settings
from pipeline.store.opening import Store, open_store


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings)
    yield opened
    opened.close()


def test_two_lines_of_one_folder_let_one_writer_in_at_a_time(store: Store, settings: Settings) -> None:
    lines = [Writers(store, settings.home / "console") for _ in range(2)]
    inside, most, done = 0, 0, []
    guard = threading.Lock()

    def write(line: Writers) -> None:
        nonlocal inside, most
        for _ in range(10):
            with line.session():
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1
        done.append(line)

    threads = [threading.Thread(target=write, args=(lines[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 8
    assert most == 1


def test_an_error_in_a_turn_hands_on_the_turn(store: Store, settings: Settings) -> None:
    line = Writers(store, settings.home / "console")
    with pytest.raises(ValueError, match="mine"), line.session():
        raise ValueError("mine")
    with line.session():
        pass
