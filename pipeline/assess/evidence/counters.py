"""Counters of a case's files, as SQL conditions over one content of one case: what each means stands in one place.

The SQL here is fixed text; the only data that enters it are the words of `reading/marks` of the risk model, which its
schema restricts to letters, digits and underscores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GRADES = ("TRUSTED", "INDICATIVE", "DISPUTED")

_EXACT = "kind IN ('exact', 'claimed')"
_NOT_ABUSE = "coalesce(category, 'UNMAPPED') IN ('NON_PERTINENT', 'COMPARISON')"
_POSITIVE = f"grade IN ('TRUSTED', 'INDICATIVE', 'DISPUTED') AND NOT {_NOT_ABUSE}"
_KNOWN = f"{_EXACT} AND {_POSITIVE}"

_CATEGORIES = {
    "A": "category = 'A'",
    "B": "category = 'B'",
    "C": "category = 'C'",
    "PROHIBITED": "category = 'PROHIBITED'",
    "EXTREME": "category = 'EXTREME'",
    "UNMAPPED": "coalesce(category, 'UNMAPPED') = 'UNMAPPED'",
}


BEFORE = "_before"
"""Ends the name of a counter of what was so when the case came in and is no longer: the file has matched since."""
UNKNOWN_ONLY = frozenset({"self_generated", "live_streaming"})
"""Marks that count of unknown files: what a sender says of a file that is known already says nothing new about the suspect."""
LISTED = frozenset({"known", "leads", "weak", "unknown", "first_generation", "unexamined", "unsent"})
"""Counters of which a few rows are kept as evidence; of the other features' counters one row is kept."""

NO_EVIDENCE = frozenset({"benign", "victim_unknown", "unhashable", "public_unknown", "only_leads", "only_benign"})
_NO_EVIDENCE_PREFIXES = ("grade_", "in_", "best_")


def sample(counter: str, column: str, condition: str, rows: int) -> str | None:
    """SQL that keeps the smallest ids behind a counter as `s_<counter>`; None for a counter that only the summary
    shows. `condition` is a FILTER clause or empty."""
    if counter in NO_EVIDENCE or counter.startswith(_NO_EVIDENCE_PREFIXES):
        return None
    kept = f"min({column}, {rows})" if counter in LISTED else f"min({column})"
    return f"{kept}{condition} AS s_{counter}"


def _graded(name: str, condition: str) -> dict[str, str]:
    return {f"{name}_{grade}": f"{_KNOWN} AND {condition} AND grade = '{grade}'" for grade in GRADES}


