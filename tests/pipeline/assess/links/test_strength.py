"""How strong a shared value is, and the nearest sightings against a slow twin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import policy
from pipeline.assess.links.strength import LinkRules, Sighting, closest, strongest
from pipeline.settings import Settings
from tests.pipeline.assess.builders import T0

RULES = LinkRules(policy.load(Settings(), "linking").data)


def seen(minutes: int | None, port: int | None = None, row: str = "i", **more: object) -> Sighting:
    at = None if minutes is None else T0 + timedelta(minutes=minutes)
    values = {"subject_id": None, "role": None, "ambiguous": False, "proxy": None} | more
    return Sighting("identifiers", row, port=port, seen_at=at, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "left", "right", "kind", "strength", "words"),
    [
        ("81.2.3.4", seen(0, 5000), seen(60, 5000), "ip_port_time", "strong", "port within"),
        ("81.2.3.4", seen(0, 5000), seen(60, 5001), "ip", "medium", "without a common port"),
        ("81.2.3.4", seen(0), seen(60), "ip", "medium", "without a common port"),
        ("81.2.3.4", seen(0, 443), seen(60, 443), "ip", "medium", "without a common port of a customer"),
        ("100.64.1.2", seen(0, 80), seen(0, 80), "ip", "weak", "carrier NAT (RFC 6598)"),
        ("81.2.3.4", seen(0, 5000), seen(9999, 5000), "ip", "weak", "handed on"),
        ("81.2.3.4", seen(None, 5000), seen(None, 5000), "ip", "weak", "handed on"),
        ("81.2.3.4", seen(0, 5000, ambiguous=True), seen(0, 5000), "ip", "weak", "ambiguous"),
        ("100.64.1.2", seen(0), seen(0), "ip", "weak", "carrier NAT (RFC 6598)"),
        ("100.64.1.2", seen(0, 5000), seen(9, 5000), "ip_port_time", "strong", "port within"),
        ("81.2.3.4", seen(0, proxy="yes"), seen(0), "ip", "weak", "proxy or VPN by the sender"),
        ("2001:db8::1", seen(0), seen(0), "ip", "medium", "without a common port"),
    ],
)
def test_addresses(  # noqa: PLR0917
    address: str, left: Sighting, right: Sighting, kind: str, strength: str, words: str
) -> None:
    verdict = RULES.judge("ip", address, [left], [right], 2)
    assert verdict is not None
    assert (verdict.kind, verdict.strength) == (kind, strength)
    assert words in verdict.reason


def test_a_shared_address_that_many_have_says_each_thing_once() -> None:
    verdict = RULES.judge("ip", "100.64.1.2", [seen(0)], [seen(0)], 1234)
    assert verdict is not None and verdict.reason == (
        "The same address of a kind that many people use at once: weak by itself, without a common port and time. "
        "It is in a range of carrier NAT (RFC 6598). "
        "1234 referrals share it, so it says little about any two of them."
    )


@pytest.mark.parametrize(
    "address", ["192.168.0.1", "10.1.2.3", "127.0.0.1", "fe80::1", "::1", "fd00::7", "::", "255.255.255.255"]
)
def test_addresses_that_name_nobody_link_nothing(address: str) -> None:
    assert RULES.judge("ip", address, [seen(0, 5)], [seen(0, 5)], 2) is None


def test_a_value_that_many_share_is_weak_and_says_how_many() -> None:
    verdict = RULES.judge("email", "a@b.example", [seen(None)], [seen(None)], 1234)
    assert verdict is not None and verdict.strength == "weak" and "1234 referrals" in verdict.reason


def test_a_value_that_belongs_to_a_victim_on_one_side_says_so() -> None:
    verdict = RULES.judge("phone", "+440", [seen(None, role="suspect")], [seen(None, role="victim")], 2)
    assert verdict is not None and verdict.reason.endswith("it belongs to a victim.")


sightings = st.lists(
    st.builds(seen, st.one_of(st.none(), st.integers(0, 300)), st.sampled_from([None, 1, 2]), st.sampled_from("abc")),
    min_size=1,
    max_size=8,
)


@given(sightings, sightings, st.integers(0, 60), st.booleans())
def test_nearest_sightings_agree_with_trying_every_pair(
    left: list[Sighting], right: list[Sighting], window: int, same_port: bool
) -> None:
    gaps = [
        abs(a.seen_at - b.seen_at)
        for a in left
        for b in right
        if a.seen_at is not None
        and b.seen_at is not None
        and (not same_port or (a.port is not None and a.port == b.port))
    ]
    fitting = [gap for gap in gaps if gap <= timedelta(minutes=window)]
    found = closest(left, right, timedelta(minutes=window), same_port=same_port)
    if not fitting:
        assert found is None
    else:
        assert found is not None and found[0].seen_at is not None and found[1].seen_at is not None
        assert abs(found[0].seen_at - found[1].seen_at) == min(fitting)
        assert not same_port or found[0].port == found[1].port


def test_strongest() -> None:
    assert strongest(["weak", "strong", "medium"]) == "strong"
