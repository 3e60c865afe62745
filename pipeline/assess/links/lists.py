"""Deconfliction and safeguarding lists of the force, matched against every referral: all when a list changes, new ones every night.

A list arrives as landing/lists/<list>-<date>.csv with <list>-<date>.json beside it: {"list", "dated", "owner",
"sha256"}. The JSON file comes last and says that the CSV file is complete. The latest complete file of each list counts;
a list that has vanished keeps its earlier hits, because silence must not clear a warning. Entries are read in place
and never copied: a link names the entry's number on the list and what agreed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import __version__, policy
from pipeline.assess import database
from pipeline.assess.evidence.case_file import ListHit
from pipeline.assess.links import keys, similar
from pipeline.assess.links.naming import Services, nobody
from pipeline.assess.links.strength import SAID_BETTER, STRENGTHS, strongest
from pipeline.contract import Night
from pipeline.files import NotRegularError, read_regular
from pipeline.ingest.geography import forces
from pipeline.ingest.reports import values
from pipeline.settings import Settings

COLUMNS = (
    "entry", "name", "date_of_birth", "emails", "phones", "usernames", "user_ids", "devices", "vehicles", "address",
)  # fmt: skip
"""Columns of a list file. `entry` is the owner's own number for the row; several values of one cell are separated by
semicolons; a username or user id is written service:name."""

LARGEST = 256 * 2**20
"""Bytes of a list file that are read at most."""


@dataclass(frozen=True)
class ListFile:
    """One file of a list: `problem` says in words why it is not used, and is empty when it is."""

    name: str
    dated: date
    owner: str
    path: Path
    problem: str = ""


@dataclass
class Listed:
    """Links between referrals and entries, the lists that were read, and figures for the report."""

    links: list[dict[str, Any]]
    read: set[str]
    """Lists that were matched against every referral: links to them that were not found again hold no more."""
    digest: str = ""
    """What was matched: the lists in force, their policy, and the keys' version."""
    counts: dict[str, int | float | str] = field(default_factory=dict)


def files(settings: Settings) -> list[ListFile]:
    """Every list file in landing/lists, the latest of each list first; files that cannot be used say why."""
    known = policy.load(settings, "lists").data["lists"]
    found = [_file(path, known) for path in sorted((settings.landing_dir / "lists").glob("*.csv"))]
    return sorted(found, key=lambda f: (f.name, -f.dated.toordinal(), f.path.name))


def in_force(settings: Settings) -> dict[str, ListFile]:
    """The file of each list that counts: its latest usable one."""
    result: dict[str, ListFile] = {}
    for file in files(settings):
        if not file.problem:
            result.setdefault(file.name, file)
    return result


def _file(path: Path, known: Mapping[str, Any]) -> ListFile:
    shape = re.fullmatch(r"([a-z][a-z_]*)-(\d{4}-\d{2}-\d{2})", path.stem)
    try:
        dated = date.fromisoformat(shape[2]) if shape else None
    except ValueError:
        dated = None
    if shape is None or dated is None:
        return ListFile("", date.min, "", path, "the name is not <list>-<YYYY-MM-DD>.csv")
    if shape[1] not in known:
        return ListFile(shape[1], dated, "", path, "policy/lists.yaml has no such list")
    owner, problem = _complete(path, shape[1], shape[2])
    return ListFile(shape[1], dated, owner, path, problem)


def _complete(path: Path, name: str, dated: str) -> tuple[str, str]:
    """Owner of a list file, and why it cannot be used (empty when it can)."""
    owner, problem = "", ""
    try:
        about = json.loads(read_regular(path.with_suffix(".json")).decode())
        owner = str(about["owner"]).strip()
        if about["list"] != name or about["dated"] != dated or not owner:
            problem = "the JSON file beside it names another list or date, or no owner"
        elif path.stat().st_size > LARGEST:
            problem = "the file is too large"
        elif hashlib.sha256(read_regular(path)).hexdigest() != str(about["sha256"]).lower():
            problem = "the file is not the one whose SHA-256 the JSON file states"
        elif "entry" not in _rows(path)[0]:
            problem = "the first line does not name a column entry (columns are separated by commas)"
    except FileNotFoundError:
        problem = "waiting for the JSON file beside it"
    except UnicodeDecodeError:
        problem = "the file is not UTF-8"
    except csv.Error:
        problem = "the file is not CSV"
    except NotRegularError:  # a pipe would be waited for
        problem = "it, or the JSON file beside it, is a link, a pipe or a device"
    except OSError:
        problem = "the file cannot be read"
    except (ValueError, KeyError, TypeError, RecursionError):
        problem = "the JSON file beside it cannot be read"
    return owner, problem


