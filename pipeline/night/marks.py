"""Marks that a service keeps between its runs, in the case store: by name, a short value and when it was set."""

from __future__ import annotations

from pipeline.settings import Settings
from pipeline.store.opening import open_store
from pipeline.store.operations import Mark

HASHSET_LANDING = "hashset_landing"
"""Digest of the hash sets' landing folder as it was when its files were last imported."""

RELEASE_ANNOUNCED = "release_announced"
"""Number of the known-hash release of which retro-matching was last told, or that it last worked on."""


def put(settings: Settings, name: str, value: str) -> None:
    """Set the mark."""
    store = open_store(settings)
    try:
        with store.session() as session:
            session.merge(Mark(name=name, value=value, at=store.clock()))
    finally:
        store.close()


def get(settings: Settings, name: str) -> str:
    """Value of the mark; empty when it was never set."""
    store = open_store(settings)
    try:
        with store.reader() as session:
            mark = session.get(Mark, name)
            return mark.value if mark else ""
    finally:
        store.close()
