"""Where people of a referral live and work: the local authority and the force of each address, judged one by one.

An address counts by its whole postcode, which has one authority and one force; part of a postcode counts where it lies in
the area of one force. What NCMEC found by the place of an IP address is a weak hint and is kept apart: such a place is
often the provider's, and decides nothing.
"""

from __future__ import annotations

from typing import Any

from pipeline.ingest.geography.forces import Forces
from pipeline.ingest.reports import values
from pipeline.row import Row

HERE = frozenset(
    {"", "GB", "GBR", "UK", "UNITED KINGDOM", "GREAT BRITAIN", "ENGLAND", "SCOTLAND", "WALES", "NORTHERN IRELAND"}
)
"""Ways of writing that an address is in the United Kingdom; an empty text leaves it open."""


def police(address: Row, forces: Forces) -> tuple[str, ...]:
    """Codes of the forces of an address. A district alone counts where no other country is named."""
    return forces.of_postcode(_code(address) or " ")


def of_subject(subject: Row, forces: Forces) -> list[dict[str, Any]]:
    """Places of a subject, each once: `place` home or work, `postcode`, `authority`, `services`, `force` (None where not
    known). An address of which neither authority nor force is known is left out."""
    found = []
    for place, column in (("home", "addresses"), ("work", "workplaces")):
        for address in subject.get(column) or ():
            row = _located(place, _code(address), forces)
            if row is not None and row not in found:
                found.append(row)
    return found


def hint(stated: Row, forces: Forces) -> dict[str, Any] | None:
    """The place of an IP address as NCMEC looked it up (`whose`, `ip`, `postcode`, `city`, `region`, `country`), with the
    authority or force that it points to; None where it points to none here."""
    code = _code({"postcode": stated.get("postcode") or "", "country": stated.get("country") or ""})
    row = _located("ip", code, forces)
    if row is None and stated.get("country", "").strip().upper() in HERE:
        row = _by_name([stated.get("city", ""), stated.get("region", "")], forces)
    return None if row is None else {**row, "whose": stated["whose"], "ip": stated.get("ip") or ""}


def _code(address: Row) -> str | None:
    written = address.get("postcode", "")
    code = values.postcode(written)
    if code is None and address.get("country", "").strip().upper() in HERE:
        code = values.district(written)
    return code


def _located(place: str, code: str | None, forces: Forces) -> dict[str, Any] | None:
    if code is None:
        return None
    authority = forces.authority(code) if len(code.partition(" ")[2]) == 3 else None
    shared = forces.of_postcode(code)
    force = shared[0] if len(shared) == 1 else None
    if authority is None and force is None:
        return None
    return {
        "place": place,
        "postcode": code,
        "authority": authority.name if authority else None,
        "services": authority.services or None if authority else None,
        "force": force,
    }


def _by_name(names: list[str], forces: Forces) -> dict[str, Any] | None:
    """A town or county that is the name of an authority, or of the county above it."""
    wanted = [name.strip().casefold() for name in names if name.strip()]
    for name in wanted:
        fitting = [a for a in forces.authorities.values() if name in {a.name.casefold(), a.services.casefold()}]
        shared = {a.force_code for a in fitting}
        if len(shared) == 1:
            services = {a.services for a in fitting}
            return {
                "place": "ip",
                "postcode": None,
                "authority": fitting[0].name if len(fitting) == 1 else None,
                "services": services.pop() or None if len(services) == 1 else None,
                "force": shared.pop(),
            }
    return None
