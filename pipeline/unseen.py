"""Characters that nobody sees: with one of them inside, two texts look the same and are not."""

from __future__ import annotations

import re

CHARACTERS = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef"
)
"""As between the brackets of a regular expression: soft hyphen, zero-width and direction marks, fillers, variation selectors,
tags, U+FEFF."""
_UNSEEN = re.compile(f"[{CHARACTERS}]")


def without(text: str) -> str:
    """The text without them."""
    return text if text.isascii() else _UNSEEN.sub("", text)
