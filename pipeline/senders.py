"""The sources of referrals: one table with code, landing folder, label, who numbers the references, and compartment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferralSource:
    """One source, as every room knows it.

    `code` stands in the column `source` of the lake and of the case store; `folder` is the landing folder whose packages
    are of it (several sources may share one); `label` is what people read. Sources of one `family` number their
    references together. `sender` is where the extension of a referral says which sender it comes from, where a source
    has several. `origin`: whether others report
    (reactive) or an investigation finds (proactive), which yearly figures keep apart. `compartment`: what could identify a covert source of it is restricted to those who have it.
    """

    code: str
    folder: str
    label: str
    family: str
    sender: tuple[str, ...] = ()
    compartment: str | None = None
    origin: str = "reactive_referral"


SOURCES: dict[str, ReferralSource] = {
    s.code: s
    for s in (
        ReferralSource("NCA_NCMEC", "nca", "NCA (NCMEC)", "NCA"),
        ReferralSource("NCA_DRB", "nca", "NCA (DRB)", "NCA"),
        ReferralSource("UCOL", "ucol", "UCOL", "UCOL", compartment="ucol", origin="proactive_investigation"),
        ReferralSource(
            "OCAG", "ocag", "OCAG", "OCAG", sender=("ocag", "group", "name"), origin="proactive_investigation"
        ),
        ReferralSource("OTHER", "other", "Other", "OTHER", sender=("taken", "organisation")),
    )
}
"""In the order of filters and lists. A further source is a line here, its folder in policy/ingest.yaml, and its reader."""

FOLDERS = tuple(dict.fromkeys(source.folder for source in SOURCES.values()))
COMPARTMENTS = tuple(dict.fromkeys(s.compartment for s in SOURCES.values() if s.compartment))
"""Compartments that a person can be admitted to."""
