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


def columns(result: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Keys of a row of the result, and what the table calls them."""
    widest = result["widest_radius_without_false_hit"]
    return (
        ("pdq_31", "plain PDQ ≤ 31"),
        ("pdq_widest", f"plain PDQ ≤ {widest['pdq']}"),
        ("phash256_31", "plain pHash 256 ≤ 31"),
        ("phash256_widest", f"plain pHash 256 ≤ {widest['phash256']}"),
        ("variants_31", "variants ≤ 31"),
        ("candidates_47", "variants ≤ 47"),
        ("ours", "**ours**"),
    )


def write_docs(result: dict[str, Any]) -> None:
    """Replace the table in docs/recall.md and draw docs/recall.svg."""
    page = DOCS / "recall.md"
    text = page.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n{table(result)}\n{END}{after}")
    plot(result)


def table(result: dict[str, Any]) -> str:
    chosen = columns(result)
    head = "| edit | " + " | ".join(label for _, label in chosen) + " |"
    rule = "|---|" + "---:|" * len(chosen)
    rows = [
        f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key, _ in chosen) + " |"
        for name, row in result["recall"].items()
    ]
    wrong, near = result["false_hits"], result["nearest_other_photograph"]
    foot = (
        f"{result['photographs']} photographs asked about of {result['photographs_known']} distinct ones known, {wrong['known_hashes']:,} known hashes, {wrong['query_files']:,} edited"
        f" files, {wrong['query_hashes']:,} query hashes. Files with a false candidate at 47 bits:"
        f" {wrong['files_with_false_candidate_at_47']} ({wrong['false_hits_per_million_files_at_47']} per million files;"
        f" were the true rate {wrong['upper_bound_95_per_million_if_none']} per million, none would be seen one time in twenty)."
        f" Nearest other photograph: plain PDQ {near['plain_pdq']} bits, plain pHash 256 {near['plain_phash256']},"
        f" any variant {near['variants']}, refined {near['refined']} (median {near['refined_median']:.0f} of"
        f" {near['refined_pairs']} pairs chosen as the nearest)."
    )
    below = result["below_their_bar"]
    foot += (
        "\n\nEdits below the bar set for them: "
        + (", ".join(f"{n} ({v:.3f})" for n, v in below.items()) or "none")
        + "."
    )
    return "\n".join(["", head, rule, *rows, "", foot, ""])


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
        ("variants_31", "variants, 31 bits", "^", "#5694ca"),
        ("ours", "ours: variants, then refinement", "D", "#003078"),
    ):
        axes.plot(
            [result["recall"][name][key] for name in names], range(len(names)), marker, color=colour, label=label, ms=4
        )
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of edited copies found")
    axes.grid(axis="both", color="#ddd", linewidth=0.5)
    axes.legend(loc="lower left", fontsize=7)
    figure.tight_layout()
    figure.savefig(DOCS / "recall.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    write_docs(json.loads((RESULTS / "recall.json").read_text()))
