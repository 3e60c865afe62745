"""What people change: cases, allocation, decisions, users, audit."""
