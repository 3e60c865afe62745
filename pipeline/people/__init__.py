"""People and their access: accounts, passwords, sessions, tokens, permissions, the identity provider."""
