"""Which worker runs which tests: all of one group, in the order of `sharing.arrange`.

The groups of pytest-xdist 3.8 are read off the end of a test's id, which pytest 9.2 no longer lets a plugin change: every
test would be a group of its own, and what a file shares would be made once in each worker.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from tests.sharing import group_of


class ByFile(LoadScopeScheduling):
    """Hands whole groups to workers."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
