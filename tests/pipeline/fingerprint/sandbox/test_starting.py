"""A start is waited for as long as it works; one that does nothing, or works without end, is given up."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.fingerprint.sandbox import starting


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[socket.socket, socket.socket]]:
    monkeypatch.setattr(starting, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(starting, "IDLE_SECONDS", 0.03)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_work_is_waited_for_beyond_any_idle_limit_and_said_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    said: list[str] = []
    count = itertools.count(1)

    def spent() -> float:
        now = next(count)
        if now == 20:
            theirs.send(b"ready")
        return float(now)

    assert starting.answer(ours, 10, spent, lambda: said.append("compiling")) == b"ready"
    assert said == ["compiling"]


def test_a_start_that_does_nothing_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError, match="did nothing"):
        starting.answer(pair[0], 10, lambda: 7.0, lambda: None)


def test_a_start_without_end_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    count = itertools.count(start=0, step=50)
    with pytest.raises(TimeoutError, match="CPU seconds"):
        starting.answer(pair[0], 10, lambda: float(next(count)), lambda: None)


def test_one_that_has_ended_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    assert starting.answer(pair[0], 10, lambda: 0.0, lambda: None) == b""


def test_work_of_everything_below_counts(tmp_path: Path) -> None:
    def stat(pid: int, parent: int, *ticks: int) -> None:
        (tmp_path / str(pid)).mkdir()
        fields = ["S", str(parent), *["0"] * 9, *map(str, ticks)]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (strange) name) {' '.join(fields)} 0")

    for pid, parent in ((5, 1), (6, 5), (7, 6), (8, 1)):
        stat(pid, parent, 100, 20, 3, 0)
    (tmp_path / "self").mkdir()
    (tmp_path / "9").mkdir()  # ended while it was looked at
    ticks = os.sysconf("SC_CLK_TCK")
    assert starting.cpu_seconds(5, tmp_path) == pytest.approx(3 * 123 / ticks)
    assert starting.cpu_seconds(99, tmp_path) == 0.0
    assert starting.cpu_seconds(os.getpid()) > 0.0
