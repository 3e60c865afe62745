"""Keys by which two spellings of one person, address or mailbox are found, each a weaker lead than the value itself.

Short forms of first names come from the package `nicknames` (English names, offline). No well-kept library parses British
addresses offline without a model of gigabytes, so house, street and town are taken from the commas that people write.
Nothing is merged: a lead says what is alike, and a person decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

import duckdb
import pyarrow as pa
from nicknames import NickNamer

from pipeline.assess import database
from pipeline.ingest.reports import values

_STREETS = {
    "st": "street", "str": "street", "rd": "road", "ave": "avenue", "av": "avenue", "ln": "lane", "dr": "drive",
    "cl": "close", "ct": "court", "cres": "crescent", "pl": "place", "sq": "square", "gdns": "gardens", "gdn": "garden",
    "terr": "terrace", "ter": "terrace", "gr": "grove", "pk": "park", "wy": "way", "hl": "hill",
}  # fmt: skip
"""Short forms of the last word of a street."""
_TYPES = frozenset(
    {*_STREETS.values(), "row", "mews", "parade", "walk", "view", "rise", "mount", "end", "wharf", "approach"}
)
"""Words that end the name of a street, for addresses without commas."""
_POSTCODE = re.compile(r"\b[a-z]{1,2}[0-9][a-z0-9]? {0,3}[0-9][a-z]{2}\b")
_HOUSE = re.compile(
    r"(?:(?:flat|apartment|apt|unit|room)\W{0,3}\w{1,4}\W+)?(?:(?:no|number|house)\s+)?(?:\d{1,4}[a-z]?\s*/\s*)?"
    r"(\d{1,4}(?:\s?[a-z])?)(?:\s+\d{1,4}[a-z]?)?\s+(\D.*)"
)
_NOT_A_TOWN = frozenset(
    {"uk", "united kingdom", "england", "scotland", "wales", "northern ireland", "great britain", "gb"}
)


def mailbox(email: str) -> str:
    """The mailbox that an address reaches: without a tag behind a plus; at Google without dots, whichever of its two
    names the service has (googlemail.com was its British name); the domain in the ASCII form of IDNA."""
    local, _, domain = email.rpartition("@")
    local = local.partition("+")[0] or local
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = domain.casefold()
    if domain in {"gmail.com", "googlemail.com"}:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


@lru_cache(maxsize=65536)
def forenames(written: str) -> frozenset[str]:
    """A first name in lower case with the names that it is short for: jon gives jon, john, jonathan and their spellings."""
    return frozenset({written, *_names().canonicals_of(written)})


@cache
def _names() -> NickNamer:
    return NickNamer()


def streets(address: str, counties: frozenset[str] = frozenset()) -> list[str]:
    """House, street and town of an address as `14|high street|chelmsford`: one key for every part between commas that can be
    the town, or what stands behind the word for the street. `counties` are no towns. Empty without a house number or a town."""
    folded = address.casefold()
    if not folded.isascii():
        folded = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    folded = _POSTCODE.sub(" ", re.sub("['\u2019\u2018\u02bc`\u00b4]", "", values.visible(folded)))
    folded = re.sub(r"(^|[,;\n])\s*((?:no\W+|number )?\d{1,4}[a-z]?)\s*,", r"\1 \2 ", folded)  # 14, High Street
    parts = [" ".join(re.sub(r"[^\w/ ]", " ", part).split()) for part in re.split(r"[,;\n]", folded)]
    for place, part in enumerate(parts):
        house = _HOUSE.fullmatch(part)
        if house is None:
            continue
        street, behind = _street(house[2].split())
        rest = [p for p in (behind, *parts[place + 1 :]) if p and not any(c.isdigit() for c in p)]
        towns = [p for p in rest if p not in _NOT_A_TOWN and p not in counties]
        return [f"{house[1].replace(' ', '')}|{street}|{town}" for town in towns]
    return []


def _street(words: list[str]) -> tuple[str, str]:
    """A street, with the words for street and Saint written out, and what stands behind it where no comma parts them."""
    whole = [
        _STREETS.get(word, word) if place else ("st" if word == "saint" else word) for place, word in enumerate(words)
    ]
    ends = [place for place, word in enumerate(whole) if place and word in _TYPES]
    end = ends[0] if ends else len(whole) - 1
    return " ".join(whole[: end + 1]), " ".join(words[end + 1 :])


@lru_cache(maxsize=262144)
def _streets_of(address: str, counties: frozenset[str]) -> tuple[str, ...]:
    """`streets`, kept for a run: links and lists ask for the same addresses."""
    return tuple(streets(address, counties))


def register(
    con: duckdb.DuckDBPyConnection, counties: Iterable[str], *, entries: bool = False, kept: bool = False
) -> None:
    """The tables `first_names`, `street_keys` and `special_mailboxes` (written, value) for the keys of what `keys.written` has;
    with `entries`, of the entries of lists too; with `kept`, the mailboxes of the kept index too."""
    known = frozenset(name.casefold() for name in counties)
    which = "similar_written_lists" if entries else "similar_written"
    written = database.query(con, database.sql(which))
    columns: dict[str, list[tuple[str, str]]] = {"forename": [], "address": [], "email": []}
    for kind, text in zip(written["kind"].to_pylist(), written["value"].to_pylist(), strict=True):
        columns[kind] += [(text, value) for value in _values(kind, text, known)]
    special = "special_of_lists" if entries else "special_found"
    for table, kind in (("first_names", "forename"), ("street_keys", "address"), (special, "email")):
        rows = columns[kind]
        data = {
            "written": pa.array([r[0] for r in rows], pa.string()),
            "value": pa.array([r[1] for r in rows], pa.string()),
        }
        con.register(table, pa.table(data))
    views = [special, "kept.special"] if kept else [special]
    rows_of = " UNION ALL ".join(database.sql("rows", view=view) for view in views)
    con.execute(database.sql("special_mailboxes", rows=rows_of))


def _values(kind: str, text: str, counties: frozenset[str]) -> Iterator[str]:
    if kind == "forename":
        yield from sorted(forenames(text))
    elif kind == "address":
        yield from _streets_of(text, counties)
    else:
        try:
            yield mailbox(values.email(text))
        except values.UnusableError:
            return
