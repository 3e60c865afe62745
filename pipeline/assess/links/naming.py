"""Names of services as senders spell them, and values that name nobody, by policy/linking.yaml.

Senders fill a field that they must not leave empty (`n/a`, `unknown`, an IMEI of zeros), and name one service in many
ways (`Instagram`, `instagram.com`, `Instagram, Inc.`). The first must link nothing, the second must not keep apart what
belongs together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.algorithms import EMPTY_FILE
from pipeline.assess import database

_DIGESTS_OF_NOTHING = tuple(f"{name}:{value.hex()}" for name, value in EMPTY_FILE.items())
"""Of an empty file, as keys of files: every empty file is the same."""


class Services:
    """One name for a service however it is spelled."""

    def __init__(self, rules: Mapping[str, Any]) -> None:
        self._names = {other: name for name, others in rules["names"].items() for other in others}
        company = "|".join(map(re.escape, rules["company_words"]))
        domain = "|".join(map(re.escape, rules["domains"]))
        self._web = re.compile(rf"(?:https?://)?(?:www\.)?([^/\s]+)\.(?:{domain})/?")
        self._company = re.compile(rf"(.*\w)[\s,.]+(?:{company})\.?")

    def name(self, written: str) -> str:
        """The policy's name of a service; one that it does not list, without its web ending and legal form."""
        plain = " ".join(written.casefold().split())
        if found := self._web.fullmatch(plain):
            plain = found[1]
        while found := self._company.fullmatch(plain):
            plain = found[1]
        name: str = self._names.get(plain, plain)
        return name


def nobody(rules: Mapping[str, Any]) -> set[str]:
    """Values that link nothing, in each form in which keys have them: as a handle, without separators, and as the
    words of a name in alphabetical order."""
    values = {str(value).casefold() for value in rules["nobody"]}
    bare = {re.sub(r"[\s-]+", "", value) for value in values}
    words = {" ".join(sorted(re.findall(r"\w+", value))) for value in values}
    return (values | bare | words | set(_DIGESTS_OF_NOTHING)) - {""}


def host(url: str) -> str:
    """The host of a web address in lower case, without www. and m.; of `https://www.youtube.com/x` youtube.com."""
    bare = re.sub(r"^[a-z]+://", "", url.casefold())
    return re.sub(r"^(www|m)\.", "", re.split(r"[/?#:]", bare, maxsplit=1)[0])


def register(con: duckdb.DuckDBPyConnection, rules: Mapping[str, Any]) -> None:
    """The tables `services` (written, name) and `nobody` (value) for the keys; `con` has the views of `keys.views`."""
    services = Services(rules["services"])
    written = database.query(con, database.sql("services_written"))["service"].to_pylist()
    named = [services.name(text) for text in written]
    con.register(
        "services", pa.table({"written": pa.array(written, pa.string()), "name": pa.array(named, pa.string())})
    )
    exact = rules["exact_case"]
    con.register("exact_services", pa.table({"name": pa.array(exact["services"], pa.string())}))
    urls = database.query(con, database.sql("urls_written"))["value"].to_pylist()
    hosts = set(exact["hosts"])
    chosen = [url for url in urls if host(url) in hosts]
    con.register("exact_urls", pa.table({"written": pa.array(chosen, pa.string())}))
    con.register("nobody", pa.table({"value": pa.array(sorted(nobody(rules)), pa.string())}))
