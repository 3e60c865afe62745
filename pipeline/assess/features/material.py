"""Families new_material, known_material, severity and circulation: what the files and their matches say.

What comes from known files (their number, rarity, unidentified victims) is one family with one small limit.

Only an exact match speaks for a file: a near match is a lead, never a category. New material weighs most, because a
child who has not been found may be behind it; the number of known files says little about contact abuse (neither
counts nor categories are among the published factors).
"""

from __future__ import annotations

from pipeline.assess.evidence.counters import BEFORE, GRADES
from pipeline.assess.evidence.inputs import NOT_KNOWN, NOT_SO, YES, Answer, CaseFile, EvidenceRow, Reading
from pipeline.assess.features.registry import counted, either, feature, present, sampled, stated

_FILES, _MATCHES = "media_files", "matches"

# -- new or first-generation material ----------------------------------------------------------------------------------


@feature(
    "new_material",
    "First-generation material",
    "Are there files that come straight from a camera and are not known?",
)
def first_generation_files(case: CaseFile, _: Reading) -> Answer:
    """A file that no known-hash source holds still carries its camera's facts: it may come straight from the person
    who took it."""
    found = present(case, "first_generation", _FILES, "not known, with camera facts")
    return found if found.value == YES or not case.counts.get("unexamined") else NOT_KNOWN


@feature("new_material", "Possibly new material", "Are there files that no source knows?", graded=True)
def unknown_files(case: CaseFile, reading: Reading) -> Answer:
    """Pictures and videos in the package that were compared and match nothing known, exactly or nearly, and that not every
    sender marks as viral: possibly new material. One new image matters more than a thousand viral copies. Texts and
    documents do not count. A file whose near matches the flood guard has set aside is neither new nor known. A file that
    is found known only later stays: the suspect had it before any source knew it."""
    found = counted(case, "unknown", _FILES, "matches nothing known", reading)
    return found if found.value == YES or not case.counts.get("unexamined") else NOT_KNOWN


@feature(
    "new_material",
    "Possibly made by the child itself",
    "May a child have made the file itself?",
    facts=["self_generated"],
)
def self_generated_files(case: CaseFile, _: Reading) -> Answer:
    """A file that no source knows may have been made by a child itself, as the sender marks it: often a child under
    pressure now. Of known files it is part of what is known."""
    return _marked(case, "self_generated", "marked as possibly self-generated")


@feature("new_material", "Files that could not be examined", "What do the unreadable files show?", graded=True)
def unexamined_files(case: CaseFile, reading: Reading) -> Answer:
    """Pictures and videos that could not be read, or only in part, whose format is not decoded, or that have not been
    hashed yet. They may raise the risk and never count as seen and clean."""
    return counted(case, "unexamined", _FILES, "could not be examined completely", reading)


@feature("new_material", "Described but not sent", "What do the files show that were not sent?", graded=True)
def unsent_files(case: CaseFile, reading: Reading) -> Answer:
    """Files that the report names and that were not in the package, and whose stated digests match nothing known."""
    return counted(case, "unsent", _FILES, "named in the report, not in the package, not known", reading)


# -- known material ------------------------------------------------------------------------------------------------------


@feature("known_material", "Known victim not identified", "Has the child in the known images been identified?")
def victim_not_identified(case: CaseFile, reading: Reading) -> Answer:
    """An exact match to known media whose victim nobody has identified yet. The suspect may lead to the child.
    Counts by the grade of the opinion."""
    graded = _by_grade(case, "victim_not_identified", "victim not identified", reading)
    return graded if graded.value == YES or not case.counts.get("victim_unknown") else NOT_KNOWN


@feature("known_material", "Rarely seen known material", "Has the known material been distributed?")
def rarely_seen_files(case: CaseFile, reading: Reading) -> Answer:
    """An exact match to known media that its sources mark as not distributed: few people can have had it. Counts by
    the grade of the opinion."""
    return _by_grade(case, "not_distributed", "marked as not distributed", reading)


@feature("known_material", "Known material tagged as self-generated", "Did a child make the known file itself?")
def known_self_generated(case: CaseFile, _: Reading) -> Answer:
    """An exact match to known media that a source tags as made by a child itself."""
    return present(case, "tagged_self_generated", _MATCHES, "tagged as self-generated")


@feature("known_material", "Known material", "Are there files that are known?", graded=True)
def known_files(case: CaseFile, reading: Reading) -> Answer:
    """Files that are exactly known abuse material. The number soon stops counting."""
    return counted(case, "known", _MATCHES, "exact match", reading)


@feature("known_material", "Near matches to check", "Are the near matches copies of known material?", graded=True)
def near_matches(case: CaseFile, reading: Reading) -> Answer:
    """Files close to known material by perceptual hash, with no exact match: leads that a person has to confirm."""
    return counted(case, "leads", _MATCHES, "near match: a lead, not a category", reading)


@feature("known_material", "Similar scenes to check", "Is a similar scene a known picture or its series?", graded=True)
def similar_scenes(case: CaseFile, reading: Reading) -> Answer:
    """Files that only resemble known material from afar: the picture altered, another of its series, or a shared template.
    A weak lead, which makes no file known and counts least of all matches."""
    return counted(case, "weak", _MATCHES, "similar scene, to be checked", reading)