def match_counters(marks: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Counter name to its condition over one row of matches. A content has the counter when one of its matches
    fulfils the condition. Benign lists and withdrawn opinions make nothing known, and never hide a positive opinion."""
    counters = {
        "known": _KNOWN,
        "leads": f"NOT {_EXACT} AND {_POSITIVE} AND NOT low_information AND coalesce(level, '') <> 'similar'",
        "weak": f"NOT {_EXACT} AND {_POSITIVE} AND NOT low_information AND level = 'similar'",
        "benign": f"{_EXACT} AND (grade = 'BENIGN' OR (grade <> 'WITHDRAWN' AND {_NOT_ABUSE}))",
        "victim_unknown": f"{_KNOWN} AND victim_identified = 'unknown'",
        **_graded("grade", "true"),
        # "disputed": one source says no, another yes; a second opinion takes nothing away
        **_graded("victim_not_identified", "victim_identified IN ('no', 'disputed')"),
        **_graded("not_distributed", "distributed IN ('no', 'disputed')"),
        **_graded("category_a", _CATEGORIES["A"]),
        **_graded("category_b", _CATEGORIES["B"]),
        **_graded("category_c", _CATEGORIES["C"]),
        **_graded("other_illegal", "category IN ('PROHIBITED', 'EXTREME')"),
        **{f"in_{name}": f"{_KNOWN} AND {condition}" for name, condition in _CATEGORIES.items()},
    }
    counters |= {f"tagged_{m}": f"{_KNOWN} AND {_words('tag_words', words)}" for m, words in marks.items()}
    return counters


def file_counters(marks: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Counter name to its condition over one content of one case, joined with its fingerprint and matches.

    A file is unknown when its pictures were compared and match nothing, unexamined when it is a picture or video that
    was not decoded, or not whole, or holds one that was not looked at; a text or document is neither. A file that only supplements the report is not unsent.
    What was so when the case came in, and was matched since, is counted apart under `<counter>_before`.
    """
    unmatched, unknown = "known IS NULL AND leads IS NULL AND benign IS NULL AND NOT aside", "known IS NULL"
    unmatched_then = "NOT known_then AND NOT leads_then AND benign IS NULL AND NOT aside_then"
    before = _while_unknown(marks, f"{unmatched_then} AND NOT ({unmatched})", "known IS NOT NULL AND NOT known_then")
    counters = _while_unknown(marks, unmatched, unknown) | {f"{name}{BEFORE}": said for name, said in before.items()}
    counters |= {
        "unhashable": "state = 'unreadable' OR (state = 'present' AND hashing = 'rejected')",
        "younger_child": "younger",
        "viewed": "viewed",
        "public": "public",
        "public_unknown": "NOT public AND public_unknown",
        "best_TRUSTED": "grade_TRUSTED IS NOT NULL",
        "best_INDICATIVE": "grade_TRUSTED IS NULL AND grade_INDICATIVE IS NOT NULL",
        "best_DISPUTED": "grade_TRUSTED IS NULL AND grade_INDICATIVE IS NULL AND grade_DISPUTED IS NOT NULL",
        "only_leads": "known IS NULL AND leads IS NOT NULL",
        "only_benign": "known IS NULL AND leads IS NULL AND benign IS NOT NULL",
    }
    return counters | {
        f"marked_{mark}": _words("mark_words", words) for mark, words in marks.items() if mark not in UNKNOWN_ONLY
    }


def _while_unknown(marks: Mapping[str, Sequence[str]], unmatched: str, unknown: str) -> dict[str, str]:
    """Counters of files that are not matched (`unmatched`) or at least not known (`unknown`), both SQL conditions."""
    sent = "state = 'present'"
    hashed = "(hashing IN ('hashed', 'partial') OR (hashing = 'digests_only' AND why = 'known_exact'))"
    undecoded = "hashing = 'digests_only' AND (why IN ('format_off', 'unseen_content') OR media_type LIKE 'image/%')"
    counters = {
        "unknown": f"{sent} AND {hashed} AND {unmatched} AND NOT viral_everywhere",
        "first_generation": f"{sent} AND {hashed} AND {unmatched} AND camera",
        "unexamined": f"{unknown} AND (state = 'unreadable' OR ({sent} AND"
        f" (coalesce(hashing, '') NOT IN ('hashed', 'digests_only') OR ({undecoded} AND why <> 'known_exact'))))",
        "unsent": f"state IN ('missing', 'hash_only') AND {unmatched} AND NOT {_words('mark_words', ['supplemental'])}",
    }
    return counters | {
        f"marked_{mark}": f"{unknown} AND {_words('mark_words', words)}"
        for mark, words in marks.items()
        if mark in UNKNOWN_ONLY
    }


def viral_condition(marks: Mapping[str, Sequence[str]]) -> str:
    """SQL: whether every naming of a content is marked as viral by its sender."""
    return f"bool_and({_words(words_of('annotations'), marks['viral'])})"


def words_of(column: str) -> str:
    """SQL for a list of words as one text `,a,b,` of lower-case letters and digits, empty for none."""
    return (
        f"CASE WHEN len({column}) > 0 THEN ',' || regexp_replace(lower(array_to_string({column}, ',')),"
        " '[^a-z0-9,]', '', 'g') || ',' ELSE '' END"
    )


def _words(column: str, words: Sequence[str]) -> str:
    return "(" + " OR ".join(f"contains({column}, ',{w.replace('_', '')},')" for w in words) + ")"
