"""The asset `known_hashes`, which `retro_match` runs on: emitted by `hashset_refresh`, and by a watcher for what was published
by command (`triage hashset approve`)."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from hashsets.release import releases
from pipeline.night import marks
from pipeline.settings import Settings
from triggers.releases import ReleaseTrigger

KNOWN_HASHES = Asset(
    "known_hashes",
    uri="triage://known_hashes",
    watchers=[AssetWatcher(name="known_hashes_published", trigger=ReleaseTrigger())],
)


def announced(settings: Settings) -> None:
    """Remember that retro-matching knows of the current release, so that the watcher does not start it again."""
    now = releases.pointer(settings)
    if now is not None:
        marks.put(settings, marks.RELEASE_ANNOUNCED, str(now.number))
