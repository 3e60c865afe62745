"""Families sender and urgency: what the sender says of urgency, what presses for time, what connects this case with others."""

from __future__ import annotations

from pipeline.assess.evidence.inputs import NOT_KNOWN, NOT_SO, YES, Answer, CaseFile, EvidenceRow, Reading
from pipeline.assess.features.registry import any_of, either, feature, stated


@feature("sender", "Sender's priority: imminent danger", "Does the sender's priority name an imminent danger?")
def priority_imminent(case: CaseFile, reading: Reading) -> Answer:
    """The sender's own priority mark names an imminent danger to a child (NCMEC's priority 1)."""
    return _priority(case, reading, "imminent")


@feature("sender", "Sender's priority: raised", "Does the sender's priority stand above the ordinary?")
def priority_raised(case: CaseFile, reading: Reading) -> Answer:
    """The sender's own priority mark stands above the ordinary, without naming an imminent danger."""
    return _priority(case, reading, "raised")


@feature("sender", "Sender's words name a danger now", "Do the sender's words name a danger to a child now?")
def urgent_words(case: CaseFile, _: Reading) -> Answer:
    """The sender's words for urgency name a danger to a child now, by the words that the policy lists."""
    if not case.urgent_words:
        return NOT_KNOWN
    note = f"the sender's words for urgency: {', '.join(case.urgent_words)}"
    return Answer(YES, 1.0, (EvidenceRow("referrals", case.referral_id, note),), 1)


def _priority(case: CaseFile, reading: Reading, level: str) -> Answer:
    said = reading.level(case.priority)
    if said == level:
        return Answer(YES, 1.0, (EvidenceRow("referrals", case.referral_id, "the sender's priority"),), 1)
    return NOT_KNOWN if said is None or said == "not_said" else NOT_SO


@feature(
    "sender",
    "Sender asked for priority",
    "Has the sender asked for priority?",
    facts=["provider_escalated"],
)
def provider_escalated(case: CaseFile, _: Reading) -> Answer:
    """The provider or the sending agency asked for high priority, as a mark or in its own words."""
    written = NOT_SO
    if case.escalation_text:
        written = Answer(YES, 1.0, (EvidenceRow("referrals", case.referral_id, "the sender's words for urgency"),), 1)
    return either(case.fact("provider_escalated"), written)


@feature(
    "urgency",
    "Suspect confronted, streamed or named",
    "Was the suspect confronted, streamed or named in public?",
    facts=["suspect_confronted", "suspect_streamed", "suspect_named"],
)
def suspect_exposed(case: CaseFile, _: Reading) -> Answer:
    """An activist group confronted the suspect, streamed the confrontation or named the suspect: evidence may be
    destroyed, and the suspect may come to harm."""
    return any_of(case, ("suspect_confronted", "suspect_streamed", "suspect_named"))


stated(
    "urgency",
    "suspect_welfare_risk",
    "Concern for the suspect's life",
    "Is there concern for the suspect's life or welfare?",
    "Concern for the suspect's life or welfare is stated.",
    personal=True,
)


@feature("urgency", "Other cases concern the same person or device", "Do other cases share identifiers?", graded=True)
def linked_cases(case: CaseFile, reading: Reading) -> Answer:
    """Other cases share an identifier with this one, and the evidence for at least one of the links is strong. Persons
    are not merged: the links say what is shared."""
    number = case.links.get("strong", 0)
    if not number:
        return NOT_SO
    rows = tuple(
        [EvidenceRow("links", link, "strong link to another case") for link in case.link_rows.get("strong", ())]
    )
    return Answer(YES, round(min(1.0, number / reading.links), 4), rows, number)


stated(
    "urgency",
    "child_identified",
    "A child is identified",
    "Is a child identified by name, picture or place?",
    "A child is identified by name, picture or place, so there is somebody whom action can protect now.",
)
stated(
    "urgency",
    "media_interest",
    "Media interest",
    "Do the press or social media take an interest?",
    "The press or social media take an interest in the case.",
)
stated(
    "urgency",
    "public_figure",
    "Person of public prominence",
    "Is the suspect a person of public prominence?",
    "The suspect is a person of public prominence.",
    personal=True,
)
stated(
    "urgency",
    "institution",
    "Abuse in an institution",
    "Is an institution concerned: a school, a home, a club, a faith group?",
    "Abuse in an institution is stated.",
)
stated(
    "urgency",
    "non_recent",
    "Non-recent abuse",
    "Is the abuse non-recent?",
    "Non-recent abuse is stated: other people may have been harmed since.",
)
stated(
    "urgency",
    "other_force_interest",
    "Another force has the same account or person",
    "Does another force hold a referral on the same account or person?",
    "Another force holds a referral on the same account or person, as stated or by a strong link. Both have to speak to each "
    "other before either acts.",
)
stated(
    "urgency",
    "covert_conflict",
    "May conflict with a covert operation",
    "May a covert operation be touched?",
    "The activity may conflict with a covert operation and has to be deconflicted before anyone acts.",
)
