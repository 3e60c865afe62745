"""Single values: times, addresses, numbers, hashes; nothing is guessed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.reports import values
from pipeline.ingest.reports.values import UnusableError


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-01T10:00:00Z", "", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00.8300Z", "", "2026-03-01T10:00:00.830000+00:00"),
        ("2026-03-01T10:00:00.1234567Z", "", "2026-03-01T10:00:00.123456+00:00"),
        ("2026-03-01T10:00:00+02:00Z", "", "2026-03-01T08:00:00+00:00"),
        ("2026-03-01 10:00 UTC", "", "2026-03-01T10:00:00+00:00"),
        ("2026-07-01 10:00", "Europe/London", "2026-07-01T09:00:00+00:00"),
        ("23/02/2026 10:00 +0100", "", "2026-02-23T09:00:00+00:00"),
        ("2026-03-01 10:00:00 GMT-05:00", "", "2026-03-01T15:00:00+00:00"),
        ("/Date(1767225600000)/", "", "2026-01-01T00:00:00+00:00"),
        ("2026-03-01T10:00:00,83Z", "", "2026-03-01T10:00:00.830000+00:00"),
        ("2026-03-01T10:00:00+02", "", "2026-03-01T08:00:00+00:00"),
        ("05/05/2026 10:00 Z", "", "2026-05-05T10:00:00+00:00"),
        ("20260301T100000Z", "", "2026-03-01T10:00:00+00:00"),
        ("20260301T100000.5+0200", "", "2026-03-01T08:00:00.500000+00:00"),
        ("20260301T1000", "Europe/London", "2026-03-01T10:00:00+00:00"),
        ("Sun, 01 Mar 2026 10:00:00 +0000", "", "2026-03-01T10:00:00+00:00"),
        ("1 Mar 2026 10:00 -0500", "", "2026-03-01T15:00:00+00:00"),
        ("Sun, 1 Mar 2026 10:00:00 GMT", "", "2026-03-01T10:00:00+00:00"),
        ("2026-07-01T10:00:00[Europe/London]", "", "2026-07-01T09:00:00+00:00"),
        ("2026-10-25T01:30:00+01:00[Europe/London]", "", "2026-10-25T00:30:00+00:00"),
        ("2026-03-01T10:00:00Z[!UTC]", "", "2026-03-01T10:00:00+00:00"),
    ],
)
def test_times_that_are_certain(text: str, zone: str, expected: str) -> None:
    read = values.moment(text, zone)
    assert read.value == datetime.fromisoformat(expected)
    assert not read.ambiguous
    assert read.original == text


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("2026-03-01T10:00:00", "", "no time zone"),
        ("03/04/2026 10:00 Z", "", "day and month"),
        ("12/25/2026 10:00 Z", "", "month before the day"),
        ("2026-10-25 01:30", "Europe/London", "clock was changed"),
        ("2026-03-29 01:30", "Europe/London", "clock was changed"),
        ("2026-03-01", "UTC", "without a time of day"),
        ("2026-13-01T10:00:00Z", "", "not a possible date"),
        ("2026-03-01 10:00 IST", "", "abbreviation is not unique"),
        ("2026-03-01 10:00 PM UTC", "", "no time zone"),
        ("2026-03-01 10:00", "Nowhere/Atall", "no such time zone"),
        ("2026-03-01 10:00 +25:00", "", "no such time zone"),
        ("0001-01-01T00:00:00+14:00", "", "not a possible"),
        ("1899-01-01T00:00:00Z", "", "year cannot be right"),
        ("yesterday", "", "cannot be read"),
        ("20260301T100000", "", "no time zone"),
        ("1 Mar 2026 10:00", "", "no time zone"),
        ("1 Foo 2026 10:00 +0000", "", "cannot be read"),
        ("20261301T100000Z", "", "not a possible date"),
        ("2026-10-25T01:30:00[Europe/London]", "", "clock was changed"),
        ("2026-03-01T10:00:00[Nowhere/Atall]", "", "no such time zone"),
        ("/Date(999999999999999)/", "", "not a possible date"),
    ],
)
def test_times_that_are_not_certain_are_flagged_and_not_guessed(text: str, zone: str, why: str) -> None:
    read = values.moment(text, zone)
    assert read.value is None
    assert read.ambiguous
    assert why in read.problem


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_as_a_time_is_read_or_flagged(text: str, zone: str) -> None:
    read = values.moment(text, zone)
    assert (read.value is None) == bool(read.problem) == read.ambiguous


NAIVE = st.datetimes(datetime(1981, 1, 1), datetime(2099, 1, 1))  # noqa: DTZ001 - the zone is what is tested


@given(NAIVE, st.integers(-13 * 60, 13 * 60))
def test_a_time_with_an_offset_is_that_moment(naive: datetime, minutes: int) -> None:
    sign = "+" if minutes >= 0 else "-"
    text = f"{naive:%Y-%m-%dT%H:%M:%S.%f}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    assert values.moment(text).value == datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "yes"), (False, "no"), (None, "unknown"), ("Yes", "yes"), ("false", "no"), ("n/k", "unknown"), (1, "yes")],
)
def test_three_states(value: object, expected: str) -> None:
    assert values.tri_state(value) == expected


@pytest.mark.parametrize("value", ["perhaps", 2, 0.5, [], {}])
def test_what_is_neither_yes_nor_no(value: object) -> None:
    with pytest.raises(UnusableError):
        values.tri_state(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", None)),
        ("192.0.2.1:443", ("192.0.2.1", 443)),
        ("[2001:DB8::0001]:8080", ("2001:db8::1", 8080)),
        ("2001:db8:0:0:0:0:0:1", ("2001:db8::1", None)),
        ("::ffff:192.0.2.1", ("192.0.2.1", None)),
    ],
)
def test_ip(text: str, expected: tuple[str, int | None]) -> None:
    assert values.ip_and_port(text) == expected


@pytest.mark.parametrize("text", ["", "192.0.2.256", "192.0.2.01", "192.0.2.1:99999", "fe80::1%eth0", "host", "::1]"])
def test_no_ip(text: str) -> None:
    with pytest.raises(UnusableError):
        values.ip_and_port(text)


@given(st.text(max_size=80))
def test_any_text_as_identifier_is_normalised_or_unusable(text: str) -> None:
    for function in (values.ip_and_port, values.email, values.handle, lambda t: values.phone(t, "GB")):
        try:
            function(text)
        except UnusableError as error:
            assert str(error)


@pytest.mark.parametrize(
    "unseen", ["\u200b", "\u202a", "\u2060", "\ufeff", "\u061c", "\u180e", "\u3164", "\ufe0f", "\U000e0041"]
)
def test_what_nobody_sees_makes_no_other_value(unseen: str) -> None:
    assert values.phone(f"0791{unseen}1123456", "GB") == "+447911123456"
    assert values.email(f"sample{unseen}@example{unseen}.org") == "sample@example.org"
    assert values.handle(f"@sam{unseen}ple") == "sample"
    assert values.date_of_birth(f"15 March{unseen} 1970") == "1970-03-15"


def test_phone_is_e164_and_needs_a_country() -> None:
    assert values.phone("+44 7700 900123", "GB") == "+447700900123"
    assert values.phone("020 7946 0018", "GB") == "+442079460018"
    with pytest.raises(UnusableError, match="country code"):
        values.phone("555 0100", "GB")
    with pytest.raises(UnusableError):
        values.phone("+999 12345678", "GB")


def test_a_registration_is_the_same_with_and_without_spaces() -> None:
    assert (
        values.registration("ab12 CDE")
        == values.registration("AB12-CDE")
        == values.registration(" AB12CDE")
        == "ab12cde"
    )
    with pytest.raises(UnusableError):
        values.registration(" - ")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("AA:BB:CC:00:11:22", "aa-bb-cc-00-11-22"),
        ("35 000000 000000 1", "350000000000001"),
        ("{123E4567-E89B-12D3-A456-426614174000}", "123e4567e89b12d3a456426614174000"),
    ],
)
def test_a_device_is_the_same_however_its_id_is_set(left: str, right: str) -> None:
    assert values.device(left) == values.device(right)
    assert values.device("SN-0001") == "sn-0001" != values.device("SN0001")


def test_names_are_folded_for_comparison() -> None:
    assert values.handle("  @Sample_USER ") == "sample_user"
    assert values.handle("Sample_user") == "sample_user"


@pytest.mark.parametrize(
    "text",
    [
        "MAILTO:Person@Example.ORG",
        "mailto:person@example.org",
        "Sample Person <Person@example.org>",
        "person@example.org; ",
    ],
)
def test_an_email_address_is_read_however_it_is_written(text: str) -> None:
    assert values.email(text) == "person@example.org"


@pytest.mark.parametrize("text", ["a@b.example, c@d.example", "<a@b.example> <c@d.example>", "a;b@c.example"])
def test_of_several_email_addresses_none_is_guessed(text: str) -> None:
    with pytest.raises(UnusableError):
        values.email(text)


def test_a_description_of_a_vehicle_is_no_registration() -> None:
    assert values.is_registration("AB12 CDE")
    assert not values.is_registration("blue car")
    assert not values.is_registration("blue car, 4 doors")


def test_hashes() -> None:
    assert values.digest("AB" * 16, "md5") == b"\xab" * 16
    for text in ("AB" * 15, "zz" * 16, "ab " * 16, "d41d8cd98f00b204e9800998ecf8427e"):
        with pytest.raises(UnusableError):
            values.digest(text, "md5")


def test_postcode_and_birth() -> None:
    assert values.postcode("1 Sample Street, zz991aa") == "ZZ99 1AA"
    assert values.postcode("ZZ99  1aa") == "ZZ99 1AA"
    assert values.postcode("no code here") is None
    assert [values.district(t) for t in ("zz99", "SW1A 1", "E1W", "M5V", "90210", "ZZ")] == [
        "ZZ99",
        "SW1A 1",
        "E1W",
    ] + [None] * 3
    assert values.date_of_birth("23/02/1980") == "1980-02-23"
    assert values.date_of_birth("03/02/1980") == "03/02/1980"
    assert values.date_of_birth("1980-02-23") == "1980-02-23"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("15 March 1970", "1970-03-15"),
        ("15th of March 1970", "1970-03-15"),
        ("March 15, 1970", "1970-03-15"),
        ("15-Mar-1970", "1970-03-15"),
        ("1 Sept. 1970", "1970-09-01"),
        ("Sunday 15 March 1970", "1970-03-15"),
        ("Sun, Mar 15 1970", "1970-03-15"),
        ("15\u200b March 1970", "1970-03-15"),
        ("15-03-1970", "1970-03-15"),
        ("15 03 1970", "1970-03-15"),
        ("1970/03/15", "1970-03-15"),
        ("1970-3-5", "1970-03-05"),
        ("1970-\uff10\uff13-15", "1970-03-15"),  # digits of another width
        ("\uff11\uff19\uff17\uff10-03-15", "\uff11\uff19\uff17\uff10-03-15"),
        ("1970-02-31", "1970-02-31"),
        ("3/15/1970", "1970-03-15"),
        ("1970.3.15", "1970-03-15"),
        ("03-04-1970", "03-04-1970"),
        ("Monday", "Monday"),
        ("31 February 1970", "31 February 1970"),
        ("March 1970", "March 1970"),
    ],
)
def test_a_date_of_birth_is_read_however_it_is_written(written: str, read: str) -> None:
    assert values.date_of_birth(written) == read


HIDDEN = "\u200b\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"


def test_characters_that_nobody_sees_are_no_part_of_an_address_or_a_name() -> None:
    for mark in HIDDEN:
        assert values.email(f"{mark}sample{mark}@example.invalid{mark}") == "sample@example.invalid"
        assert values.handle(f"sample{mark}_user{mark}") == "sample_user"
    with pytest.raises(values.UnusableError):
        values.handle(HIDDEN)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("digit", ["0", "f", "F", "1"])
def test_one_digit_again_and_again_is_no_hash(name: str, digit: str) -> None:
    with pytest.raises(values.UnusableError, match="again and again"):
        values.digest(digit * 2 * values.STATED[name], name)
