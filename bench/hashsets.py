"""The known-hash store: import speed and memory, exact joins and release builds at full size, publishing, retro-matching.

    python -m bench.hashsets [import] [memory] [store] [publish] [retro]     (default: all)

Each part is measured in a process of its own; the table goes to the terminal and bench/results/hashsets.json. The peer
of the import is a plain ijson loop (its C backend) that does the same work on the same fields.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ijson
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench import common
from hashsets import sources
from hashsets.algorithms import BY_NAME
from hashsets.importing import clean, importer, rows
from hashsets.readers.vics import COLUMNS
from hashsets.release import building, publishing, releases
from hashsets.words import to_words
from pipeline import contract as nights
from pipeline import files, records
from pipeline.lake import Lake
from pipeline.matching import core, retro
from pipeline.settings import Settings

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = {field: name for field, name in COLUMNS.items() if not field.startswith("@")}
"""Members of a Media object that the peer reads: those of the format, without our export's annotations."""
HEAD = '{"@odata.context":"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media","value":['


def write_vics(path: Path, count: int, *, photodna: bool) -> None:
    """A VICS 2.0 file of synthetic entries (random digests), written in blocks."""
    chance = random.Random(1)
    with path.open("w") as file:
        file.write(HEAD)
        for i in range(count):
            media: dict[str, Any] = {
                "MediaID": i + 1,
                "Category": chance.choice((0, 1, 2, 3)),
                "MD5": chance.randbytes(16).hex().upper(),
                "SHA1": chance.randbytes(20).hex().upper(),
                "MediaSize": chance.randrange(1000, 9_000_000),
                "DateUpdated": "2026-06-07T02:31:49.8300Z",
                "VictimIdentified": "true" if i % 7 == 0 else "false",
                "OffenderIdentified": "false",
                "IsDistributed": i % 2 == 0,
                "Series": f"S{i % 1000}" if i % 3 == 0 else "",
                "Tags": "a,b" if i % 5 == 0 else None,
                "MimeType": "image/jpeg",
            }
            if photodna:
                media["PhotoDNA"] = base64.b64encode(chance.randbytes(144)).decode()
            file.write(("," if i else "") + "\n" + json.dumps(media))
        file.write("\n]}")


def ijson_import(path: Path, target: Path, checked: bool) -> int:
    """The peer: a plain loop over ijson.items, written to Parquet.

    With `checked` it does the same field work as the import: every value judged by the same rules, one at a time
    (hashsets/importing/clean.py), members without a column kept as JSON, the file's SHA-256. Without, it only converts.
    """
    columns: dict[str, list[Any]] = {n: [] for n in ("position", *FIELDS.values(), "updated_at", "extra")}
    writer = None
    count = 0
    if checked:
        files.sha256(path)
    with path.open("rb") as file:
        for media in ijson.items(file, "value.item", use_float=True):
            count += 1
            row = _checked(media) if checked else _converted(media)
            if not any(row[a] for a in ("md5", "sha1", "photodna")):
                continue
            columns["position"].append(count)
            for name, value in row.items():
                columns[name].append(value)
            if len(columns["position"]) == 100_000:
                writer = _flush(columns, target, writer)
    if columns["position"]:
        writer = _flush(columns, target, writer)
    if writer is not None:
        writer.close()
    return count


_ONE = {
    **dict.fromkeys(rows.FLAGS, clean.one_tristate),
    "size": clean.one_size,
    "category": clean.one_category,
    "series": clean.one_list,
    "tags": clean.one_list,
}


