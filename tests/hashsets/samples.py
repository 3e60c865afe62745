"""Hash-set files of every format, written from the format facts; harmless random digests, synthetic words."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from hashsets import sources
from hashsets.importing import importer
from hashsets.readers.exported import COLUMNS
from hashsets.release import building, releases
from pipeline import contract as nights
from pipeline.contract import Night
from pipeline.settings import Settings


def digest(kind: str, name: object) -> str:
    """A made-up hash (hex) of the kind, the same for the same name."""
    widths = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "photodna": 144}
    return hashlib.shake_256(f"{kind} {name}".encode()).hexdigest(widths[kind])


def context(version: str = "2.0", country: str = "US", entity: str = "Media") -> dict[str, str]:
    """The root member of a VICS file."""
    if version == "2.0":
        base = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml"
        return {"@odata.context": f"{base}/{country}/$metadata#{entity}"}
    return {"odata.metadata": f"http://github.com/ICMEC/ProjectVic/DataModels/{version}.xml#{entity}"}


def media(name: object, **members: Any) -> dict[str, Any]:
    """A Media object with MD5 and SHA-1; members replace or add, None removes."""
    made = {"MediaID": 1, "Category": 1, "MD5": digest("md5", name).upper(), "SHA1": digest("sha1", name).upper()}
    made |= members
    return {k: v for k, v in made.items() if v is not None}


def vics(path: Path, items: Iterable[Any], version: str = "2.0", country: str = "US") -> Path:
    """A `#Media` file."""
    path.write_text(json.dumps({**context(version, country), "value": list(items)}, indent=1))
    return path


def vics_cases(path: Path, cases: list[list[Any]], country: str = "UK") -> Path:
    """A `#Cases` file."""
    value = [{"CaseID": f"case {i}", "CaseNumber": str(i), "Media": items} for i, items in enumerate(cases, 1)]
    path.write_text("\ufeff" + json.dumps({**context("2.0", country, "Cases"), "value": value}), encoding="utf-8")
    return path


def icse(path: Path) -> Path:
    """An ICSE export with two rows."""
    head = (
        "MD5;SHA1;ZZ40;PhotoDNA;Lace;Image ID;Is distributed;Victim identified;Offender identified;Series name;"
        "Investigation name;Agency;Number of submissions;File Available;Media Type;Baseline"
    )
    rows = [head]
    for i in (1, 2):
        hashes = f"{digest('md5', i)};{digest('sha1', i)};{'AB' * 64};{digest('photodna', i).upper()};{'QUJD' * 43}"
        rows.append(f"{hashes};{i};Y;N;;Series {i};Inv;Agency;3;True;Image;{'Yes' if i == 1 else 'No'}")
    path.write_text("\r\n".join(rows) + "\r\n")
    return path


def ncmec(path: Path, entries: str, *, next_: str = "", stamp: str = "2026-05-01T00:00:00Z", count: int = 2) -> Path:
    """A page of the hash-sharing service."""
    paging = f"<paging><next>{next_}</next></paging>" if next_ else ""
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'
        f'<images count="{count}" maxTimestamp="{stamp}">{entries}</images>{paging}</queryResult>'
    )
    return path


def ncmec_entry(
    entry: object, *, stamp: str, class_: str = "A1", member: int = 42, feedback: str = "", name: object = None
) -> str:
    """One image of a page."""
    value = digest("md5", entry if name is None else name)
    return (
        f'<image><member id="{member}">Provider</member><timestamp>{stamp}</timestamp><id>{entry}</id>'
        f"<classification>{class_}</classification><fingerprints><md5>{value}</md5>"
        f'<netclean href="/big"/></fingerprints>{feedback}</image>'
    )


def ncmec_deleted(entry: object, *, stamp: str, member: int = 42) -> str:
    """One tombstone of a page."""
    return (
        f'<deletedImage><member id="{member}">Provider</member><id>{entry}</id>'
        f"<timestamp>{stamp}</timestamp></deletedImage>"
    )


def nsrl_text(path: Path, *, zipped: bool = False) -> Path:
    """RDS v2."""
    head = '"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"\r\n'
    text = head + "".join(
        f'"{digest("sha1", i).upper()}","{digest("md5", i).upper()}","0000000{i}","a, file {i}",{i}00,{i},"WIN",""\r\n'
        for i in (1, 2)
    )
    if zipped:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("RDS/NSRLFile.txt", text)
            archive.writestr("RDS/NSRLProd.txt", '"ProductCode"\r\n')
    else:
        path.write_text(text)
    return path


def nsrl_sqlite(path: Path) -> Path:
    """RDS v3, full edition: FILE is a view over METADATA."""
    con = sqlite3.connect(path)
    con.execute("CREATE TABLE METADATA (sha256, sha1, md5, crc32, file_name, file_size INTEGER, package_id INTEGER)")
    for i in (1, 2):
        row = (digest("sha256", i), digest("sha1", i), digest("md5", i), "00", f"file {i}", i * 100, i)
        con.execute("INSERT INTO METADATA VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    con.execute("CREATE VIEW FILE AS SELECT * FROM METADATA")
    con.commit()
    con.close()
    return path


def iwf(path: Path) -> Path:
    """A list with the columns declared for `iwf`."""
    lines = ["MD5,SHA-1,SHA-256,PhotoDNA,Category,Tags,Age band"]
    for i in (1, 2):
        pdna = base64.b64encode(bytes.fromhex(digest("photodna", i))).decode()
        lines.append(
            f'{digest("md5", i)},{digest("sha1", i)},{digest("sha256", i)},{pdna},A,"grid,self generated",7-10'
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def exported(path: Path) -> Path:
    """What `triage hashset export` writes."""
    lines = [",".join(COLUMNS)]
    for i in (1, 2):
        named = {
            "md5": digest("md5", i),
            "sha1": digest("sha1", i),
            "country": "UK",
            "category": "A",
            "grade": "TRUSTED",
        }
        lines.append(",".join(named.get(name, "") for name in COLUMNS))
    path.write_text("\r\n".join(lines) + "\r\n")
    return path


def vpdq(path: Path) -> Path:
    """Two frames of one video."""
    path.write_text(f"0,100,{digest('pdq', 1)},0.000\n30,98,{digest('pdq', 2)},1.000\n")
    return path


def threatexchange(path: Path) -> Path:
    """Typed and untyped lines."""
    path.write_text(f"# hashes\npdq {digest('pdq', 1)}\n{digest('md5', 2)}\n")
    return path


def case_uco(path: Path) -> Path:
    """A bundle with two files, as `triage export case-uco` writes them, and an object that is none."""
    core, observable, types = (
        f"https://ontology.unifiedcyberontology.org/uco/{n}/" for n in ("core", "observable", "types")
    )
    context = {"uco-core": core, "uco-observable": observable, "uco-types": types}
    files = [
        {
            "@id": f"kb:file-{n}",
            "@type": "uco-observable:File",
            "uco-core:hasFacet": [
                {
                    "@type": "uco-observable:ContentDataFacet",
                    "uco-observable:mimeType": "image/jpeg",
                    "uco-observable:hash": [
                        {"uco-types:hashMethod": name, "uco-types:hashValue": {"@value": digest(kind, n).upper()}}
                        for name, kind in (("MD5", "md5"), ("SHA1", "sha1"))
                    ],
                }
            ],
        }
        for n in (1, 2)
    ]
    nodes = [{"@id": "kb:tool", "@type": "uco-tool:Tool", "uco-core:name": "x"}, *files]
    path.write_text(json.dumps({"@context": context, "@type": "uco-core:Bundle", "uco-core:object": nodes}, indent=1))
    return path


SOURCES = {
    "vics": ("project_vic", "set.json", lambda p: vics(p, [media(1), media(2)])),
    "ncmec": ("ncmec", "page.xml", lambda p: ncmec(p, ncmec_entry(1, stamp="2026-04-01T00:00:00Z") + ncmec_entry(2, stamp="2026-04-02T00:00:00Z"))),
    "icse": ("icse", "icse.csv", icse),
    "nsrl_sqlite": ("nsrl", "rds.db", nsrl_sqlite),
    "nsrl_text": ("nsrl", "NSRLFile.txt", nsrl_text),
    "exported": ("force", "force.csv", exported),
    "case_uco": ("force", "case.json", case_uco),
    "list": ("iwf", "list.csv", iwf),
    "vpdq": ("vpdq", "film.txt", vpdq),
    "threatexchange": ("threatexchange", "hashes.txt", threatexchange),
}  # fmt: skip
"""Reader to source, file name and the sample of two rows."""


def night(settings: Settings, name: str = "test") -> Night:
    """A run with a fixed clock."""
    import datetime as dt

    return nights.start(settings, name, dt.datetime(2026, 6, 1, tzinfo=dt.UTC))


_counter = iter(range(1, 10**9))


def take(settings: Settings, path: Path, source: str, *, release: bool = True) -> importer.Import:
    """Import a file of a source; build and publish. Imports follow each other by a second."""
    import datetime as dt

    loaded = dt.datetime(2026, 6, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=next(_counter))
    record, _ = importer.import_file(
        settings, path, sources.load(settings).source(source), loaded_at=loaded, loaded_by="t"
    )
    if release:
        building.run(settings, night(settings))
    return record


def give(settings: Settings, folder: Path, source: str, items: Iterable[Any], country: str = "US") -> releases.Release:
    """Import Media objects of a source and return the release."""
    path = vics(folder / f"give-{next(_counter)}.json", items, country=country)
    take(settings, path, source)
    return releases.current(settings)


def keys(release: releases.Release, name: object, kind: str = "sha1") -> list[int]:
    """Media keys that hold a made-up hash."""
    asked = pa.table(
        {
            "query_id": pa.array([0], pa.int64()),
            "algorithm": [kind],
            "value": pa.array([bytes.fromhex(digest(kind, name))], pa.binary()),
        }
    )
    return release.exact(asked).column("media_key").to_pylist()


def standing(release: releases.Release, name: object, kind: str = "sha1") -> dict[str, Any]:
    """The description of the one media that holds a made-up hash."""
    found = release.exact(
        pa.table(
            {
                "query_id": pa.array([0], pa.int64()),
                "algorithm": [kind],
                "value": pa.array([bytes.fromhex(digest(kind, name))], pa.binary()),
            }
        ),
        withdrawn=True,
    )
    [row] = release.describe(found.column("media_key").to_pylist()).to_pylist()
    return row
