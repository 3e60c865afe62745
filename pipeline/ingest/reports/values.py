"""Single values of a referral: what was written, what it means, and what is wrong with it.

Each function takes the value as it stands in the report and returns what it could make of it. Nothing is guessed: a
time without a zone has no UTC value, a telephone number that fits no numbering plan has no E.164 form; the original
text is always kept beside it by the caller.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from pipeline import unseen
from pipeline.algorithms import EMPTY_FILE, STATED
from pipeline.ingest.reports import timeforms

YES, NO, UNKNOWN = "yes", "no", "unknown"

_TRUE = frozenset({"true", "yes", "y", "1", "t"})
_FALSE = frozenset({"false", "no", "n", "0", "f"})
_NOTHING = frozenset({"", "unknown", "not known", "null", "none", "n/k", "n/a"})


class UnusableError(ValueError):
    """The value cannot be used; the text says why, in words that can be sent back to whoever sent it."""


class UnusablePortError(UnusableError):
    """The port written with an IP address cannot be used; the `address` can."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(why)
        self.address = address


class WrittenMoment(NamedTuple):
    """A time: `value` in UTC or None, the `original` text, the `zone` as written, whether it is `ambiguous`, and the
    `problem` in words (empty when there is none)."""

    value: datetime | None
    original: str
    zone: str = ""
    ambiguous: bool = False
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"original": self.original, "zone": self.zone, "ambiguous": self.ambiguous}

    def stated(self) -> dict[str, Any]:
        """As in an extension of a referral: the original text with the value beside it."""
        return {**self.as_dict(), "utc": self.value.isoformat() if self.value else None}

    def columns(self, name: str) -> dict[str, Any]:
        """Columns of a record with one time: the value, and beside it the original text, its zone and the flag."""
        return {
            name: self.value,
            f"{name}_original": self.original,
            f"{name}_zone": self.zone,
            "time_ambiguous": self.ambiguous,
        }


NO_ZONE = "the time has no time zone, so it is not certain which moment it means"

_NUMBERS = re.compile(r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?)([.,]\d+)?\s*(.*)")
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(.*)")
_DOTNET = re.compile(r"/Date\((-?\d{1,16})(?:[+-]\d{4})?\)/")
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{2}):?(\d{2})?(?:Z)?")
_ZULU = frozenset({"Z", "z", "UTC", "GMT", "Etc/UTC"})


@lru_cache(maxsize=8192)
def moment(text: str, zone: str = "") -> WrittenMoment:  # noqa: PLR0911 - one return for each way of failing
    """Read a time. `zone` is a time zone stated elsewhere in the report, used when the text itself has none.

    ISO 8601 with any number of decimals, also basic, `+01:00Z` (seen in real exports), `[Europe/London]`, RFC 2822, .NET
    `/Date(ms)/`, and day/month/year.
    The value is None when no zone is known, when day and month could be exchanged, or when the clock went back at
    that time in the stated zone: such times are flagged and never guessed.
    """
    text = text.strip()
    swapped = False
    parts = _NUMBERS.fullmatch(text)  # nearly every time; the other ways of writing begin differently
    if parts is None:
        dotnet = _DOTNET.fullmatch(text)
        if dotnet:
            return _dotnet(text, int(dotnet[1]))
        plain = text
        slashed = _SLASHED.fullmatch(text)
        if slashed:
            day, month = int(slashed[1]), int(slashed[2])
            swapped = day != month and day <= 12 and month <= 12
            if month > 12 >= day:
                return WrittenMoment(None, text, zone, True, "the time seems to give the month before the day")
            plain = f"{slashed[3]}-{month:02d}-{day:02d}{slashed[4]}"
        if _DATE.fullmatch(plain):
            return WrittenMoment(None, text, zone, True, "this is a date without a time of day")
        parts = _NUMBERS.fullmatch(plain)
    if parts is None:
        parts = _NUMBERS.fullmatch(timeforms.plain(text))
    if parts is None:
        return WrittenMoment(None, text, zone, True, "this cannot be read as a time")
    try:
        naive = datetime.fromisoformat(parts[1])
        if parts[2]:
            naive += timedelta(microseconds=int(f"{parts[2][1:7]:0<6}"))
    except (ValueError, OverflowError):
        return WrittenMoment(None, text, zone, True, "this is not a possible date and time")
    written = timeforms.zone(parts[3].strip()) or zone.strip()
    if not written:
        return WrittenMoment(None, text, "", True, NO_ZONE)
    if swapped:
        return WrittenMoment(None, text, written, True, "day and month could be exchanged")
    return _in_zone(naive, text, written)


def _dotnet(text: str, milliseconds: int) -> WrittenMoment:
    try:
        return _checked(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds), text, "UTC")
    except OverflowError:
        return WrittenMoment(None, text, "UTC", True, "this is not a possible date and time")


