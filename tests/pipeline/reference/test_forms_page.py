"""The page of the forms is what their schemas say, and the guide names what there is."""

from __future__ import annotations

from pipeline.ingest import sources
from pipeline.reference import forms_page
from pipeline.settings import ROOT


def test_the_page_is_generated_from_the_schemas() -> None:
    assert (ROOT / "docs" / "referral-forms.md").read_text() == forms_page.render()


def test_every_field_of_every_form_is_on_the_page() -> None:
    page = forms_page.render()
    for field in ("`reference`", "`ucol.offers_of_contact[].when`", "`ocag.confronted.at`", "`report.exif[].serial`"):
        assert field in page


def test_the_guide_names_every_reader() -> None:
    guide = (ROOT / "docs" / "referrals.md").read_text()
    for reader in sources.READERS:
        assert f"`{reader.name}`" in guide
        assert f"landing/{reader.folder}/" in guide