def _checked(media: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field, name in FIELDS.items():
        value = media.get(field)
        try:
            if name in BY_NAME:
                row[name] = clean.one_hash(BY_NAME[name], value)
            else:
                row[name] = _ONE.get(name, clean.one_text)(value)
        except clean.ValueRefusedError:
            row[name] = None
    row["updated_at"] = rows.one_timestamp(row["updated"])
    extra = {k: v for k, v in media.items() if k not in FIELDS}
    row["extra"] = json.dumps(extra) if extra else None
    return row


def _converted(media: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {name: media.get(field) for field, name in FIELDS.items()}
    for name in ("md5", "sha1", "sha256"):
        row[name] = bytes.fromhex(row[name]) if row[name] else None
    row["photodna"] = base64.b64decode(row["photodna"]) if row["photodna"] else None
    for name in ("series", "tags"):
        row[name] = row[name].split(",") if row[name] else None
    for name in ("victim_identified", "offender_identified", "distributed"):
        row[name] = row[name] in {True, "true"}
    row["entry_id"], row["category"] = str(row["entry_id"]), str(row["category"])
    row["updated_at"] = datetime.fromisoformat(row["updated"])
    return row | {"extra": None}


def _flush(columns: dict[str, list[Any]], target: Path, writer: Any) -> Any:
    table = pa.table(columns)
    nulls = [f.name for f in table.schema if pa.types.is_null(f.type)]
    table = table.drop_columns(nulls) if writer is None else table.select(writer.schema.names)
    writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd", compression_level=1)
    writer.write_table(table.cast(writer.schema))
    for column in columns.values():
        column.clear()
    return writer


def measured(work: Any, *arguments: Any) -> dict[str, Any]:
    """Run `work` in a process of its own: its result with CPU seconds, wall seconds and peak memory in MiB."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(send, work, arguments))
    process.start()
    send.close()
    result: dict[str, Any] = receive.recv()
    process.join()
    return result


def _child(send: Any, work: Any, arguments: tuple[Any, ...]) -> None:
    cpu, wall = time.process_time(), time.monotonic()
    result = work(*arguments)
    send.send(
        {
            **result,
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "wall_seconds": round(time.monotonic() - wall, 2),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    )


def _import(home: Path, path: Path) -> dict[str, Any]:
    settings = Settings(home=home)
    source = sources.load(settings).source("project_vic")
    warm = home / "warm.json"  # compiles or loads the kernel, as a long import would hardly notice
    write_vics(warm, 10, photodna=True)
    importer.import_file(settings, warm, source, loaded_at=AS_OF, loaded_by="bench")
    start = time.process_time()
    record, _ = importer.import_file(settings, path, source, loaded_at=AS_OF, loaded_by="bench")
    return {"rows": record.read, "accepted": record.accepted, "work_cpu": time.process_time() - start}


def _peer(home: Path, path: Path, checked: bool) -> dict[str, Any]:
    start = time.process_time()
    return {"rows": ijson_import(path, home / "peer.parquet", checked), "work_cpu": time.process_time() - start}


def bench_import(folder: Path) -> dict[str, Any]:
    """Rows per CPU second against ijson, with and without PhotoDNA; median of three runs each."""
    count = 300_000
    out: dict[str, Any] = {"ijson_backend": ijson.backend_name, "rows": count}
    for photodna in (False, True):
        path = folder / "import.json"
        write_vics(path, count, photodna=photodna)
        seconds: dict[str, list[float]] = {"ours": [], "ijson": [], "ijson_unchecked": []}
        for _ in range(3):
            home = Path(tempfile.mkdtemp(dir=folder))
            seconds["ours"].append(measured(_import, home, path)["work_cpu"])
            seconds["ijson"].append(measured(_peer, home, path, True)["work_cpu"])
            seconds["ijson_unchecked"].append(measured(_peer, home, path, False)["work_cpu"])
            shutil.rmtree(home)
        rates = {name: count / sorted(s)[1] for name, s in seconds.items()}
        out["with_photodna" if photodna else "digests_only"] = {
            "bytes_a_row": path.stat().st_size // count,
            **{f"{name}_rows_per_cpu_second": round(rate) for name, rate in rates.items()},
            "ratio": round(rates["ours"] / rates["ijson"], 1),
            "ratio_to_unchecked": round(rates["ours"] / rates["ijson_unchecked"], 1),
        }
    return out


def bench_memory(folder: Path) -> dict[str, Any]:
    """Peak memory of importing 1 GB of JSON."""
    path, block = folder / "large.json", folder / "block.json"
    write_vics(block, 20_000, photodna=True)
    text = block.read_text().removeprefix(HEAD).removesuffix("\n]}")
    with path.open("w") as file:
        file.write(HEAD)
        for i in range(2**30 // len(text) + 1):
            file.write(("," if i else "") + text)
        file.write("\n]}")
    result = measured(_import, Path(tempfile.mkdtemp(dir=folder)), path)
    result["file_bytes"] = path.stat().st_size
    path.unlink()
    return result


# -- the store at full size ------------------------------------------------------------------------------------------


def stage_rows(
    settings: Settings, source_id: str, first: int, count: int, *, pdq: bool, values: NDArray[np.uint8] | None = None
) -> None:
    """Write a staged import of synthetic rows straight away, as `import_file` would leave it. `values`: its PDQ hashes."""
    key = f"{source_id}-{first:020d}"
    folder = importer.imports_dir(settings) / key
    files.make_folder(folder)
    chance = np.random.default_rng(first + 1)
    with pq.ParquetWriter(folder / "rows.parquet", rows.SCHEMA, compression="zstd", compression_level=1) as writer:
        for start in range(0, count, 1_000_000):
            n = min(1_000_000, count - start)
            columns: dict[str, Any] = {f.name: pa.nulls(n, f.type) for f in rows.SCHEMA}
            columns["position"] = np.arange(start + 1, start + n + 1)
            names = ["sha1", *(["pdq"] if pdq else [])]
            for name in names:
                raw = chance.integers(0, 256, (n, BY_NAME[name].width), np.uint8)
                if name == "pdq" and values is not None:
                    raw = values[start : start + n]
                columns |= dict(zip(BY_NAME[name].columns, to_words(BY_NAME[name], raw), strict=True))
            columns["category"] = pa.array(chance.choice(["1", "2", "3"], n))
            columns["size"] = chance.integers(1000, 9_000_000, n)
            writer.write_table(pa.table([pa.array(columns[f.name], f.type) for f in rows.SCHEMA], schema=rows.SCHEMA))
    (folder / "rejects.csv").write_bytes(b"")
    record = importer.Import(
        key, source_id, f"{first:064d}", f"{first}.json", 0, "list", "1", "US", "Media", count, count, {}, {},
        AS_OF.isoformat(), "bench", files.sha256(folder / "rows.parquet"), files.sha256(folder / "rejects.csv"),
    )  # fmt: skip
    files.write_json(folder / "import.json", record.__dict__)


def _build(home: Path, memory_mb: int) -> dict[str, Any]:
    settings = Settings(home=home, memory_mb=memory_mb)
    report = building.build_release(settings, nights.start(settings, f"bench-{time.monotonic_ns()}", AS_OF))
    built = time.process_time()
    publishing.publish(settings)
    release = releases.current(settings)
    return {
        "release": release.number,
        "counts": {k: v for k, v in release.manifest["counts"].items() if v},
        "indexes": release.manifest["indexes"],
        "read": report.read,
        "publish_cpu": round(time.process_time() - built, 2),
        "disk_mib": sum(f["size"] for f in release.manifest["files"].values()) >> 20,
        "database_mib": release.manifest["files"][releases.DATABASE]["size"] >> 20,
    }


def _exact(home: Path, queries: int) -> dict[str, Any]:
    settings = Settings(home=home)
    start = time.process_time()
    release = releases.current(settings)
    opened = time.process_time() - start
    con = release.connect()
    known = con.sql(
        "SELECT media_key FROM media WHERE media_key % 100 = 7 LIMIT ?", params=[queries // 2]
    ).to_arrow_table()
    con.close()
    held = release.hashes("sha1", known.column("media_key"))
    chance = np.random.default_rng(3)
    others = [chance.bytes(20) for _ in range(queries - held.num_rows)]
    values = pa.concat_arrays([held.column("value").combine_chunks(), pa.array(others, pa.binary())])
    asked = pa.table(
        {
            "query_id": pa.array(np.arange(len(values))),
            "algorithm": pa.repeat(pa.scalar("sha1"), len(values)),
            "value": values,
        }
    )
    seconds = []
    for _ in range(3):
        start = time.process_time()
        found = release.exact(asked)
        seconds.append(time.process_time() - start)
    assert found.num_rows >= held.num_rows
    one = asked.slice(0, 1)
    start = time.process_time()
    release.exact(one)
    single = time.process_time() - start
    start = time.process_time()
    release.describe(known.column("media_key").slice(0, 1000))
    return {
        "queries": asked.num_rows,
        "found": found.num_rows,
        "verify_at_open_cpu": round(opened, 2),
        "exact_cpu_seconds": round(sorted(seconds)[1], 2),
        "single_lookup_cpu_seconds": round(single, 3),
        "describe_1000_cpu_seconds": round(time.process_time() - start, 3),
    }


def bench_store(folder: Path) -> dict[str, Any]:
    """A release of 50 M SHA-1 and 10 M PDQ, 1 M exact queries, and the next release with 10 k new entries."""
    home = folder / "store"
    settings = Settings(home=home)
    size = int(os.environ.get("BENCH_ROWS", "50000000"))
    stage_rows(settings, "project_vic", 1, size // 5, pdq=True)
    for part in range(1, 5):
        stage_rows(settings, "project_vic", part * size, size // 5, pdq=False)
    print(f"store: {size:,} rows staged", flush=True)
    out: dict[str, Any] = {"first_release": measured(_build, home, 6144)}
    print("store: first release", out["first_release"], flush=True)
    out["exact"] = measured(_exact, home, 1_000_000)
    print("store: exact queries", out["exact"], flush=True)
    stage_rows(settings, "project_vic", 9 * size, 10_000, pdq=True)
    out["next_release_10k"] = measured(_build, home, 6144)
    out["staged_mib"] = sum(p.stat().st_size for p in importer.imports_dir(settings).rglob("*.parquet")) >> 20
    shutil.rmtree(home)
    return out


# -- publishing under readers ----------------------------------------------------------------------------------------


def _reader(home: Path, stop: Any, results: Any) -> None:
    """Ask the current release again and again: every answer must be one release's own, whole."""
    settings = Settings(home=home, threads=1)
    answers = mixed = errors = 0
    seen = set()
    while not stop.is_set():
        try:
            release = releases.current(settings)
            con = release.connect()
            media = con.execute("SELECT count(*) FROM media").fetchall()[0][0]
            newest = con.execute("SELECT max(release) FROM release").fetchall()[0][0]
            con.close()
            index = core.open_index(release.index_dir("pdq"))
            whole = (
                media == release.manifest["counts"]["media"]
                and newest == release.number
                and index.manifest.rows == release.manifest["indexes"]["pdq"]
            )
            mixed += not whole
            seen.add(release.number)
            answers += 1
        except Exception as error:  # noqa: BLE001 - any failure of a reader is what is counted
            errors += 1
            print(type(error).__name__, error, file=sys.stderr)
    results.put({"answers": answers, "mixed": mixed, "errors": errors, "releases_seen": len(seen)})


def bench_publish(folder: Path) -> dict[str, Any]:
    """20 publishes under 4 reading processes."""
    home = folder / "publish"
    settings = Settings(home=home)
    stage_rows(settings, "project_vic", 1, 20_000, pdq=True)
    building.run(settings, nights.start(settings, "bench-0", AS_OF))
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    processes = [context.Process(target=_reader, args=(home, stop, results)) for _ in range(4)]
    for process in processes:
        process.start()
    for i in range(1, 21):
        stage_rows(settings, "project_vic", i * 100_000, 100, pdq=True)
        building.run(settings, nights.start(settings, f"bench-{i}", AS_OF))
    stop.set()
    counts = [results.get() for _ in processes]
    for process in processes:
        process.join()
    total = {k: sum(c[k] for c in counts) for k in ("answers", "mixed", "errors")}
    return {"publishes": 20, "readers": 4, **total, "last_release": releases.current(settings).number}


# -- retro-matching --------------------------------------------------------------------------------------------------


def _filled(field: pa.Field, rows: int) -> pa.Array:
    """A column with nothing to tell: null where it may be, else 0, false or "-"."""
    if field.nullable:
        return pa.nulls(rows, field.type)
    plain: Any = "-" if pa.types.is_string(field.type) else False if pa.types.is_boolean(field.type) else 0
    return pa.repeat(pa.scalar(plain, field.type), rows) if not pa.types.is_fixed_size_binary(field.type) else None


def write_past(settings: Settings, night: nights.Night, nights_past: int, files_a_night: int) -> NDArray[np.uint8]:
    """Fingerprints of past nights, one unit a night, each matched against release 1; returns the first night's PDQ."""
    lake, schema = Lake(settings.lake_dir), records.arrow_schema("fingerprints")
    first: NDArray[np.uint8] | None = None
    for number in range(nights_past):
        chance = np.random.default_rng(1000 + number)
        columns: dict[str, Any] = {f.name: _filled(f, files_a_night) for f in schema}
        for name, width in {"sha256": 32, "sha1": 20, "md5": 16, "pdq": 32, "phash256": 32}.items():
            raw = chance.integers(0, 256, (files_a_night, width), np.uint8)
            columns[name] = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(width), files_a_night, [None, pa.py_buffer(raw)]
            )
            first = raw if name == "pdq" and first is None else first
        columns["pdq_quality"] = pa.repeat(100, files_a_night)
        table = pa.table([columns[f.name].cast(f.type) for f in schema], schema=schema)
        lake.commit("fingerprint", f"night-{number}", {"fingerprints": table}, run_id=night.run_id)
        unit = f"content-night-{number}"
        lake.commit("match", unit, {}, run_id=night.run_id, meta={"unit": unit, "release": 1})
        if number % 20 == 19:
            print(f"retro: {number + 1} of {nights_past} past nights written", flush=True)
    assert first is not None
    return first


def _retro(home: Path) -> dict[str, Any]:
    settings = Settings(home=home)
    known = np.zeros((10, 32), np.uint8)
    core.build_index(  # compiles or loads the kernels, as a long run would hardly notice
        [(np.arange(10), known)], home / "warm", algorithm="pdq", hasher_version="1", release="1"
    )
    core.join(core.open_index(home / "warm"), known, np.arange(10), radius=31)
    start = time.process_time()
    report = retro.run(settings, nights.start(settings, "bench-retro", AS_OF))
    return {"units": report.read, **report.counts, "work_cpu": round(time.process_time() - start, 2)}


def bench_retro(folder: Path) -> dict[str, Any]:
    """The stage retro_match: a release with 10 k new PDQ hashes against 10 M past fingerprints, digests and PDQ."""
    settings = Settings(home=folder / "retro")
    past, delta = int(os.environ.get("BENCH_PAST", "10000000")), 10_000
    stage_rows(settings, "project_vic", 1, 1000, pdq=True)
    night = nights.start(settings, "bench-0", AS_OF)
    building.run(settings, night)
    values = np.random.default_rng(5).integers(0, 256, (delta, 32), np.uint8)
    seen = write_past(settings, night, past // 100_000, 100_000)
    values[: delta // 2] = seen[: delta // 2]
    values[: delta // 2, 0] ^= 0b101  # two bits away
    stage_rows(settings, "project_vic", 2, delta, pdq=True, values=values)
    building.run(settings, nights.start(settings, "bench-1", AS_OF))
    result = measured(_retro, settings.home)
    assert result["new_matches"] >= delta // 2
    shutil.rmtree(settings.home)
    return {"past": past, "delta": delta, **result}


PARTS = {
    "import": bench_import,
    "memory": bench_memory,
    "store": bench_store,
    "publish": bench_publish,
    "retro": bench_retro,
}


def main(names: list[str]) -> None:
    path = common.RESULTS / "hashsets.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    folder = Path(tempfile.mkdtemp(prefix="bench-hashsets-"))
    try:
        for name in names or PARTS:
            print(f"{name} ...", flush=True)
            result[name] = PARTS[name](folder)
            print(f"{name}:", json.dumps(result[name], indent=1), flush=True)
            result["machine"] = common.machine()
            result["versions"] = common.versions("duckdb", "pyarrow", "orjson", "ijson", "numba", "numpy")
            common.save("hashsets", result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
