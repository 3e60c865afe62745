"""States of a case and the moves between them, one table.

new -> allocated -> in_enquiry -> closed
         |  ^          |  ^
         v  |          v  |
      awaiting_information (the clock runs on)      closed, transferred -> new

any open state -> awaiting_acceptance (offered to another force, still ours) -> transferred, or back to allocated
"""

from __future__ import annotations

from pipeline.errors import ConflictError
from pipeline.store.tables import Case

STATES = ("new", "allocated", "awaiting_information", "in_enquiry", "awaiting_acceptance", "transferred", "closed")
OPEN = frozenset({"new", "allocated", "awaiting_information", "in_enquiry", "awaiting_acceptance"})

MOVES: dict[str, dict[str, str]] = {
    # move: state before -> state after
    "claim": {
        "new": "allocated",
        "allocated": "allocated",
        "in_enquiry": "in_enquiry",
        "awaiting_information": "awaiting_information",
        "awaiting_acceptance": "awaiting_acceptance",
    },
    "release": {
        "allocated": "new",
        "in_enquiry": "in_enquiry",
        "awaiting_information": "awaiting_information",
    },
    "start_enquiry": {"allocated": "in_enquiry"},
    "request_information": {"allocated": "awaiting_information", "in_enquiry": "awaiting_information"},
    "transfer": dict.fromkeys(OPEN - {"awaiting_acceptance"}, "awaiting_acceptance"),
    "accept_transfer": {"awaiting_acceptance": "transferred"},
    "take_back": {"awaiting_acceptance": "allocated"},
    "close": {"allocated": "closed", "in_enquiry": "closed", "awaiting_information": "closed"},
    "reopen": {"closed": "new", "transferred": "new"},
}


def move(case: Case, name: str) -> None:
    """Put the case into the state that follows. Raises ConflictError where the move is not open to its state."""
    after = MOVES[name].get(case.state)
    if after is None:
        possible = sorted(m for m, table in MOVES.items() if case.state in table)
        raise ConflictError(
            f"Case {case.case_id} is {words(case.state)}: {words(name)} is not possible.",
            f"Possible now: {', '.join(words(m) for m in possible)}.",
        )
    put(case, after)


def put(case: Case, state: str) -> None:
    """Set the state and what follows from it."""
    case.state = state
    case.is_open = state in OPEN


def words(code: str) -> str:
    """A code as words."""
    return code.replace("_", " ")