def _in_zone(naive: datetime, text: str, written: str) -> WrittenMoment:
    try:
        zone = _zone(written)
    except UnusableError as error:
        return WrittenMoment(None, text, written, True, str(error))
    if zone is UTC:
        return _checked(naive.replace(tzinfo=UTC), text, written)
    first, second = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
    try:
        if first.utcoffset() != second.utcoffset():
            return WrittenMoment(None, text, written, True, "the clock was changed at that time in that zone")
        return _checked(first.astimezone(UTC), text, written)
    except (OverflowError, ValueError):
        return WrittenMoment(None, text, written, True, "this is not a possible date and time")


def _checked(value: datetime, text: str, written: str) -> WrittenMoment:
    if not 1980 <= value.year <= 2100:
        return WrittenMoment(None, text, written, True, "the year cannot be right")
    return WrittenMoment(value, text, written)


@lru_cache(maxsize=256)
def _zone(written: str) -> tzinfo:
    if written in _ZULU:
        return UTC
    offset = _OFFSET.fullmatch(written)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        if minutes > 14 * 60 or int(offset[3] or 0) > 59:
            raise UnusableError("there is no such time zone")
        return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    if "/" not in written and not written.isalpha():
        raise UnusableError("what stands behind the time is no time zone")
    if "/" not in written:  # EST, BST, IST ... each means several zones
        raise UnusableError("the time zone's abbreviation is not unique")
    try:
        return ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnusableError("there is no such time zone") from None


def tri_state(value: Any) -> str:
    """yes, no or unknown. None and empty text are unknown. Raises UnusableError for anything else that is neither."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, int | str):
        word = str(value).strip().lower()
        if word in _TRUE:
            return YES
        if word in _FALSE:
            return NO
        if word in _NOTHING:
            return UNKNOWN
    raise UnusableError("this is neither yes nor no")


def ip_and_port(text: str) -> tuple[str, int | None]:
    """The address in its compressed form, and the port where it is written with it (`1.2.3.4:5678`, `[::1]:5678`).

    Raises UnusablePortError when only the port is wrong, UnusableError when the address is.
    """
    bare, written = text.strip(), None
    if bare.startswith("[") and "]" in bare:
        bare, _, rest = bare[1:].partition("]")
        written = rest.removeprefix(":") if rest else None
    elif bare.count(":") == 1:
        bare, _, written = bare.partition(":")
    address = _ip(bare)
    try:
        return address, None if written is None else port_number(written)
    except UnusableError as error:
        raise UnusablePortError(address, str(error)) from None


@lru_cache(maxsize=65536)
def _ip(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise UnusableError("this is not an IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            raise UnusableError("the address carries an interface name and is only valid inside one machine")
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
    return str(address)


def port_number(value: Any) -> int:
    """A port from 1 to 65535. Raises UnusableError."""
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 65535:
        raise UnusableError("this is not a port from 1 to 65535")
    return int(text)


def visible(text: str) -> str:
    """The text without characters that nobody sees (`unseen`): with them two values look the same and are not."""
    return unseen.without(text)


_EMAIL = re.compile(r"[^@\s\x00-\x1f<>,;]{1,64}@[^@\s\x00-\x1f<>.,;]+(?:\.[^@\s\x00-\x1f<>.,;]+)+")
_NAMED = re.compile(r"[^<>]*<([^<>]+)>")


def email(text: str) -> str:
    """An e-mail address in lower case, also of `Name <address>` and with a separator behind it. Raises UnusableError."""
    bare = visible(text).strip().rstrip(",; ")
    if named := _NAMED.fullmatch(bare):
        bare = named[1].strip()
    lowered = unicodedata.normalize("NFC", bare).lower().removeprefix("mailto:")
    if len(lowered) > 254 or not _EMAIL.fullmatch(lowered):
        raise UnusableError("this is not an e-mail address")
    return lowered


@lru_cache(maxsize=65536)
def phone(text: str, region: str) -> str:
    """A telephone number in E.164. `region` (ISO 3166) is used for a number without a country code, which must then
    be valid there. Raises UnusableError."""
    if len(text) > 60:
        raise UnusableError("this is not a telephone number")
    text = visible(text)
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise UnusableError("this is not a telephone number") from None
    stated = text.strip().startswith(("+", "00"))
    if not (phonenumbers.is_possible_number(number) if stated else phonenumbers.is_valid_number(number)):
        raise UnusableError("no country's numbering plan has this number" if stated else "the country code is missing")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def handle(text: str) -> str:
    """A username, user id, device id, registration or address for comparison: trimmed, NFKC, case folded, single
    spaces, no leading @. Raises UnusableError when nothing is left."""
    folded = " ".join(unicodedata.normalize("NFKC", visible(text)).casefold().split()).removeprefix("@")
    if not folded:
        raise UnusableError("this is empty")
    return folded


def registration(text: str) -> str:
    """A vehicle's registration for comparison: as `handle`, without spaces and hyphens. Raises UnusableError."""
    return handle(re.sub(r"[\s-]+", "", text))


def is_registration(text: str) -> bool:
    """Whether a text can be a vehicle's registration and nothing more: few letters and digits, one digit at least."""
    return re.fullmatch(r"(?=.*[0-9])[0-9a-z]{2,8}", re.sub(r"[\s-]+", "", text.casefold())) is not None


