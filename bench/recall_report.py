"""The table and the plot of docs/recall.md, from bench/results/recall.json.

python -m bench.recall_report        # write them again without measuring
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.common import RESULTS

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- table: written by bench/recall_report.py -->", "<!-- end of table -->"


BARS: dict[str, float] = {
    "inverted colours": 1.0, "phone screenshot 1080x2340": 0.95, "social-app screenshot, light": 0.93,
    "social-app screenshot, dark": 0.93, "caption bar added 10 %": 0.95, "caption bar added 25 %": 0.95,
    "caption bar over 15 %": 0.9, "caption bar over 25 %": 0.75, "story 9:16, blurred": 0.92,
    "story 9:16, on another photograph": 0.92, "two pictures stacked": 0.95, "two pictures side by side": 0.8,
    "collage 2x2": 0.8, "collage 3x3": 0.7, "picture in picture 50 %": 0.5, "picture in picture 30 %": 0.3,
    "mirrored, crop 5 % centre": 0.95, "mirrored, crop 10 % centre": 0.9, "mirrored, crop 10 % corner": 0.85,
    "mirrored, turned 3 degrees": 0.9, "rotated 90, crop 5 % centre": 0.9, "crop 10 % centre, white border 10 %": 0.9,
    "crop 10 % corner, black border 10 %": 0.8, "turned 8 degrees": 0.9, "turned 10 degrees": 0.85,
    "turned 15 degrees": 0.5, "keystone 6 %": 0.8, "keystone 10 %": 0.5, "photo of a screen at an angle": 0.75,
    "centre crop to 1:1": 0.9, "centre crop to 4:5": 0.8, "centre crop to 16:9": 0.8, "centre crop to 9:16": 0.4,
    "emoji 30 %": 0.85, "emoji 40 %": 0.6, "inset of another 35 %": 0.7,
}  # fmt: skip
"""Least share to be found of the composed and combined edits for which a bar was set."""

COLUMNS = (
    ("pdq_31", "plain PDQ ≤ 31"),
    ("phash256_31", "plain pHash 256 ≤ 31"),
    ("before", "grid of before"),
    ("variants_31", "variants ≤ 31"),
    ("ours", "**ours**"),
)
"""Keys of a row of the result, and what the table calls them."""


def write_docs(result: dict[str, Any]) -> None:
    """Replace the table in docs/recall.md and draw docs/recall.svg."""
    page = DOCS / "recall.md"
    text = page.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n{table(result)}\n{END}{after}")
    plot(result)


def table(result: dict[str, Any]) -> str:
    head = "| edit | " + " | ".join(label for _, label in COLUMNS) + " | 95 % interval | near | altered | similar |"
    rule = "|---|" + "---:|" * (len(COLUMNS) + 4)
    rows = [
        f"| {name} | "
        + " | ".join(f"{row[key]:.2f}" for key, _ in COLUMNS)
        + f" | {row['low']:.2f} to {row['high']:.2f} | "
        + " | ".join(str(row["levels"][level]) for level in ("near", "altered", "similar"))
        + " |"
        for name, row in result["recall"].items()
    ]
    return "\n".join(["", head, rule, *rows, "", *_foot(result), *_moving(result), *_negatives(result), *_cost(result)])


def _foot(result: dict[str, Any]) -> list[str]:
    wrong, near = result["false_hits"], result["nearest_other_photograph"]
    widest = result["widest_radius_without_false_hit"]
    below = ", ".join(f"{n} ({v:.2f})" for n, v in result["below_their_bar"].items()) or "none"
    less = ", ".join(f"{n} ({a:.2f} to {b:.2f})" for n, (a, b) in result["less_than_before"].items()) or "none"
    return [
        f"Measured on {result['made']}, {result['cpu_minutes']} minutes of one core: {result['photographs']} photographs asked about"
        f"{' (a sample)' if result['photographs'] < result['photographs_known'] else ''} of {result['photographs_known']} distinct ones known, {wrong['query_files']:,} edited files,"
        f" {wrong['query_hashes']:,} query hashes. Files with a candidate among {wrong['known_hashes']:,} other known hashes, each"
        f" family at its own radius: {wrong['files_with_a_false_candidate']} ({wrong['per_million']} per million files, upper 95 %"
        f" bound {wrong['upper_95']}). Nearest other photograph: plain PDQ {near['plain_pdq']} bits, plain pHash 256"
        f" {near['plain_phash256']}, any variant {near['variants']}, refined {near['refined']} (median {near['refined_median']:.0f} of"
        f" {near['refined_pairs']} pairs chosen as the nearest). Files for which another photograph was called near:"
        f" {wrong['files_wrong_by_level']['near']}, altered: {wrong['files_wrong_by_level']['altered']}, similar:"
        f" {wrong['files_wrong_by_level']['similar']}. Widest radius at which the plain methods have no false hit here:"
        f" PDQ {widest['pdq']}, pHash 256 {widest['phash256']}.",
        "",
        f"**Not reached of what was asked for:** {below}.",
        "",
        f"Edits of which less is found than by the grid of before, in the same run: {less}.",
        "",
    ]


def _moving(result: dict[str, Any]) -> list[str]:
    rows = [f"| {name} | {x['found']} of {x['n']} | {x['wrong']} |" for name, x in result["videos"].items()]
    real = [
        f"| {name} | {x['near']} of {x['frames']} | {x['near_another']} | {x['evidence'] or 'none'} |"
        + (f" {x['off_seconds']} |" if x["evidence"] else " |")
        for name, x in result["real_videos"].items()
    ]
    head = (
        "| version of a real video, one frame a second | frames near | near another video | evidence | off, seconds |"
    )
    made = ["| video made from photographs | found | other videos |", "|---|---:|---:|", *rows, ""]
    return [*made, head, "|---|---:|---:|---|---:|", *real, ""]


def _negatives(result: dict[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {x['pairs']} | {x['near']['wrong']} | {x['altered']['wrong']} | {x['similar']['wrong']} |"
        f" {x['files']['per_million']:,.0f} |"
        for name, x in result["hard_negatives"].items()
    ]
    head = (
        "| hard negatives, each against its class | pairs | near | altered | similar | false hits per million files |"
    )
    return [head, "|---|---:|---:|---:|---:|---:|", *rows, ""]


def _cost(result: dict[str, Any]) -> list[str]:
    cost, wrong = result["cost"], result["false_hits"]["per_family"]
    price = cost["microseconds_of_a_query_at_10_million"]
    rows = [f"| {r} | {n} | {price[r]} |" for r, n in cost["queries_per_file"].items()]
    families = [
        f"| {name} | {x['queries_per_file']} | {result['nearest_by_family'].get(name, 0)} | {x['files_wrong']} |"
        for name, x in wrong.items()
    ]
    return [
        f"A file asks, at 10 million known hashes, {cost['matching_ms_per_file_at_10_million']} ms of matching (177 variants at 47"
        f" bits, as before the families: {cost['matching_ms_per_file_before']} ms), and {cost['hashing_ms_per_file']} ms of hashing,"
        " decoding included.",
        "",
        "| radius | queries per file | CPU of one, µs |",
        "|---:|---:|---:|",
        *rows,
        "",
        "| family | queries per file | files it was nearest for | files with a false candidate |",
        "|---|---:|---:|---:|",
        *families,
        "",
    ]


def plot(result: dict[str, Any]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "recall"
    from matplotlib import pyplot as plt

    names = list(result["recall"])
    figure, axes = plt.subplots(figsize=(8, 0.2 * len(names) + 1.2))
    for key, label, marker, colour in (
        ("pdq_31", "plain PDQ, 31 bits", "o", "#d4351c"),
        ("phash256_31", "plain pHash 256, 31 bits", "s", "#f47738"),
        ("before", "grid of before, 47 bits and refinement", "^", "#5694ca"),
        ("ours", "ours: families, each at its radius, and refinement", "D", "#003078"),
    ):
        axes.plot(
            [result["recall"][name][key] for name in names], range(len(names)), marker, color=colour, label=label, ms=4
        )
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of edited copies found")
    axes.grid(axis="both", color="#ddd", linewidth=0.5)
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2, frameon=False, fontsize=7
    )  # above: no row is covered
    figure.tight_layout()
    figure.savefig(DOCS / "recall.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    write_docs(json.loads((RESULTS / "recall.json").read_text()))
