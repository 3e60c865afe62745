"""One page of all measured figures against their bars: docs/figures.md, written from bench/results.

    python -m bench.summary

A test compares the page with the results, so that a figure in it is never older than its file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.common import RESULTS

PAGE = RESULTS.parents[1] / "docs" / "figures.md"

HEAD = """# Figures

Written by `python -m bench.summary` from `bench/results/`, one file for each bench; the bench's docstring says how it measures, the
file on which machine and with which versions. All were taken on two cores that were shared with other work: times are CPU
seconds, and a peer is measured in the same run. A bar is what was to be reached; **missed** says where it was not.

"""


class Figure(NamedTuple):
    """A line of the page: what was measured, where in the result it stands, and the bar (`least` or `most`)."""

    what: str
    read: Callable[[Any], float]
    unit: str
    least: float | None = None
    most: float | None = None

    def line(self, result: Any) -> str:
        value = self.read(result)
        missed = (self.least is not None and value < self.least) or (self.most is not None and value > self.most)
        bar = f"at least {_number(self.least)}" if self.least is not None else ""
        bar = f"at most {_number(self.most)}" if self.most is not None else bar
        return f"| {self.what} | {_number(value)}{' ' if self.unit else ''}{self.unit} | {bar}{', **missed**' if missed else ''} |"


def _number(value: float | None) -> str:
    assert value is not None
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def worst(recall: Any, *words: str) -> float:
    """The lowest recall by the product's own thresholds over the plain edits whose name starts with one of `words`."""
    plain = ("colour", "flip", "border", "crop", "turn")
    rows = ((name, row) for name, row in recall["recall"].items() if row["class"] in plain)
    return min(float(row["ours"]) for name, row in rows if name.startswith(words))


def _slowest(cases: Any, *, heads: bool = False) -> float:
    """CPU ms of the slowest first page of the queue: in its two orders with any filter, or sorted by a column's head."""
    pages = cases["pages, CPU ms"].items()
    return max(float(p["median"]) for name, p in pages if name.endswith(("(by risk)", "(by target)")) is not heads)


SMALL_NIGHT, LARGE_NIGHT = "1000 files, 1000000 known", "10000 files, 1000000 known"
MANY_KNOWN = "1000 files, 10000000 known"


def _night(nights: Any, size: str = SMALL_NIGHT) -> dict[str, float]:
    """CPU ms per content of each stage."""
    return dict(nights[size]["cpu_ms_a_content"])


COLOUR = ("JPEG", "half", "quarter", "double", "aspect", "blur", "noise", "gamma", "sharpen", "contrast", "grey", "watermark", "logo", "vignette", "format", "EXIF")  # fmt: skip


