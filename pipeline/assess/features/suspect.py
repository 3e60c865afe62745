"""Families previous, access, now, behaviour and other: what is stated, or listed by the force, about the suspect.

The families and their order are those of the published study of 374 files from 11 forces (Long, Alison and others,
Psychology, Public Policy and Law 2016, 22(1): convictions and allegations, access to children, current behaviour,
other factors). Items, order and weights are ours.
"""

from __future__ import annotations

from pipeline.assess.evidence.inputs import Answer, CaseFile, Reading
from pipeline.assess.features.registry import either, feature, present, stated

# -- previous convictions and allegations --------------------------------------------------------------------------

_PREVIOUS = {
    "previous_contact_conviction": (
        "Previous contact conviction",
        "Is there a conviction for a contact sexual offence against a child?",
        "Convicted of a contact sexual offence against a child. The first question of the published research on who "
        "among image offenders also abuses by contact.",
    ),
    "previous_contact_allegation": (
        "Alleged contact offence",
        "Is there an allegation of a contact sexual offence against a child, whatever its outcome?",
        "Alleged to have committed a contact sexual offence against a child. The published research puts allegations "
        "beside convictions in its first question, whatever became of them.",
    ),
    "convicted_sex_offender": (
        "Convicted sex offender",
        "Is there a conviction for a sexual offence of any kind?",
        "Convicted of a sexual offence; which kind is not stated.",
    ),
    "previous_image_conviction": (
        "Previous image conviction",
        "Is there a conviction for indecent images of children?",
        "Convicted before of an offence with indecent images of children.",
    ),
    "previous_allegation": (
        "Previous allegation",
        "Was there an earlier allegation of a sexual offence, whatever its outcome?",
        "An earlier allegation of a sexual offence is recorded. Allegations count beside convictions, whatever became "
        "of them.",
    ),
    "registered_sex_offender": (
        "Registered sex offender",
        "Is the suspect a registered sex offender?",
        "Stated to be a registered sex offender, or found on the force's list of them.",
    ),
    "offender_review_overdue": (
        "Offender review overdue",
        "Is the offender's management review overdue?",
        "The management review of the registered offender is overdue, so the known risk may be out of date.",
    ),
    "under_investigation": (
        "Under investigation elsewhere",
        "Is another investigation into the suspect running, here or in another force?",
        "Another investigation concerns the suspect, as stated or by the list of current investigations. The two "
        "teams have to speak to each other before either acts.",
    ),
    "previous_other_conviction": (
        "Other previous conviction",
        "Are there other convictions?",
        "Convicted before of another kind of offence.",
    ),
}
for _name, _texts in _PREVIOUS.items():
    stated("previous", _name, *_texts, personal=True)

# -- access to children ----------------------------------------------------------------------------------------------

_ACCESS = {
    "access_to_child_victim": (
        "Access to the child victim",
        "Has the suspect access to the child victim?",
        "The suspect has access to the child who is the victim.",
    ),
    "victim_at_address": (
        "The child victim lives at the suspect's address",
        "Does the child victim live with the suspect?",
        "The child victim's address is the suspect's, as stated or by the addresses of both in the report.",
    ),
    "lives_with_children": (
        "Lives with children",
        "Do children live with the suspect?",
        "Children live at the suspect's address.",
    ),
    "child_protection_address": (
        "Child on a protection plan at the address",
        "Is the address one of a child on a protection plan?",
        "The address is flagged for a child on a protection plan, as stated or by the force's list of addresses.",
    ),
    "access_to_children": (
        "Access to children",
        "Has the suspect access to children: own, friends', neighbours', at work?",
        "The suspect has access to children of any kind, friends' and neighbours' children included.",
    ),
    "position_of_trust": (
        "Position of trust",
        "Does the suspect work or volunteer with children?",
        "Works or volunteers with children, as stated or by the force's list of persons in positions of trust.",
    ),
    "profession_carer": (
        "Carer, foster carer or childminder",
        "Is the suspect a carer, foster carer or childminder?",
        "Is a carer, foster carer or childminder.",
    ),
    "profession_teacher": (
        "Teacher or school staff",
        "Does the suspect work in a school?",
        "Is a teacher or works in a school.",
    ),
    "profession_social_worker": (
        "Social worker",
        "Does the suspect work in social care for children?",
        "Is a social worker or works in social care for children.",
    ),
    "profession_health": (
        "Health care staff",
        "Does the suspect work in health care?",
        "Works in health care.",
    ),
    "profession_police": (
        "Police officer or staff",
        "Is or was the suspect a police officer or police staff?",
        "Is or was a police officer or police staff.",
    ),
}
for _name, _texts in _ACCESS.items():
    stated("access", _name, *_texts, personal=True)

# -- abuse now -------------------------------------------------------------------------------------------------------

