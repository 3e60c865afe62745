"""The inputs of every case, assembled from the lake in bulk: which referrals make a case, and what is known of it.

One case per referral to begin with. A supplement belongs to the case of the referral that it extends, followed to the
first of the chain, whether that one has arrived or not: so the order of arrival changes nothing. Exact duplicates made
no referral of their own. Persons are never merged; an overlap is a link.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.assess import database
from pipeline.assess.evidence import answers, dating, people
from pipeline.assess.evidence.counters import file_counters, match_counters, sample, viral_condition, words_of
from pipeline.assess.evidence.inputs import FORCE_NOT_SET, NO, YES, Answer, CaseFile, EvidenceRow, Place
from pipeline.assess.features import FEATURES
from pipeline.assess.models.model import Model
from pipeline.errors import IntegrityError
from pipeline.ingest.held import HELD_BACK, deciding, held_back
from pipeline.lake import Lake
from pipeline.lake.parts import Where
from pipeline.matching import flood
from pipeline.settings import Settings

TIMES = (
    "incident_at",
    "provider_reported_at",
    "ncmec_received_at",
    "nca_received_at",
    "nca_disseminated_at",
    "force_received_at",
)
SAMPLE = 3
"""Evidence rows kept for one counter or fact."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # two digits at once: a night asks for thousands of cases


def case_id(referral_id: str) -> str:
    """The case of a referral, for example C-7F3A9C21KD: ten digits of Crockford's base 32 (no I, L, O, U, which are
    misread) from the SHA-256 of the referral's id. Fifty bits: among a million cases the chance that any two agree is
    one in two thousand, and `group` refuses to go on if they do."""
    n = int.from_bytes(hashlib.sha256(referral_id.encode()).digest()[:8]) >> 14
    return (
        f"C-{_PAIRS[n >> 40]}{_PAIRS[n >> 30 & 1023]}{_PAIRS[n >> 20 & 1023]}{_PAIRS[n >> 10 & 1023]}{_PAIRS[n & 1023]}"
    )


def roots(extends: Mapping[str, str | None]) -> dict[str, str]:
    """Referral to the first referral of its chain of supplements. `extends` maps each referral to the one it extends;
    that one need not be among the keys. A ring of referrals that extend each other has its smallest id as root."""
    result: dict[str, str] = {}
    for referral, first in extends.items():
        if first is not None and first not in extends:  # as with most: nothing has to be followed
            result[referral] = first
            continue
        path: list[str] = []
        at = referral
        while at not in result and at not in path:
            path.append(at)
            following = extends.get(at)
            if following is None or following == at:
                break
            at = following
        ring = path[path.index(at) :] if at in path[:-1] else [at]
        root = result.get(at, min(ring))
        for passed in path:
            result[passed] = root
    return {referral: result[referral] for referral in extends}


def group(extends: Mapping[str, str | None]) -> dict[str, str]:
    """Referral to the id of its case. Raises IntegrityError when two cases would have one id."""
    chains = roots(extends)
    ids: dict[str, str] = {}
    for root in set(chains.values()):
        other = ids.setdefault(case_id(root), root)
        if other != root:
            raise IntegrityError("Two referrals lead to the same case id.", "Report this with both referral ids.")
    return {referral: case_id(root) for referral, root in chains.items()}


@dataclass(frozen=True)
class ListHit:
    """A referral found on a list of the force, or beside a referral of a source in conflict (no list), and the fact that
    it implies (None when it implies none)."""

    referral_id: str
    list_name: str | None
    fact: str | None
    link_id: str
    note: str


