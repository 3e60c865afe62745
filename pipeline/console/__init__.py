"""The analysts' web pages and the HTTP API."""