def _rows(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a list file. Raises csv.Error and UnicodeDecodeError."""
    reader = csv.DictReader(io.StringIO(read_regular(path).decode("utf-8-sig"), newline=""), strict=True)
    rows = list(reader)
    return [n.strip().lower() for n in reader.fieldnames or []], rows


def read(
    file: ListFile, region: str, linking: Mapping[str, Any]
) -> tuple[list[tuple[str, str, str, str]], dict[str, int]]:
    """The entries of a list as (entry, kind, value, second value) and counts of rows: read, used, rejected by reason.

    A person is name and date of birth in value and second value; an address is its text. Values that cannot be read
    or name nobody (policy/linking.yaml) are counted and the rest of the entry is used.
    """
    services, nothing = Services(linking["services"]), nobody(linking)
    exact = frozenset(linking["exact_case"]["services"])
    counts = {"rows": 0, "used": 0, "without_entry": 0, "repeated_entry": 0, "without_values": 0, "bad_values": 0}
    rows: list[tuple[str, str, str, str]] = []
    seen: set[str] = set()
    for row in _rows(file.path)[1]:
        cells = {str(k).strip().lower(): v for k, v in row.items() if isinstance(v, str)}
        counts["rows"] += 1
        entry = (cells.get("entry") or "").strip()
        if not entry or entry in seen:
            counts["repeated_entry" if entry else "without_entry"] += 1
            continue
        seen.add(entry)
        found = []
        for kind, value, second in _values(cells, region, services, exact):
            if value and value.rpartition("\x1f")[2].casefold() not in nothing:
                found.append((entry, kind, value, second))
            else:
                counts["bad_values"] += 1
        counts["used" if found else "without_values"] += 1
        rows += found
    return rows, counts


def _values(
    cells: Mapping[str, Any], region: str, services: Services, exact: frozenset[str]
) -> Iterator[tuple[str, str, str]]:
    """(kind, value, second value) of each cell; an empty value is one that could not be read."""
    readers: dict[str, tuple[str, Callable[[str], str]]] = {
        "emails": ("email", values.email),
        "phones": ("phone", lambda text: values.phone(text, region)),
        "usernames": ("username", lambda text: _on_service(text, services)),
        "user_ids": ("user_id", lambda text: _on_service(text, services, exact)),
        "devices": ("device", values.device),
        "vehicles": ("vehicle", values.registration),
    }
    name, born = (cells.get("name") or "").strip(), (cells.get("date_of_birth") or "").strip()
    if name and born:
        read, two = values.date_of_birth(born), values.readings(born)
        for date in two:  # not guessed: either gives a weak lead, which a person looks at
            yield "person_of_two_dates", name, date
        if not two:
            yield "person", name if values.is_date(read) else "", read
    for column, (kind, reader) in readers.items():
        for text in (cells.get(column) or "").split(";"):
            if text.strip():
                try:
                    yield kind, reader(text.strip()), ""
                except values.UnusableError:
                    yield kind, "", ""
    for text in (cells.get("user_ids") or "").split(";"):
        if services.name(text.partition(":")[0]) in exact and text.partition(":")[2].strip():
            yield "other_case", _on_service(text, services), ""
    if (cells.get("address") or "").strip():
        yield "address", cells["address"].strip(), ""


def _on_service(text: str, services: Services, exact: frozenset[str] = frozenset()) -> str:
    service, colon, name = text.partition(":")
    if not colon or not service.strip():
        raise values.UnusableError("a username is written service:name")
    known = services.name(service)
    return f"{known}\x1f{values.visible(name).strip() if known in exact else values.handle(name)}"


def match(
    settings: Settings, night: Night, con: duckdb.DuckDBPyConnection, linking: Mapping[str, Any], before: str = ""
) -> Listed:
    """Match the lists in force against all keys; `con` has the views of `keys.views`, the tables of `naming` and the kept index,
    `linking` is policy/linking.yaml. When `before`, the digest of what earlier nights have matched, is that of tonight, only
    the keys of what is new can match anew.
    """
    policy_of = policy.load(settings, "lists")
    rules, chosen = policy_of.data, in_force(settings)
    digest = _digest(policy_of.digest, chosen)
    again = digest != before
    listed = Listed([], set(chosen) if again else set(), digest, _state(settings, rules, chosen, night))
    entries: list[tuple[str, str, str, str, str]] = []
    for name, file in chosen.items():
        rows, counts = read(file, rules["region"], linking)
        entries += [(name, *row) for row in rows]
        listed.counts |= {f"list_{name}_{k}": n for k, n in counts.items() if n or k in ("rows", "used")}
    if not entries:
        return listed
    columns = list(zip(*entries, strict=True))
    con.register("entries", pa.table(dict(zip(("list", "entry", "kind", "raw", "second"), columns, strict=True))))
    con.register("not_persons", pa.table({"role": pa.array(rules["not_the_suspect"], pa.string())}))
    similar.register(con, forces.counties(settings), entries=True, kept=True)
    con.execute(database.sql("list_wanted"))
    found = database.query(con, database.sql("list_match", keys=_keys(con, everything=again)))
    together: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for referral, name, entry, kind, source, row in zip(*[c.to_pylist() for c in found.columns], strict=True):
        together.setdefault((referral, name, entry), []).append((kind, source, row))
    for (referral, name, entry), agreed in together.items():
        listed.links.append(_link(referral, chosen[name], entry, agreed, rules))
    listed.counts |= {"list_hits": len(listed.links), "lists_matched": "every referral" if again else "new referrals"}
    return listed


def _digest(policy_digest: str, chosen: Mapping[str, ListFile]) -> str:
    """Of the lists' policy and of every list in force: its name, date, owner and bytes."""
    texts = [__version__, policy_digest]
    for name, file in sorted(chosen.items()):
        texts += [name, str(file.dated), file.owner, hashlib.sha256(read_regular(file.path)).hexdigest()]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _keys(con: duckdb.DuckDBPyConnection, *, everything: bool) -> str:
    """Keys of identifiers and persons among which all are that stand in the table `wanted`, or only those of what is new."""
    new = " UNION ALL ".join([keys.select("identifiers", identifiers="new"), keys.select("persons", subjects="new")])
    return database.sql("keys_of_people", new=new, old=keys.kept_near(con, "wanted")) if everything else new


def _link(
    referral: str, file: ListFile, entry: str, agreed: list[tuple[str, str, str]], rules: Mapping[str, Any]
) -> dict[str, Any]:
    there = {kind for kind, _, _ in agreed}
    kinds = sorted(kind for kind in there if there.isdisjoint(SAID_BETTER.get(kind, ())))
    agreed = [row for row in agreed if row[0] in kinds]
    label = rules["lists"][file.name]["label"]
    same = " and ".join(_WORDS[k] for k in kinds)
    return {
        "left": referral,
        "right": f"list:{file.name}:{entry}",
        "kind": file.name,
        "strength": strongest([rules["match"][k] for k in kinds]),
        "shared": len(kinds),
        "explanation": f"On the list “{label}” of {file.owner}, dated {file.dated}, entry {entry}: the same {same}.",
        "evidence": [
            {
                "list": file.name,
                "dated": file.dated.isoformat(),
                "owner": file.owner,
                "entry": entry,
                "agreed": kinds,
                "left": [{"table": source, "id": row} for _, source, row in agreed],
            }
        ],
    }


_WORDS = {
    "person": "name and date of birth",
    "person_first_and_last": "first name, surname and date of birth",
    "person_short_name": "surname and date of birth, with a short form of the first name",
    "person_surname": "surname and date of birth",
    "address_street": "house, street and town",
    "mailbox": "mailbox",
    "other_case": "user id but for upper and lower case",
    "email": "e-mail address",
    "phone": "telephone number",
    "username": "username on the same service",
    "user_id": "user id on the same service",
    "device": "device",
    "vehicle": "vehicle",
    "address": "address",
}


def _state(
    settings: Settings, rules: Mapping[str, Any], chosen: Mapping[str, ListFile], night: Night
) -> dict[str, int | float | str]:
    """For the run report: the date of each list in force, and what is missing, stale, waiting or unusable."""
    state: dict[str, int | float | str] = {}
    for name, about in rules["lists"].items():
        file = chosen.get(name)
        if file is None:
            state[f"list_{name}"] = "no usable file"
            continue
        age = (night.as_of.date() - file.dated).days
        stale = f", stale: {age} days old" if age > about["max_age_days"] else ""
        state[f"list_{name}"] = f"dated {file.dated}{stale}"
    unusable = [f for f in files(settings) if f.problem]
    if unusable:
        state["list_files_unusable"] = len(unusable)
    return state


def withdrawn(known: Mapping[str, Mapping[str, Any]], listed: Listed) -> list[dict[str, Any]]:
    """Stored links to entries that are no longer on their list, or no longer agree. Lists that could not be read this
    night keep theirs."""
    still = {(link["left"], link["right"]) for link in listed.links}
    return [
        {**row, "withdrawn": True, "explanation": "Withdrawn: no longer on the list, or nothing agrees any longer."}
        for row in known.values()
        if row["right"].startswith("list:")
        and not row["withdrawn"]
        and (row["left"], row["right"]) not in still
        and row["right"].split(":", 2)[1] in listed.read
    ]


def hits(settings: Settings, links: pa.Table) -> list[ListHit]:
    """Referrals on lists by the current links, each with the fact that follows. A link weaker than `implies_from`
    implies none and is left to a person."""
    rules = policy.load(settings, "lists").data
    least = STRENGTHS.index(rules["implies_from"])
    found = []
    for row in _to_lists(links):
        name = row["right"].split(":", 2)[1]
        fact = rules["lists"].get(name, {}).get("implies") if STRENGTHS.index(row["strength"]) >= least else None
        found.append(ListHit(row["left"], name, fact, row["link_id"], row["explanation"]))
    return found


def _to_lists(links: pa.Table) -> Iterable[dict[str, Any]]:
    rows: list[dict[str, Any]] = links.filter(pc.starts_with(links["right"], "list:")).to_pylist()
    return rows