@feature("known_material", "Marked as viral", "Is the material viral?", facts=["viral"])
def viral_files(case: CaseFile, _: Reading) -> Answer:
    """The sender marks a file as viral or as a meme. Shown because such reports look alike; it never lowers a
    risk."""
    return _marked(case, "viral", "marked as viral")


# -- category and age signals ----------------------------------------------------------------------------------------------


@feature("severity", "Category A material", "Is there category A material?")
def category_a(case: CaseFile, reading: Reading) -> Answer:
    """An exact match to media that its sources put in category A. Counts by the grade of the opinion."""
    return _by_grade(case, "category_a", "category A", reading)


@feature("severity", "Category B material", "Is there category B material?")
def category_b(case: CaseFile, reading: Reading) -> Answer:
    """An exact match to media that its sources put in category B. Counts by the grade of the opinion."""
    return _by_grade(case, "category_b", "category B", reading)


@feature("severity", "Category C material", "Is there category C material?")
def category_c(case: CaseFile, reading: Reading) -> Answer:
    """An exact match to media that its sources put in category C. Counts by the grade of the opinion."""
    return _by_grade(case, "category_c", "category C", reading)


@feature("severity", "Prohibited or extreme material", "Is there prohibited or extreme material?")
def other_illegal_category(case: CaseFile, reading: Reading) -> Answer:
    """An exact match to media that its sources call prohibited or extreme. Counts by the grade of the opinion."""
    return _by_grade(case, "other_illegal", "prohibited or extreme", reading)


@feature("severity", "Infant", "Does a file show an infant?", facts=["infant"])
def infant_files(case: CaseFile, _: Reading) -> Answer:
    """A file is marked by the sender, or tagged by a known-hash source, as showing an infant, who cannot tell."""
    return _marked(case, "infant", "marked or tagged as infant")


@feature("severity", "Younger child by the provider's mark", "Which age does the provider's mark state?")
def younger_child_claimed(case: CaseFile, _: Reading) -> Answer:
    """The provider classified a file as showing a child before puberty (A1 or A2). This is the industry's mark and is
    never read as a UK category."""
    return present(case, "younger_child", _FILES, "industry classification A1 or A2")


# -- distribution and origin -------------------------------------------------------------------------------------------------

stated(
    "circulation",
    "distribution",
    "Distribution",
    "Has the suspect distributed material?",
    "The suspect is stated to have distributed material.",
)


@feature(
    "circulation",
    "Viewed by the provider",
    "Has a person at the provider seen the files?",
    facts=["provider_viewed"],
)
def provider_viewed(case: CaseFile, _: Reading) -> Answer:
    """A person at the provider looked at a reported file, so the report rests on more than a hash. Where nobody is
    stated to have looked, that stays open."""
    return either(case.fact("provider_viewed"), present(case, "viewed", _FILES, "viewed by the provider"))


@feature("circulation", "Publicly available", "Could anyone see the files?")
def publicly_available(case: CaseFile, _: Reading) -> Answer:
    """The provider states that a file could be seen by anyone."""
    found = present(case, "public", _FILES, "publicly available")
    return found if found.value == YES or not case.counts.get("public_unknown") else NOT_KNOWN


@feature("circulation", "Marked as made by AI", "Was the file made by generative AI?", facts=["generative_ai"])
def generative_ai(case: CaseFile, _: Reading) -> Answer:
    """A file is marked as made by generative AI. Shown for the investigator; it does not lower a risk, because real
    children may stand behind it."""
    return _marked(case, "generative_ai", "marked as made by AI")


def _marked(case: CaseFile, name: str, note: str) -> Answer:
    """A fact, the sender's annotation of a file, or a tag of a known-hash source; unknown when none of them says so."""
    found = case.facts.get(name, NOT_KNOWN)
    for counter, table in _MARKS[name]:
        if counter in case.counts or counter + BEFORE in case.counts:
            found = either(found, present(case, counter, table, note))
    return found


def _by_grade(case: CaseFile, counter: str, note: str, reading: Reading) -> Answer:
    """Yes with the share of the best grade among the exact matches counted under `<counter>_<grade>`."""
    counts, best, total = case.counts, 0.0, 0
    rows: list[EvidenceRow] = []
    for name, grade in _GRADED[counter]:
        if name in counts:
            best, total = max(best, reading.grade_shares[grade]), total + counts[name]
            rows += sampled(case, name, _MATCHES, f"{note}, {grade}")
    return Answer(YES, best, tuple(rows), total) if total else NOT_SO


_MARKS: dict[str, tuple[tuple[str, str], ...]] = {
    mark: ((f"marked_{mark}", _FILES), (f"tagged_{mark}", _MATCHES)) for mark in ("viral", "infant", "generative_ai")
}
_MARKS["self_generated"] = (("marked_self_generated", _FILES),)
_GRADED = {
    counter: tuple((f"{counter}_{grade}", grade) for grade in GRADES)
    for counter in (
        "victim_not_identified",
        "not_distributed",
        "category_a",
        "category_b",
        "category_c",
        "other_illegal",
    )
}
