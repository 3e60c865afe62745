"""Where password hashes are made: in threads that give way to the pages."""

from __future__ import annotations

import os

from pipeline.people import passwords


def test_hashes_give_way_to_everything_else_of_the_process() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    own = niceness()
    assert passwords._stepping_back(niceness) == min(19, own + passwords.STEPS_BACK)
    assert niceness() == own
