"""What desktops leave behind in folders and archives: known by its name and by its content, never by the name alone.

Names are the suspect's to choose: a picture called Thumbs.db, or lying in a folder called __MACOSX, is a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HEAD = 64
"""Bytes of a file that are looked at."""

_COMPOUND = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_STORE = (b"\x00\x00\x00\x01Bud1",)
_INI = (b"[", b"\r\n[", b"\n[", b";", b"\xff\xfe[\x00", b"\xff\xfe\r\x00\n\x00[\x00", b"\xef\xbb\xbf[")
_APPLE_DOUBLE = (b"\x00\x05\x16\x07\x00\x02\x00\x00",)
_BEGINS = {"thumbs.db": _COMPOUND, "desktop.ini": _INI, ".ds_store": _STORE}
"""How a file of that name begins when it is what its name says: OLE compound file, Bud1 store, INI text."""


class Noise:
    """Tells what is left out of a package, by the names in policy/ingest.yaml and what a file holds."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self._files = frozenset(policy["noise"])
        self._folders = frozenset(policy["noise_folders"])
        self._words = (*policy["noise"], *policy["noise_folders"])
        self._largest = policy["caps"]["noise_bytes"]

    def named(self, name: str) -> bool:
        """Whether the name is one of those; quick, as hardly any is."""
        for word in self._words:
            if word in name:
                *above, last = name.split("/")
                return last in self._files or not self._folders.isdisjoint(above)
        return False

    def is_noise(self, name: str, size: int, head: Callable[[], bytes]) -> bool:
        """Whether a file with such a name is what the name says. `head` gives its first bytes."""
        if size == 0:
            return True
        if size > self._largest:
            return False
        last = name.rpartition("/")[2]
        begins = _BEGINS.get(last.lower()) if last in self._files else _APPLE_DOUBLE
        return begins is not None and head().startswith(begins)
