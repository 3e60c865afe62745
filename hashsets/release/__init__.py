"""From staged rows to a published release: opinions, withdrawals (tombstones), identities, grades, indexes, and the way to open it."""