@dataclass
class Bulk:
    """Everything that case files are made from, in columns."""

    settings: Settings
    model: Model
    lake: Lake
    links: pa.Table
    """Current links (schemas/records/links.json), this night's included."""
    hits: list[ListHit] = field(default_factory=list)
    assessed: frozenset[str] = frozenset()
    """Cases that have an assessment: one of them that belongs to another case now, because the report that it
    extends has named its own, is listed in that case's `joined`."""
    among: frozenset[str] | None = None
    """Referrals of whole cases: only these cases are made, from their rows alone. None: every case."""
    root: Mapping[str, str] = field(default_factory=dict)
    """With `among`: the first referral of each chain (`touched.Chains`), for the cases on the other side of links."""

    def cases(self, only: str | None = None) -> Iterator[CaseFile]:
        """Every case, or only the one of that id, ordered by their ids."""
        referrals = self._referrals()
        of = group({r["referral_id"]: r["supplements"] for r in referrals})
        everyone = _members(of | self._others(of))
        if only is not None:
            of = {referral: case for referral, case in of.items() if case == only}
            referrals = [r for r in referrals if r["referral_id"] in of]
        tables = {
            "everyone": everyone,
            "members": _members(of),
            "media": (media := self._read("media_files")),
            "prints": self._of_contents("fingerprints", media),
            "found": flood.counted(self.lake, matches := self._of_contents("matches", media)),
            "aside": flood.aside(self.lake, matches),
            "later": dating.later(self.lake, self._contents(media)),
            "stated": self._read("facts"),
            "persons": self._read("subjects"),
            **self._people(referrals),
            "linked": self.links.select(["link_id", "left", "right", "strength"]),
        }
        with database.connection(self.settings, tables) as con:
            counts = _by_case(self._files(con))
            facts = _facts(self._facts(con))
            seen = people.found(con, self.model.data["reading"]["young_victim_below"], SAMPLE)
            links = _links(database.query(con, database.sql("case_links", sample=SAMPLE)))
        quarantined: dict[str, set[str]] = {}
        for referral, packages in held_back(self._packages()).items():
            if referral in of:
                quarantined.setdefault(of[referral], set()).update(packages)
        hits: dict[str, list[ListHit]] = {}
        for hit in self.hits:
            if hit.referral_id in of:
                hits.setdefault(of[hit.referral_id], []).append(hit)
        answered = answers.of_cases(self.lake)
        together: dict[str, list[dict[str, Any]]] = {}
        for row in referrals:
            together.setdefault(of[row["referral_id"]], []).append(row)
        places = self._places(of)
        for case in sorted(together):
            made = _case(case, together[case], self.model)
            made.facts = facts.get(case, {})
            people.add(made, seen.get(case, ()))
            _add_hits(made, hits.get(case, ()))
            made.counts, made.samples = counts.get(case, ({}, {}))
            made.links, made.link_rows = links.get(case, ({}, {}))
            made.places = tuple(sorted(places.get(case, ()), key=_place_order))
            made.quarantined = tuple(sorted(quarantined.get(case, ())))
            own = {case_id(r) for r in made.referrals} | {case} if len(made.referrals) > 1 else {case}
            joined = (own - {case}) & self.assessed  # in this order: the other copies all cases for each
            made.joined = tuple(sorted(joined))
            if answered:
                given = [row for name in own for row in answered.get(name, ())]
                answers.lay_over(made, answers.held(given))
            yield made

    def _read(self, table: str) -> pa.Table:
        among = None if self.among is None else ("referral_id", pa.array(sorted(self.among), pa.string()))
        return self.lake.read(table, _COLUMNS[table], where=among)

    def _packages(self) -> pa.Table:
        """The packages that decide what is held back of the cases that are made."""
        every = self.among is None
        return self.lake.read("packages", HELD_BACK) if every else deciding(self.lake, "referral_id", self.among or ())

    def _of_contents(self, table: str, media: pa.Table) -> pa.Table:
        """Rows of the contents of some media files; a content that was not sent goes by the SHA-256 of its file's id."""
        return self.lake.read(table, _COLUMNS[table], where=self._contents(media))

    def _contents(self, media: pa.Table) -> Where | None:
        """Which contents the rows of those media files are of; None for all."""
        if self.among is None:
            return None
        unsent = media.filter(pc.is_null(media["sha256"]))["file_id"].to_pylist()
        named = [hashlib.sha256(name.encode()).digest() for name in unsent]
        contents = {*media["sha256"].drop_null().to_pylist(), *named}
        return "sha256", pa.array(sorted(contents), pa.binary(32))

    def _others(self, of: Mapping[str, str]) -> dict[str, str]:
        """The cases of referrals on the other side of links, when not every case is made."""
        if self.among is None:
            return {}
        sides = {x for side in ("left", "right") for x in self.links[side].to_pylist() if not x.startswith("list:")}
        return {r: case_id(self.root.get(r, r)) for r in sides - of.keys()}

    def _places(self, of: Mapping[str, str]) -> dict[str, set[Place]]:
        """Places of the people of each case; the same place of two referrals counts once, for its first subject."""
        rows = self._read("subjects")
        rows = rows.filter(rows["places"].is_valid())
        own = self.settings.force
        found: dict[str, dict[tuple[str, ...], Place]] = {}
        columns = (rows[c].to_pylist() for c in ("subject_id", "role", "referral_id", "places"))
        for subject, role, referral, text in sorted(zip(*columns, strict=True)):
            if referral not in of:
                continue
            for place in orjson.loads(text):
                kind = _KINDS.get((place["place"], role))
                if kind is None:
                    continue
                force = place["force"]
                away = force is not None and own not in (FORCE_NOT_SET, force)
                made = Place(kind, place["authority"], place["services"], force, subject, away)
                found.setdefault(of[referral], {}).setdefault(_place_order(made)[:4], made)
        return {case: set(places.values()) for case, places in found.items()}

    def _referrals(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._read("referrals").to_pylist()
        return list({r["referral_id"]: r for r in sorted(rows, key=_arrival, reverse=True)}.values())[::-1]

    def _people(self, referrals: list[dict[str, Any]]) -> dict[str, pa.Table]:
        homes = self._read("identifiers")
        homes = homes.filter(pc.equal(homes["kind"], "address"))
        occupations = people.occupations(self.model.data["reading"]["occupations"])
        return {"received": dating.received(self.lake, referrals), "homes_stated": homes, "occupations": occupations}

    def _files(self, con: duckdb.DuckDBPyConnection) -> pa.Table:
        marks = self.model.data["reading"]["marks"]
        by_match, by_file = match_counters(marks), file_counters(marks)
        evidence = ", ".join(f"min(match_id) FILTER ({c}) AS {n}" for n, c in by_match.items())
        said = {"known": by_match["known"], "leads": by_match["leads"]}
        con.execute(database.sql("case_matched", words=words_of("tags"), columns=evidence, **said))
        columns: list[str | None] = [f"count({n})::INTEGER AS n_{n}" for n in by_match]
        columns += [sample(n, n, "", SAMPLE) for n in by_match]
        columns += [f"count(*) FILTER ({c})::INTEGER AS n_{n}" for n, c in by_file.items()]
        columns += [sample(n, "file_id", f" FILTER ({c})", SAMPLE) for n, c in by_file.items()]
        words = words_of("flatten(list(annotations))")
        chosen = ", ".join(c for c in columns if c is not None)
        parts = {"words": words, "columns": chosen, "viral": viral_condition(marks)}
        return database.query(con, database.sql("case_files", **parts))

    def _facts(self, con: duckdb.DuckDBPyConnection) -> pa.Table:
        personal = sorted({n for f in FEATURES.values() if f.personal for n in f.facts})
        return database.query(
            con, database.sql("case_facts", sample=SAMPLE), [personal, sorted(self.model.not_the_suspect)]
        )


_KINDS = {("work", "suspect"): "work", ("home", "suspect"): "suspect_home", ("home", "victim"): "child_home"}
"""Place and role to the kind of place that somebody has to be told of. A recipient is not known to be a child."""


def _place_order(place: Place) -> tuple[str, ...]:
    return (place.kind, place.services or "", place.authority or "", place.force or "", place.row)


def _members(of: Mapping[str, str]) -> pa.Table:
    columns = {"referral_id": pa.array(of.keys(), pa.string()), "case_id": pa.array(of.values(), pa.string())}
    return pa.table(columns)


_COLUMNS: dict[str, list[str]] = {
    "referrals": [
        "referral_id", "source", "supplements", "provider", "force_code", *TIMES, "escalation_text", "priority",
        "compartment", "narrative_count", "completeness", "run_id",
    ],
    "media_files": [
        "file_id", "referral_id", "state", "sha256", "viewed_by_provider", "publicly_available",
        "industry_classification", "annotations",
    ],
    "fingerprints": ["sha256", "state", "reason", "media_type", "exif", "algorithm_version", "run_id"],
    "matches": [
        "match_id", "sha256", "file_id", "media_key", "kind", "level", "low_information", "release", "grade", "category",
        "victim_identified", "distributed", "tags",
    ],
    "facts": ["fact_id", "referral_id", "subject_id", "file_id", "name", "value"],
    "subjects": [
        "subject_id", "role", "referral_id", "places", "occupation", "date_of_birth", "approximate_age",
    ],
    "identifiers": ["referral_id", "subject_id", "kind", "value"],
}  # fmt: skip


def _arrival(row: Mapping[str, Any]) -> tuple[Any, str]:
    return row["force_received_at"], row["referral_id"]


def _case(case: str, rows: list[dict[str, Any]], model: Model) -> CaseFile:
    """A case file with what its referrals' headers say. The referral that the case was opened for is the root of the
    chain if it is here, else the first that arrived; times are the earliest known, so a supplement restarts no clock."""
    rows = sorted(rows, key=_arrival)
    first = rows[0] if len(rows) == 1 else next((r for r in rows if case_id(r["referral_id"]) == case), rows[0])
    ordered = [first, *(r for r in rows if r is not first)]
    return CaseFile(
        case_id=case,
        referral_id=first["referral_id"],
        referrals=tuple(sorted(r["referral_id"] for r in rows)),
        source=first["source"],
        sources=tuple(sorted({r["source"] for r in rows})),
        provider=_first(ordered, "provider"),
        force_code=_first(ordered, "force_code"),
        compartment=_first(ordered, "compartment"),
        priority=_most_urgent([r["priority"] for r in ordered if r["priority"]], model),
        escalation_text=any(r["escalation_text"] for r in rows),
        urgent_words=_named(model.data["reading"]["urgent_words"], [r["escalation_text"] for r in rows]),
        times={t: min(known) for t in TIMES if (known := [r[t] for r in rows if r[t] is not None])},
        narratives=sum(r["narrative_count"] for r in rows),
        completeness=max(r["completeness"] for r in rows),
    )


_LEVELS = ("imminent", "raised", "not_said", "ordinary")
"""What a priority mark says, the most urgent first; a mark that the policy does not list comes behind all."""


def _most_urgent(marks: list[str], model: Model) -> str | None:
    """The most urgent of the senders' marks, without what else they wrote there; the first of equals."""

    def place(mark: str) -> int:
        level = model.reading.level(mark)
        return _LEVELS.index(level) if level is not None else len(_LEVELS)

    return model.reading.mark(min(marks, key=place)) if marks else None


def _named(words: Iterable[str], texts: Iterable[str | None]) -> tuple[str, ...]:
    """The words that one of the texts has, as whole words without regard to case."""
    given = [text.lower() for text in texts if text]
    return tuple(w for w in words if any(re.search(rf"\b{re.escape(w)}\b", text) for text in given)) if given else ()


def _first(rows: Iterable[Mapping[str, Any]], column: str) -> Any:
    return next((r[column] for r in rows if r[column] is not None), None)


def _by_case(table: pa.Table) -> dict[str, tuple[dict[str, int], dict[str, tuple[str, ...]]]]:
    """Case to its counters that are not zero and their samples. Column by column: most counters of most cases are 0."""
    cases = table["case_id"].to_pylist()
    result: dict[str, tuple[dict[str, int], dict[str, tuple[str, ...]]]] = {c: ({}, {}) for c in cases}
    for column in sorted(table.column_names):
        if not column.startswith("n_"):
            continue
        name = column[2:]
        numbers = table[column].to_numpy()
        places = numbers.nonzero()[0]
        has_sample = f"s_{name}" in table.column_names
        samples = table[f"s_{name}"].take(pa.array(places)).to_pylist() if has_sample else None
        for i, place in enumerate(places.tolist()):
            counts, kept = result[cases[place]]
            counts[name] = int(numbers[place])
            if samples is not None:
                kept[name] = (samples[i],) if isinstance(samples[i], str) else tuple(samples[i])
    return result


def _facts(table: pa.Table) -> dict[str, dict[str, Answer]]:
    result: dict[str, dict[str, Answer]] = {}
    columns = (table[c].to_pylist() for c in ("case_id", "name", "yes", "total", "yes_rows", "no_rows"))
    for case, name, yes, total, yes_rows, no_rows in zip(*columns, strict=True):
        rows = tuple([EvidenceRow("facts", row) for row in (yes_rows if yes else no_rows)])
        result.setdefault(case, {})[name] = Answer(YES, 1.0, rows, total) if yes else Answer(NO, 0.0, rows, 0)
    return result


def _links(table: pa.Table) -> dict[str, tuple[dict[str, int], dict[str, tuple[str, ...]]]]:
    result: dict[str, tuple[dict[str, int], dict[str, tuple[str, ...]]]] = {}
    columns = (table[c].to_pylist() for c in ("case_id", "strength", "n", "rows"))
    for case, strength, number, rows in zip(*columns, strict=True):
        counts, samples = result.setdefault(case, ({}, {}))
        counts[strength], samples[strength] = number, tuple(rows)
    return result


def _add_hits(case: CaseFile, hits: Iterable[ListHit]) -> None:
    """A hit on a list of the force is a yes to the fact that the list implies, with the link as its evidence."""
    names = set()
    for hit in sorted(hits, key=lambda h: h.link_id):
        if hit.list_name is not None:
            names.add(hit.list_name)
        if hit.fact is None:
            continue
        before = case.facts.get(hit.fact)
        row = EvidenceRow("links", hit.link_id, hit.note)
        if before is not None and before.value == YES:
            case.facts[hit.fact] = Answer(YES, 1.0, (*before.rows, row), (before.total or len(before.rows)) + 1)
        else:
            case.facts[hit.fact] = Answer(YES, 1.0, (row,), 1)
    case.lists = tuple(sorted(names))
