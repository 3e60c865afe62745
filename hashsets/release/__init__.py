"""From staged rows to a published release: opinions, identities, grades, indexes, and the way to open it."""
