"""What a referral states beyond the fields that every referral has, as rows of a label and lines of text.

The source's own block (`extension`: ucol, ocag, drb, taken) by the names of its form, with the sender's own text of every
time; the stage times of a supplement; and how complete the referral is. Nothing that was taken in is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.console.wording import moment, words

NOT_SHOWN = "Not shown: only who may open texts reads this."


def rows(referral: dict[str, Any], *, first: bool, words_shown: bool = True) -> list[dict[str, Any]]:
    """Rows `label`, `lines`. The stage times of the `first` referral have a table of their own. The source's own block holds
    what people wrote: without `words_shown` it is only said to be there."""
    found = [*_completeness(referral), *([] if first else _times(referral))]
    for block, content in sorted((referral.get("extension") or {}).items()):
        if not words_shown:
            found.append({"label": words(block), "lines": [NOT_SHOWN]})
            continue
        for name, value in content.items():
            lines = list(_lines(value))
            if lines:
                found.append({"label": f"{words(block)}: {words(name).lower()}", "lines": lines})
    return found


def _completeness(referral: dict[str, Any]) -> Iterator[dict[str, Any]]:
    basis = f"by {words(referral['force_basis']).lower()}" if referral.get("force_basis") else ""
    for label, values in (
        ("NCMEC's classification", [referral.get("ncmec_classification")]),
        ("Force", [" ".join(filter(None, (referral.get("force_code"), basis)))]),
        ("Possible forces", [", ".join(referral.get("force_candidates") or [])]),
        ("To be transferred to force", [referral.get("transfer_to")]),
        ("Earlier reports it names", referral.get("prior_references") or []),
        ("Declared complete by the sender", [referral.get("declared_complete")]),
        ("Missing", [", ".join(words(name).lower() for name in referral.get("missing_fields") or [])]),
    ):
        lines = [str(value) for value in values if value]
        if lines:
            yield {"label": label, "lines": lines}


def _times(referral: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, given in (referral.get("times_original") or {}).items():
        yield {
            "label": words(name.removesuffix("_at")),
            "lines": [_moment({**given, "utc": referral.get(name)})],
        }


def _lines(value: Any) -> Iterator[str]:
    """One line per entry of a list, or one for all the fields of an object."""
    if isinstance(value, list):
        for entry in value:
            yield from _lines(entry)
    elif isinstance(value, dict) and "original" not in value:
        line = "; ".join(f"{words(name)}: {text}" for name, below in value.items() for text in _lines(below))
        if line:
            yield line
    elif isinstance(value, dict):
        yield _moment(value)
    elif value not in (None, ""):
        yield str(value)


def _moment(given: dict[str, Any]) -> str:
    """A time with the sender's own text of it; one that is not certain is not guessed."""
    if given.get("utc"):
        return f"{moment(given['utc'])} (as given: {given['original']})"
    return f"time unclear (as given: {given['original']})"