FIGURES: dict[str, list[Figure]] = {
    "matching": [
        Figure("AVX-512: 100 k x 10 M uniform, r = 31, against faiss flat", lambda r: r["uniform"]["times_faiss_flat"], "x", 2500),
        Figure("the same", lambda r: r["uniform"]["rate"], "queries per core-second"),
        Figure("the same, against the best exact peer", lambda r: r["uniform"]["times_best_peer"], "x"),
        Figure("AVX-512: 100 k x 1 M against the best exact peer", lambda r: r["small"]["times_best_peer"], "x", 300),
        Figure("AVX-512: 100 k x 10 M clustered, cap 100, against faiss flat", lambda r: r["clustered"]["times_faiss_flat"], "x", 1000),
        Figure("AVX-512: 20 k x 10 M, r = 47, against faiss flat", lambda r: r["wide"]["times_faiss_flat"], "x", 200),
        Figure("AVX2: 100 k x 10 M uniform, r = 31, against faiss flat", lambda r: r["avx2"]["uniform"]["times_faiss_flat"], "x", 2500),
        Figure("the same", lambda r: r["avx2"]["uniform"]["rate"], "queries per core-second"),
        Figure("AVX2: 100 k x 1 M against the best exact peer", lambda r: r["avx2"]["small"]["times_best_peer"], "x", 300),
        Figure("AVX2: 100 k x 10 M clustered, cap 100, against faiss flat", lambda r: r["avx2"]["clustered"]["times_faiss_flat"], "x", 600),
        Figure("AVX2: 20 k x 10 M, r = 47, against faiss flat", lambda r: r["avx2"]["wide"]["times_faiss_flat"], "x", 200),
        Figure("1 M x 50 M, share of the rate at 10 M", lambda r: r["huge"]["share_of_ten_million"], "", 0.2),
        Figure("64 bits, r = 8, 100 k x 10 M against faiss flat", lambda r: r["narrow"]["times_faiss_flat"], "x", 500),
        Figure("two threads against one", lambda r: r["two_threads"]["times_one"]["path_cpu_seconds"], "x", 1.8),
        Figure("index at 10 M", lambda r: r["builds"]["uniform"]["bytes_per_hash"], "bytes per hash", None, 130),
        Figure("slowest build, AVX-512", lambda r: min(b["hashes_per_core_second"] for b in r["builds"].values() if b["rows"] >= 1_000_000), "hashes per core-second", 3e6),
        Figure("slowest build, AVX2", lambda r: min(b["hashes_per_core_second"] for b in r["avx2"]["builds"].values() if b["rows"] >= 1_000_000), "hashes per core-second", 2.2e6),
    ],
    "matching_alike": [
        Figure("a query near a hash that 100,000 known media share, among 1 M others", lambda r: r["near_microseconds_per_query"], "us of CPU", None, 10),
        Figure("a query near nothing, same index", lambda r: r["far_microseconds_per_query"], "us of CPU"),
        Figure("faiss flat, the nearest of the cap, same query", lambda r: r["faiss_flat_microseconds_per_query"], "us of CPU"),
    ],
    "hashsets": [
        Figure("VICS 2.0 import against an ijson loop, digests", lambda r: r["import"]["digests_only"]["ratio"], "x", 8),
        Figure("the same with PhotoDNA values", lambda r: r["import"]["with_photodna"]["ratio"], "x", 8),
        Figure("import of 1 GB of JSON, peak memory", lambda r: r["memory"]["peak_mib"], "MiB", None, 1024),
        Figure("first release of 50 M exact and 10 M perceptual rows", lambda r: r["store"]["first_release"]["cpu_seconds"], "CPU seconds"),
        Figure("its peak memory", lambda r: r["store"]["first_release"]["peak_mib"], "MiB"),
        Figure("its size on disk", lambda r: r["store"]["first_release"]["disk_mib"], "MiB"),
        Figure("1 M SHA-1 queries x 50 M rows", lambda r: r["store"]["exact"]["exact_cpu_seconds"], "core-seconds", None, 10),
        Figure("mixed answers or errors of 4 readers over 20 publishes", lambda r: r["publish"]["mixed"] + r["publish"]["errors"], "", None, 0),
        Figure("retro-match of 10 k new hashes x 10 M past fingerprints", lambda r: r["retro"]["cpu_seconds"], "core-seconds", None, 60),
    ],
    "fingerprint": [
        Figure("12 MP JPEGs against imagehash and pdqhash", lambda r: r["speed_12mp"]["ratio"], "x", 15),
        Figure("1 to 2 MP JPEGs", lambda r: r["speed_1_to_2mp"]["ratio"], "x", 5),
        Figure("PDQ against published values, quality >= 80, largest distance", lambda r: r["golden"]["quality_80"]["largest"], "bits", None, 10),
        Figure("PDQ of the reduced against the full decode, 99th percentile", lambda r: r["pdq_reduced_against_full_decode"]["percentile_99"], "bits", None, 8),
        Figure("all variants of a picture, median", lambda r: r["variants"]["median_ms"], "ms of CPU", None, 25),
    ],
    "recall": [
        Figure("worst of JPEG, size, noise, colour, overlay and format edits", lambda r: worst(r, *COLOUR), "", 0.95),
        Figure("worst of mirror and turns by 90 degrees", lambda r: worst(r, "mirror", "rotated"), "", 0.95),
        Figure("worst of borders of 5, 10 and 20 %", lambda r: worst(r, *(f"{k} border {n} %" for k in ("black", "white", "blurred") for n in (5, 10, 20))), "", 0.95),
        Figure("worst of crops of 5 %", lambda r: worst(r, "crop 5 % centre", "crop 5 % side", "crop 5 % corner"), "", 0.95),
        Figure("worst of crops of 10 %", lambda r: worst(r, "crop 10 % centre", "crop 10 % side", "crop 10 % corner"), "", 0.85),
        Figure("worst of rotations of 1 to 4 degrees", lambda r: worst(r, "turned 1", "turned 2 degrees", "turned 3", "turned 4 degrees"), "", 0.8),
        Figure("files with a false hit", lambda r: r["false_hits"]["files_with_a_false_candidate"], "", None, 0),
        Figure("matching of a file at 10 M known, against 177 variants at 47 bits", lambda r: r["cost"]["matching_ms_per_file_at_10_million"] / r["cost"]["matching_ms_per_file_before"], "x", None, 1.5),
    ],
    "recall_choose": [
        Figure("mean share of altered copies found of photographs that the radii were not chosen on", lambda r: r["mean"]["other_half"], ""),
        Figure("the same with all groups of queries at 47 bits", lambda r: r["mean"]["other_half_all_at_47"], ""),
    ],
    "hostile": [
        Figure("throughput among hostile files, share of the good ones alone", lambda r: r["ratio_files_per_cpu_second"], "", 0.8),
        Figure("good files harmed", lambda r: r["photographs_harmed"], "", None, 0),
    ],
    "video_damage": [
        Figure("videos with damaged packets tried", lambda r: r["mutants"], ""),
        Figure("workers that died of them", lambda r: sum(r["workers_died"].values()), "", None, 0),
        Figure("shown by FFmpeg behind the damage and not seen", lambda r: r["shown_and_not_seen"], "", None, 0),
    ],
    "vics_pdq": [
        Figure("VICS with PDQ in AlternativeHashes, read and judged", lambda r: r["pdq_rows_per_core_second"], "rows per core-second"),
        Figure("the same rows with digests only", lambda r: r["digests_rows_per_core_second"], "rows per core-second"),
    ],
    "hostile_packages": [
        Figure("throughput among 2,000 mutated packages and 50 bombs, share of 500 good ones alone", lambda r: r["ratio"], "", 0.8),
        Figure("good packages harmed", lambda r: r["good_packages_harmed"], "", None, 0),
        Figure("largest process", lambda r: max(r["peak_mib"], r["reader_peak_mib"]), "MiB", None, 1024),
        Figure("processes that a package ended", lambda r: r["processes_ended"], ""),
    ],
    "ingest": [
        Figure("referral packages parsed in limited processes, validated, linked, written", lambda r: r["packages_per_core_second"], "per core-second", 400),
        Figure("peak memory", lambda r: r["peak_memory_mib"], "MiB"),
        Figure("10 k new among 1 M identifiers linked", lambda r: r["linking_cpu_seconds_incremental"], "core-seconds", None, 5),
    ],
    "assess": [
        Figure("100,000 cases re-assessed", lambda r: r["assess"]["everything-re-assessed"]["cpu_seconds"], "core-seconds", None, 60),
    ],
    "cases": [
        Figure("first queue page of 100,000 cases, all filters, SQLite", lambda r: next(p["median"] for n, p in r["sqlite"]["pages, CPU ms"].items() if n.startswith("all filters")), "ms of CPU", None, 20),
        Figure("slowest of the filters tried, by risk or by target, SQLite", lambda r: _slowest(r["sqlite"]), "ms of CPU", None, 20),
        Figure("the same, PostgreSQL, client and server", lambda r: _slowest(r["postgresql, client and server"]), "ms of CPU", None, 20),
        Figure("slowest order by a column's head, SQLite", lambda r: _slowest(r["sqlite"], heads=True), "ms of CPU"),
        Figure("the same, PostgreSQL, client and server", lambda r: _slowest(r["postgresql, client and server"], heads=True), "ms of CPU"),
        Figure("publish of 5,000 changed cases, SQLite", lambda r: r["sqlite"]["publish of changed, core-seconds"], "core-seconds", None, 10),
        Figure("the same, PostgreSQL", lambda r: r["postgresql, client and server"]["publish of changed, core-seconds"], "core-seconds", None, 10),
    ],
    "console": [
        Figure("20 analysts for 60 s on 100,000 cases, 95th percentile", lambda r: r["milliseconds"]["p95"], "ms", None, 100),
        Figure("of these the queue, counts made anew included", lambda r: r["by_kind"]["queue"]["p95"], "ms", None, 60),
        Figure("the queue while 40 people sign in at once, 95th percentile", lambda r: r["sign_ins_at_once"]["queue_milliseconds"]["p95"], "ms", None, 200),
        Figure("errors", lambda r: sum(r["errors"].values()), "", None, 0),
        Figure("queue page", lambda r: r["queue_page_bytes"] / 1000, "kB", None, 60),
    ],
    "nightly": [
        Figure("1,000 files, 1 M known hashes, all stages", lambda r: _night(r)["all stages"], "ms of CPU per content", None, 30),
        Figure("of these the fingerprint stage", lambda r: _night(r)["fingerprint"], "ms"),
        Figure("and the match stage", lambda r: _night(r)["match"], "ms"),
        Figure("1,000 files, 10 M known hashes, all stages", lambda r: r[MANY_KNOWN]["cpu_ms_a_content"]["all stages"], "ms of CPU per content", None, 45),
        Figure("10,000 files, 1 M known hashes, all stages", lambda r: r[LARGE_NIGHT]["cpu_ms_a_content"]["all stages"], "ms of CPU per content"),
        Figure("Airflow's own share of that night", lambda r: r[LARGE_NIGHT]["airflow"]["own_share_of_cpu"], "of its CPU seconds", None, 0.05),
        Figure("Airflow's and that of starting a process for each task", lambda r: r[LARGE_NIGHT]["airflow"]["own_and_start_share_of_cpu"], "of its CPU seconds", None, 0.05),
    ],
    "start": [
        Figure("Python alone, on the machine of the figures below", lambda r: r["python_cpu_seconds"], "CPU seconds"),
        Figure("`triage --help`", lambda r: r["help_cpu_seconds"], "CPU seconds", None, 0.2),
        Figure("`triage lookup` of a digest", lambda r: r["lookup_digest_cpu_seconds"], "CPU seconds", None, 0.6),
        Figure("`triage lookup` of a perceptual hash", lambda r: r["lookup_perceptual_cpu_seconds"], "CPU seconds", None, 0.6),
        Figure("matching and building kernels, compiled anew", lambda r: r["kernels_cpu_seconds"]["matching_compiled"], "CPU seconds", None, 8),
        Figure("the same from a filled folder that is read-only", lambda r: r["kernels_cpu_seconds"]["matching_filled_read_only"], "CPU seconds"),
    ],
    "growth": [
        Figure("one more night after 1,000 nights against after 30, all stages", lambda r: _grown(r, "sum"), "times", None, 1.2),
        *(
            Figure(f"the same, {stage}", lambda r, stage=stage: _grown(r, stage), "times", None, 1.3)
            for stage in ("ingest", "fingerprint", "match", "flood", "assess", "publish", "reporting", "reconcile")
        ),
        *(
            Figure(f"{words}, after 1,000 nights of which nobody has worked a case", lambda r, name=name: r["after"]["1000"]["people"][name], "CPU seconds")
            for words, name in (
                ("`triage status`", "status_cpu_seconds"),
                ("the console's first page of the queue", "first_queue_page_cpu_seconds"),
                ("the page of a case", "case_page_cpu_seconds"),
                ("the console's index, made anew", "console_index_cpu_seconds"),
                ("`triage lookup` of a digest", "look_up_cpu_seconds"),
                ("importing 10,000 new hashes, with the cases that they would move", "new_hashes_import_cpu_seconds"),
                ("matching the past with them", "retro_match_cpu_seconds"),
            )
        ),
    ],
    "console_start": [
        Figure("the console's start at a million media files", lambda r: r["seconds_until_it_answers"], "seconds", None, 3),
        Figure("the same", lambda r: r["cpu_seconds_until_it_answers"], "CPU seconds"),
        Figure("its memory when it answers, at its peak until then", lambda r: r["peak_mib_when_it_answers"], "MiB", None, 300),
        Figure("what it holds after the queue, a case and the dashboard", lambda r: r["resident_mib_after_pages"], "MiB", None, 300),
        Figure("the peak of all, with a password being hashed", lambda r: r["peak_mib_after_pages"], "MiB"),
    ],
    "touched": [
        Figure("a night that touches 5,000 of a million cases, linked and assessed", lambda r: r["among_all"]["cpu_seconds"], "CPU seconds"),
        Figure("its peak memory", lambda r: r["among_all"]["peak_mib"], "MiB", None, 2048),
        Figure("the same among the first 100,000 cases", lambda r: r["among_the_first_step"]["cpu_seconds"], "CPU seconds"),
        Figure("its peak memory", lambda r: r["among_the_first_step"]["peak_mib"], "MiB"),
    ],
    "crashes": [
        Figure("faults at system calls of a stage, each followed by a second run", lambda r: r["points"], ""),
        Figure("nights ended by SIGKILL and run again", lambda r: r["kills"], ""),
        Figure("of these ended with other tables than an undisturbed night", lambda r: len(r["wrong"]), "", None, 0),
    ],
}  # fmt: skip


def _grown(result: dict[str, Any], stage: str) -> float:
    """CPU seconds of a stage, or of all, after 1,000 nights over those after 30."""
    after = [result["after"][nights] for nights in ("1000", "30")]
    late, early = (a["sum_cpu_seconds"] if stage == "sum" else a["stages"][stage]["cpu_seconds"] for a in after)
    return round(float(late / early), 2)


def page() -> str:
    """The whole page."""
    parts = [HEAD.rstrip("\n")]
    for name, figures in FIGURES.items():
        result = json.loads((RESULTS / f"{name}.json").read_text())
        lines = [figure.line(result) for figure in figures]
        parts.append("\n".join([f"## bench/{name}.py\n", "| what | measured | bar |", "|---|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    Path(PAGE).write_text(page())
    print(PAGE.name)


if __name__ == "__main__":
    main()
