"""Waiting for a process that starts: for as long as it works, however long a busy machine takes for it.

The first start on a kind of processor compiles the kernels, which is 15 CPU seconds; on a machine that is busy with other
work they can take minutes. So the limit is not on the time that passes, but on the time without any work, and on the work.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY = 5.0
"""Seconds between two looks at how much work was done."""
IDLE_SECONDS = 120.0
"""A start that has used no CPU time for so long hangs."""
CPU_SECONDS = 300.0
"""A start that has used so much CPU time does not end."""
SAY_AFTER = 2
"""Looks after which somebody who waits is told why: loading alone takes about two seconds."""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int, proc: Path = Path("/proc")) -> float:
    """CPU seconds of a process and everything below it, ended children that it has collected included; 0 when it is gone."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            parents[int(folder.name)] = int(words[1])
            used[int(folder.name)] = sum(map(int, words[11:15])) / _TICKS
    below, found = {pid}, {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below} - found
        found |= below
    return sum(used.get(one, 0.0) for one in found)


def answer(channel: socket.socket, size: int, spent: Callable[[], float], say: Callable[[], None]) -> bytes:
    """What a starting process sends first. `spent`: its CPU seconds so far; `say` is called once, if it takes long.

    Raises TimeoutError when it does no work for IDLE_SECONDS, or has used CPU_SECONDS without an answer.
    """
    channel.settimeout(LOOK_EVERY)
    before, idle, looks = 0.0, 0.0, 0
    while True:
        try:
            return channel.recv(size)
        except TimeoutError:
            looks += 1
        if looks == SAY_AFTER:
            say()
        now = spent()
        idle = 0.0 if now > before else idle + LOOK_EVERY
        before = max(before, now)
        if idle >= IDLE_SECONDS:
            raise TimeoutError(f"it did nothing for {IDLE_SECONDS:.0f} seconds")
        if now >= CPU_SECONDS:
            raise TimeoutError(f"it has used {now:.0f} CPU seconds and is not ready")
