"""Isolation of the media workers: the parent that asks, the fork server, the worker, and the layers that hold it."""