_NOW = {
    "child_at_immediate_risk": (
        "Child at immediate risk",
        "Is a child at immediate risk?",
        "The sender states that a child is at immediate risk.",
    ),
    "live_offending": (
        "Abuse happening now",
        "Is abuse happening now?",
        "Abuse is stated to be happening now.",
    ),
}
for _name, _texts in _NOW.items():
    stated("now", _name, *_texts)

# -- current behaviour -----------------------------------------------------------------------------------------------

_BEHAVIOUR = {
    "contact_abuse": (
        "Contact abuse stated",
        "Has the suspect abused a child by contact?",
        "Contact sexual abuse of a child by the suspect is stated, now or in the past.",
    ),
    "child_trafficking": (
        "Child trafficking",
        "Is a child trafficked for sexual purposes?",
        "Trafficking of a child for sexual purposes is stated.",
    ),
    "abuse_abroad": (
        "Travel to abuse children",
        "Does the suspect travel to abuse children?",
        "Travel to abuse children is stated.",
    ),
    "contact_offer": (
        "Offer or arrangement to meet a child",
        "Has the suspect offered or arranged to meet a child, or offered a child to others?",
        "The suspect has offered or arranged to meet a child, or offered a child to others.",
    ),
    "producing": (
        "Producing images",
        "Has the suspect taken or produced indecent images?",
        "Taking or producing indecent images is stated: a child has been within reach of the camera.",
    ),
    "grooming": (
        "Grooming",
        "Is the suspect grooming a child?",
        "Grooming of a child is stated.",
    ),
    "incitement": (
        "Incitement",
        "Has the suspect incited a child to sexual activity?",
        "Incitement of a child to sexual activity is stated.",
    ),
    "coercion": (
        "Coercion or extortion",
        "Is a child being coerced or extorted?",
        "Coercion or extortion of a child is stated.",
    ),
    "sexual_communication": (
        "Sexual communication with a child",
        "Has the suspect communicated sexually with a child?",
        "Sexual communication with a child is stated.",
    ),
}
_BEHAVIOUR |= {
    "offer_call": (
        "Offer of a call",
        "Has the suspect offered a child a call, or asked for one?",
        "A call with a child was offered or asked for. It is not an offer to meet.",
    ),
    "offer_pictures": (
        "Offer of pictures",
        "Has the suspect offered a child pictures, or asked for them?",
        "Pictures were offered to a child, or asked for.",
    ),
    "offer_money": (
        "Offer of money or gifts",
        "Has the suspect offered money or gifts?",
        "Money or gifts were offered for access to a child or for material.",
    ),
}
for _name, _texts in _BEHAVIOUR.items():
    stated("behaviour", _name, *_texts)


@feature("behaviour", "Live streaming", "Is or was abuse streamed live?", facts=["live_streaming"])
def live_streaming(case: CaseFile, _: Reading) -> Answer:
    """Live streaming is stated by the sender, or marked by the provider on a file."""
    return either(
        case.fact("live_streaming"), present(case, "marked_live_streaming", "media_files", "marked as live streaming")
    )


# -- other factors ---------------------------------------------------------------------------------------------------

_OTHER = {
    "organised_abuse": ("Organised abuse", "Is this organised abuse?", "Organised abuse is stated."),
    "multiple_offenders": (
        "More than one offender",
        "Does more than one offender act together?",
        "More than one offender acts together.",
    ),
    "domestic_abuse": (
        "Domestic abuse recorded",
        "Is domestic abuse recorded?",
        "Domestic abuse is recorded for the suspect.",
    ),
    "child_died": (
        "A child has died",
        "Has a child died of known or suspected abuse or neglect?",
        "A child has died, and abuse or neglect is known or suspected.",
    ),
    "child_seriously_harmed": (
        "A child has been seriously harmed",
        "Has a child been seriously harmed by known or suspected abuse or neglect?",
        "A child has been seriously harmed, and abuse or neglect is known or suspected.",
    ),
    "death": ("Death connected with the case", "Is a death connected with the case?", "A death is connected with it."),
    "substance_misuse": (
        "Substance misuse recorded",
        "Is substance misuse recorded?",
        "Substance misuse is recorded for the suspect.",
    ),
    "young_victim": (
        "Young child victim",
        "Is the child victim under 13?",
        "The child victim is young, as stated or by the age or date of birth in the report.",
    ),
    "suspect_is_child": (
        "Child as suspect",
        "Is the suspect under 18?",
        "The suspect is a child, as stated or by the age or date of birth in the report. It adds nothing to the score: it "
        "changes how the case is worked.",
    ),
    "access_to_firearms": (
        "Access to firearms",
        "Has the suspect access to firearms?",
        "The suspect has access to firearms: a danger to those in the home and to the officers who visit.",
    ),
}
_ABOUT_THE_CASE = frozenset({"organised_abuse", "multiple_offenders", "death", "child_died", "child_seriously_harmed"})
for _name, _texts in _OTHER.items():
    stated("other", _name, *_texts, personal=_name not in _ABOUT_THE_CASE)
