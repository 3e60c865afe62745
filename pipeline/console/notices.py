"""What a page says after something was done: the word in `?done=`, whether it is good news, and the sentence."""

NOTICES = {
    "claimed": (True, "The case is yours."),
    "released": (True, "The case is back in the queue."),
    "noted": (True, "The note is saved."),
    "decided": (True, "The decision is saved."),
    "requested": (True, "The request is recorded. Its text is below, ready to send."),
    "answered": (True, "The answer is recorded."),
    "offered": (True, "The case is offered to the other force and stays here until they have taken it."),
    "transferred": (True, "The transfer is recorded: the other force has taken the case."),
    "taken-back": (True, "The case stays here."),
    "entered": (True, "The entry is saved."),
    "erased": (True, "The case is erased. A tombstone and the audit entry stay."),
    "allocated": (True, "The case is allocated."),
    "kept": (True, "The filters are saved under their name."),
    "allocated-all": (True, "The cases are allocated."),
    "claimed-all": (True, "The cases of the group that were free are yours."),
    "decided-all": (True, "The decision is saved for every case of the group."),
    "apart": (True, "The case has its own band and target again."),
    "put-back": (True, "Strong links join the case to others again."),
    "read": (True, "Marked as read."),
    "none-free": (False, "No free case is waiting for you."),
    "rested": (True, "Welcome back."),
    "sent-back": (True, "It is marked as sent back."),
    "revoked": (True, "The token is revoked."),
}
"""What `?done=` may say; anything else says nothing."""
