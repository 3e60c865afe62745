"""The audit log: reading, verifying and exporting it, and the anchors outside the store. Entries are written by `pipeline/store/recording.py`."""
