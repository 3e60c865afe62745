"""What desktops leave behind in folders and archives: known by its name and by its content, never by the name alone.

Names are the suspect's to choose: a picture called Thumbs.db, or lying in a folder called __MACOSX, is a picture. So is one
that lies behind the few bytes with which such a file begins: the whole file is looked at, and what holds the beginning of a
picture or film is content. Only Thumbs.db has pictures by its nature: those that a desktop made of its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

_COMPOUND = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_STORE = (b"\x00\x00\x00\x01Bud1",)
_BESIDE = "._"
"""With this macOS begins the names of the AppleDouble files that its tar writes beside each file."""
MEDIA = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}(?:WEBP|AVI )|ftyp|\x1aE\xdf\xa3|[IM]{2}(?:\*\0|\0\*)",
    re.DOTALL,
)
"""How pictures and films begin."""
_NO_TEXT = re.compile(rb"[\x01-\x08\x0e-\x1f]")
_INI = (b"[", b"\r\n[", b"\n[", b";", b"\xff\xfe[\x00", b"\xff\xfe\r\x00\n\x00[\x00", b"\xef\xbb\xbf[")
_APPLE_DOUBLE = (b"\x00\x05\x16\x07\x00\x02\x00\x00",)
_BEGINS = {"thumbs.db": _COMPOUND, "desktop.ini": _INI, ".ds_store": _STORE}
"""How a file of that name begins when it is what its name says: OLE compound file, Bud1 store, INI text."""


@lru_cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)))


class Noise:
    """Tells what is left out of a package, by the names in policy/ingest.yaml and what a file holds."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self._files = frozenset(policy["noise"])
        self._folders = frozenset(policy["noise_folders"])
        self._words = (_BESIDE, *policy["noise"], *policy["noise_folders"])
        self._any = _any_of(self._words[1:])
        self._largest = policy["caps"]["noise_bytes"]

    def any_named(self, names: Iterable[str]) -> bool:
        """Whether one of the names can be one of those; quick, as in hardly any package one is."""
        text = "\n".join(names)
        return any(word in text for word in self._words)

    def named(self, name: str) -> bool:
        """Whether the name is one of those; quick, as hardly any is."""
        if _BESIDE in name and name.rpartition("/")[2].startswith(_BESIDE):
            return True
        if self._any.search(name) is None:
            return False
        *above, last = name.split("/")
        return last in self._files or not self._folders.isdisjoint(above)

    def is_noise(self, name: str, size: int, content: Callable[[], bytes]) -> bool:
        """Whether a file with such a name is what the name says. `content` gives all of it, which is at most `noise_bytes`."""
        if size == 0:
            return True
        if size > self._largest:
            return False
        last = name.rpartition("/")[2]
        begins = _BEGINS.get(last.lower()) if last in self._files else _APPLE_DOUBLE
        held = content()
        if begins is None or len(held) != size or not held.startswith(begins):
            return False
        if begins is _INI:
            return _NO_TEXT.search(held) is None
        return begins is _COMPOUND or MEDIA.search(held) is None
