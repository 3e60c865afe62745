"""The case store: what people change. Cases, claims, decisions, users, roles and the audit log."""
