"""One match explained so that somebody else gets the same result: both hashes, where they differ, against which
threshold, which releases knew the media since when, and the command that repeats the comparison."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from hashsets.release import releases
from pipeline import policy
from pipeline.console.dashboard import charts
from pipeline.matching import knownvideos
from pipeline.settings import Settings

KINDS = {
    "exact": "The content is byte for byte that of the known media: the digests are equal.",
    "claimed": "The sender states a digest that is equal to that of the known media. The file itself was not checked.",
    "near": "The picture looks like the known picture: few bits of their perceptual hashes differ. A lead, to be confirmed by a person.",
    "variant": "A flipped, turned, cropped or framed copy of the picture looks like the known picture. A lead, to be confirmed by a person.",
    "refined": "After searching the geometry (turn, crop, frame) the picture looks like the known picture. A lead, to be confirmed by a person.",
    "video": "Frames of the video look like frames of the known video. A lead, to be confirmed by a person.",
    "unrefined": "Only a distant likeness; the file was no longer in place to look closer. A weak lead.",
}


LEVELS = {
    "exact": "Exact: the same bytes.",
    "near": "Near: the pictures as they are lie within the publishers' radius.",
    "altered": "Same picture altered: undoing the alteration explains the difference. A lead, to be confirmed by a person.",
    "similar": "Similar scene, to be checked: it may be the known picture, another of its series, or a template that both share. A weak lead.",
}


GUESSED = (
    " A large part of the known picture is not in this one and was guessed, so that many bits differ by chance: it was kept because the"
    " bits that this picture says firmly agree."
)
"""Said of a refined match that is wider than refinement alone allows."""


def explain(settings: Settings, match: dict[str, Any]) -> dict[str, Any]:
    """The match with words, the known media's history by release, and the replay command."""
    return {
        "match": match,
        "meaning": meaning(settings, match),
        "level": LEVELS.get(match.get("level") or "", "Not graded: from before matches had levels."),
        "detail": detail(match),
        "known_video": knownvideos.words(match),
        **measured(settings, match),
        "history": history(settings, match["media_key"]),
        "replay": replay(match),
    }


def meaning(settings: Settings, match: dict[str, Any]) -> str:
    """What the kind of a match says, and of a refined one whether a part of the picture was guessed."""
    reached = policy.load(settings, "matching").data["refinement"]["radius"]
    guessed = match["kind"] == "refined" and match["distance"] > reached
    return KINDS[match["kind"]] + (GUESSED if guessed else "")


def detail(match: dict[str, Any]) -> str:
    """What is known of the detail of both pictures."""
    if match.get("low_information"):
        return "too little on one side: not evidence of anything by itself"
    if not match["threshold"]:
        return "plays no part: the bytes are equal"
    known = match.get("known_quality")
    return "enough in the picture; " + (
        "enough in the known picture" if known is not None else "of the known picture not known"
    )


def measured(settings: Settings, match: dict[str, Any]) -> dict[str, str]:
    """The measured false-hit rate of the match's level, and of templates where the picture may be one; with bench and date."""
    rules = policy.load(settings, "matching").data["levels"]["measured"]
    level, source = match.get("level"), f"({rules['bench']}, {rules['on']})"
    found = {"measured": "", "template": ""}
    if level in rules["wrong"] and match["threshold"]:
        wrong, files = rules["wrong"][level], rules["files"]
        bound = f", which bounds the rate at {3e6 / files:,.0f} per million" if not wrong else ""
        found["measured"] = f"{wrong:,} of {files:,} edited files of other photographs{bound} {source}"
    if match.get("mostly_flat"):
        wrong, pairs = rules["template_wrong"].get(level, 0), rules["template_pairs"]
        found["template"] = (
            f"yes: of pairs of different pictures of one template {wrong:,} of {pairs:,} reach this level {source}"
        )
    return found


def grid(match: dict[str, Any]) -> Markup | None:
    """Differing bits as a 16 by 16 grid, for 256-bit hashes."""
    query, known = match.get("query_hash"), match.get("known_hash")
    if match["algorithm"] not in {"pdq", "phash256"} or not query or not known or len(query) != 64 or len(known) != 64:
        return None
    return charts.bits_grid(bytes.fromhex(query), bytes.fromhex(known))


def replay(match: dict[str, Any]) -> str:
    """The command that repeats this comparison against the same release."""
    prefix = match["algorithm"]
    value = match.get("query_hash") or ""
    radius = f" --radius {match['threshold']}" if match["threshold"] else ""
    return f"triage lookup {prefix}:{value} --release {match['release']}{radius} --reason inspection"


def history(settings: Settings, media_key: int) -> list[dict[str, Any]]:
    """What each source has said of the media item, and in which releases: oldest first. Empty without a release."""
    if releases.pointer(settings) is None:
        return []
    connection = releases.current(settings).connect()
    try:
        rows: list[dict[str, Any]] = connection.sql(_HISTORY, params=[media_key]).to_arrow_table().to_pylist()
        return rows
    finally:
        connection.close()


_HISTORY = """
SELECT o.source_id AS source, o.member, o.category, o.raw_category, o.votes, o.disputed, o.valid_from AS from_release,
    r.built_as_of AS since, o.valid_to AS until_release, o.ended
FROM opinion o
LEFT JOIN release r ON r.release = o.valid_from
WHERE o.media_key = ?
ORDER BY o.valid_from, o.source_id, o.member
"""