_DEVICE = re.compile(r"[0-9a-f]{12}|[0-9]{15,16}|[0-9a-f]{32}")


def device(text: str) -> str:
    """A device id for comparison: as `handle`; a network address, an IMEI or a UUID without the separators, which every
    sender sets in another way. Raises UnusableError."""
    folded = handle(text)
    bare = re.sub(r"[\s:.{}-]+", "", folded)
    return bare if _DEVICE.fullmatch(bare) else folded


_EMPTY = frozenset(EMPTY_FILE.values())


def digest(text: str, name: str) -> bytes:
    """A hash written in hexadecimal. Raises UnusableError for a wrong length, wrong digits, the hash of an empty file, or one
    digit again and again, which is what is written where there is none."""
    bare = text.strip()
    try:
        raw = bytes.fromhex(bare)
    except ValueError:
        raise UnusableError(f"this is not {name} in hexadecimal") from None
    if raw in _EMPTY:
        raise UnusableError("this is the hash of an empty file")
    if raw == raw[:1] * len(raw) and len(set(bare.lower())) == 1:
        raise UnusableError("one digit again and again is no hash of a file")
    if len(raw) != STATED[name] or len(bare) != 2 * len(raw):  # fromhex passes over white space
        raise UnusableError(f"{name} has {2 * STATED[name]} hexadecimal digits")
    return raw


_POSTCODE = re.compile(r"\b([A-Z]{1,2}[0-9][A-Z0-9]?) {0,3}([0-9][A-Z]{2})\b")
_DISTRICT = re.compile(r"((?:[A-Z]{1,2}[0-9]{1,2}|(?:E|EC|N|NW|SE|SW|W|WC)[0-9][A-Z])(?: [0-9])?)")


def postcode(text: str) -> str | None:
    """The first UK postcode in a text, as `SW1A 1AA`, or None."""
    found = _POSTCODE.search(text.upper())
    return f"{found[1]} {found[2]}" if found else None


def district(text: str) -> str | None:
    """The district or sector that a field for postcodes names instead of a whole one (`SW1A`, `SW1A 1`), or None."""
    found = _DISTRICT.fullmatch(" ".join(text.upper().split()))
    return found[1] if found else None


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_BIRTH = re.compile(r"(\d{1,2})[/. -]+(\d{1,2})[/. -]+(\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})[/. -](\d{1,2})[/. -](\d{1,2})")
_WEEKDAY = re.compile(r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+(?=\S)", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|january|february|march|april|august|september|october"
    r"|november|december)\.?"
)
_DAY_MONTH = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?(?: of)?[ ./-]+{_MONTH},?[ ./-]+(\d{{4}})", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"{_MONTH}[ ./-]+(\d{{1,2}})(?:st|nd|rd|th)?,?[ ./-]+(\d{{4}})", re.IGNORECASE)


def _written_out(text: str) -> str | None:
    """A date whose month is a word, as ISO 8601 (not checked for existence); None for any other text."""
    plain = " ".join(text.split())
    if found := _DAY_MONTH.fullmatch(plain):
        day, month, year = found[1], found[2], found[3]
    elif found := _MONTH_DAY.fullmatch(plain):
        day, month, year = found[2], found[1], found[3]
    else:
        return None
    return f"{year}-{_MONTHS.index(month[:3].lower()) + 1:02d}-{int(day):02d}"


def date_of_birth(text: str) -> str:
    """A date of birth in ISO 8601 where it can be read with certainty, else the text as given."""
    bare = " ".join(visible(text).split())
    if not (bare.isascii() and is_date(bare)):  # nearly every date is one
        bare = _iso_form(_WEEKDAY.sub("", bare, count=1))
    try:
        return datetime.fromisoformat(bare).date().isoformat()
    except ValueError:
        return text.strip()


def _iso_form(bare: str) -> str:
    """A date that is written in another way in ISO 8601 where that is certain (not checked for existence), else the text."""
    parts = _BIRTH.fullmatch(bare)
    if written := _written_out(bare):
        bare = written
    elif year := _YEAR_FIRST.fullmatch(bare):
        bare = f"{year[1]}-{int(year[2]):02d}-{int(year[3]):02d}"
    elif parts:
        first, second = int(parts[1]), int(parts[2])
        if second > 12 >= first:
            first, second = second, first  # only the day can be so large
        if first > 12 or first == second:
            bare = f"{parts[3]}-{second:02d}-{first:02d}"
    return bare


def readings(text: str) -> list[str]:
    """Both ways in which a date of birth can be read whose day and month could be exchanged, in ISO 8601; else none."""
    parts = _BIRTH.fullmatch(" ".join(visible(text).split()))
    if parts is None or is_date(date_of_birth(text)):
        return []
    dates = [
        f"{parts[3]}-{int(month):02d}-{int(day):02d}" for day, month in ((parts[1], parts[2]), (parts[2], parts[1]))
    ]
    return dates if all(1 <= int(n) <= 12 for n in parts.groups()[:2]) else []


def is_date(text: str) -> bool:
    """Whether `date_of_birth` could read what it was given."""
    return _DATE.fullmatch(text) is not None
