"""Who is asking and whether they may: sign-in, sessions, the identity provider, the outer wall."""
