"""What pairs of referrals share: of each kind all values, or, where they are many, those that say most.

A sender can repeat the same thousands of identifiers in any number of reports, which then share as many values as they have pairs,
times as many. They are counted and chosen where they are joined, in DuckDB, and judged part by part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.algorithms import DIGESTS
from pipeline.assess import database
from pipeline.assess.links.judging import ON_SERVICE, REPEATED
from pipeline.assess.links.strength import LinkRules, Sighting

AT_ONCE = 250_000
"""Sightings that are held at once on both sides of pairs, and those of one pair more."""

Sightings = dict[tuple[str, str, str], list[Sighting]]
"""By kind, value and referral."""


def kinds(rules: Mapping[str, Any]) -> pa.Table:
    """The table `kinds`: of each kind the shortest value, and the most values by which one pair is judged (of usernames elsewhere so
    many that no repeated one stands in the place of another). `rules` is policy/linking.yaml."""
    least = {"ip": 1} | {name: rule["least"] for name, rule in rules["kinds"].items()}
    most = rules["judged_values"]
    rows = [
        {
            "kind": name,
            "code": code,
            "least": least[name],
            "most": most * (1 + len(ON_SERVICE)) if name == "username_elsewhere" else most,
            "repeats": name in REPEATED,
        }
        for code, name in enumerate(sorted(least))
    ]
    return pa.Table.from_pylist(rows)


def choose(con: duckdb.DuckDBPyConnection, rules: LinkRules) -> set[tuple[str, str]]:
    """Make the table `shared`, what each pair of the table `pairs` is judged by, from `holders`, `sizes` and `kinds`. Returns the pairs
    that share anything."""
    data, digests = rules.data, ", ".join(f"'{name}'" for name in DIGESTS)
    con.register("addresses", rules.places(database.query(con, database.sql("link_addresses"))["value"].to_pylist()))
    con.execute(database.sql("link_counted", hub=int(data["hub"]), digest=DIGESTS[0], digests=digests))
    window, port = int(data["ip"]["window_minutes"]), int(data["ip"]["least_port"])
    con.execute(database.sql("link_shared", window=window, port=port))
    pairs = database.query(con, database.sql("link_judged"))
    return set(zip(pairs["a"].to_pylist(), pairs["b"].to_pylist(), strict=True))


def parts(con: duckdb.DuckDBPyConnection, at_once: int = AT_ONCE) -> Iterator[tuple[pa.Table, Sightings]]:
    """The table `shared`, ordered by pair, kind and value, in parts none of which ends within a pair, each with the sightings of its
    values on both sides."""
    con.execute(database.sql("link_parts", rows=at_once))
    for [part] in con.sql(database.sql("link_part_numbers")).fetchall():
        sightings: Sightings = {}
        rows = database.query(con, database.sql("link_sightings", part=part))
        for row in zip(*[c.to_pylist() for c in rows.columns], strict=True):
            sightings.setdefault(row[:3], []).append(Sighting(*row[3:]))
        yield database.query(con, database.sql("link_part", part=part)), sightings
