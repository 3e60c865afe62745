"""What people do with a case: claim, decide, note, ask, raise and lower, notify, transfer, review, keep and erase."""
