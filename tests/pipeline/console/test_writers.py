"""The line of writers: one at a time, also between two lines over one folder, and an error does not stop it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.console import writers
from pipeline.console.writers import Writers
from pipeline.errors import BusyError
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


@pytest.mark.parametrize("same", [True, False], ids=["of this process", "of another process"])
def test_who_gets_no_turn_is_told_to_come_again(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """A writer that takes long does not take the threads of all others with it."""
    monkeypatch.setattr(writers, "PATIENCE_SECONDS", 0.05)
    slow = Writers(store, settings.home / "console")
    line = slow if same else Writers(store, settings.home / "console")
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        with slow.session():
            begun.set()
            over.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(60)
    with pytest.raises(BusyError), line.session():
        raise AssertionError("it is not its turn")
    over.set()
    thread.join(60)
    with line.session():
        pass
