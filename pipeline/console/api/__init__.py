"""The HTTP API: its description, and answers to programs where a browser is led to a page."""
