"""The page of a release's difference, in Markdown, for the person who approves it. Numbers and names of files only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hashsets.release.approving import APPROVED, PASSES, REFUSED, WAITS, Judged

_STATES = {
    PASSES: "It is within the policy and is published by itself.",
    WAITS: "It waits for a person.",
    APPROVED: "It was approved.",
    REFUSED: "It was refused and is not published. `triage hashset discard` removes an import that it was built from.",
}


def page(judged: Judged) -> str:
    """The page. Which media: `triage hashset diff` once it is published; before that they are in the imported files."""
    return "\n".join(_lines(judged)) + "\n"


def subject(judged: Judged) -> str:
    """One line that says what is to be decided."""
    return f"Publish known-hash release {judged.release}?"


def _lines(judged: Judged) -> Iterator[str]:
    found = judged.difference
    yield f"# Known-hash release {found.release}, compared with release {found.previous}"
    yield ""
    yield _STATES[judged.state]
    if judged.person:
        who = judged.name if judged.name == judged.person else f"{judged.name} ({judged.person})"
        yield f"Decided by {who} at {judged.decided_at}: {judged.reason or 'no reason given'}"
    if judged.reasons:
        yield ""
        yield "**Beyond the policy:**"
        yield ""
        yield from (f"- {reason}" for reason in judged.reasons)
    yield ""
    yield f"{found.standing:,} media stood before."
    yield from _table("New media", "category", found.new)
    yield from _table("Withdrawn media (known before, known no more)", "category before", found.withdrawn)
    yield from _table("Media with another category", "change", found.recategorised)
    yield ""
    if found.moved is None:
        yield "Cases that would move to another band were not computed."
    else:
        yield f"{found.cases_looked_at:,} cases are touched."
        yield from _table("Cases that would move to another band", "change", found.moved)
    yield from _imports(judged)


def _table(title: str, of: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield ""
    if not counts:
        yield f"**{title}:** none"
        return
    yield f"**{title}:** {sum(counts.values()):,}"
    yield ""
    yield f"| {of} | number |"
    yield "|---|---:|"
    yield from (f"| {name} | {count:,} |" for name, count in counts.items())


def _imports(judged: Judged) -> Iterator[str]:
    yield ""
    if not judged.imports:
        yield "Built from no new import: the policy has changed."
        return
    yield "**Imports that it takes in:**"
    yield ""
    yield "| source | file | read | kept | withdrawn | rejected |"
    yield "|---|---|---:|---:|---:|---:|"
    for row in judged.imports:
        rejected = sum(row["rejected_by_reason"].values())
        yield (
            f"| {row['source']} | {str(row['file']).replace('|', ' ')} | {row['read']:,} | {row['kept']:,} "
            f"| {row['withdrawn']:,} | {rejected:,} |"
        )
