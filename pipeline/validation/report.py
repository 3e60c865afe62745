"""The report of a validation: JSON, and one HTML page that prints well, in the order that the Forensic Science Regulator's Code
of Practice asks of a method validation: requirement, conditions, data, results, limits, acceptance."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from pipeline.validation.run import share

REQUIREMENT = (
    "Find in a referral's pictures and videos copies of known ones that were recompressed, cropped, framed, mirrored, turned, covered,"
    " put into a screen or collage, or photographed at an angle, from 256-bit hashes of the known ones alone; and say how much each"
    " find is worth (exact, near, same picture altered, similar scene to be checked). A find is a lead for a person, never a category."
)
LIMITS = (
    "The figures hold for these pictures and these edits; other collections differ, and series most of all.",
    "No false hit among n files bounds the rate only by the upper figure stated, not by nought.",
    "Pictures of little detail (PDQ quality below 50) are not asked about, and no near match of theirs is evidence.",
    "Pictures of one template or one series share most of their area: their hits are true likenesses and not the same picture.",
    "Where a large part of a picture is gone (a centre crop to another shape, a caption laid over) it is guessed: such finds are similar"
    " scenes to be checked, and how many are not found stands in the results.",
    "A miss is not a clearance.",
)

ACCEPT = 0.9
"""Least share found for the edits of the plain classes (colour, flip, border) for the method to be accepted as run."""

_PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><title>Validation of the matching method</title><style>
body{font:14px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#0b0c0c}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{border-bottom:1px solid #b1b4b6;padding:.25rem .5rem;text-align:left}
td.n,th.n{text-align:right}caption{text-align:left;font-weight:bold;padding:.5rem 0}thead{display:table-header-group}
tr{break-inside:avoid}h2{margin-top:2rem;break-after:avoid}caption{break-after:avoid}th{font-weight:normal}thead th{font-weight:bold}
@page{size:A4;margin:15mm}@media print{body{margin:0;padding:0;max-width:none;font-size:11px}td,th{padding:.1rem .4rem}}
</style></head><body>
<h1>Validation of the matching method</h1><p>{{ made }}</p>
<h2>1. Requirement</h2><p>{{ requirement }}</p>
<h2>2. Conditions</h2><table>{% for name, value in conditions.items() %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
<h2>3. Data</h2><p>{{ r.pictures_known }} distinct pictures known, {{ r.pictures_asked }} of them asked about under each of {{ r.recall | length }} edits; {{ r.videos_known }} videos.{% for why, n in r.left_out.items() if n %} Left out, {{ why }}: {{ n }}.{% endfor %} Nothing of them is stored.</p>
<h2>4. Results</h2>
<table><caption>Copies found, by edit</caption><thead><tr><th scope="col">Edit</th><th class="n" scope="col">Found</th><th class="n" scope="col">Share</th><th class="n" scope="col">95 % interval</th><th class="n" scope="col">near</th><th class="n" scope="col">altered</th><th class="n" scope="col">similar</th></tr></thead>
{% for name, x in r.recall.items() %}<tr><th scope="row">{{ name }}</th><td class="n">{{ x.found }} of {{ x.n }}</td><td class="n">{{ "%.2f" | format(x.share) }}</td><td class="n">{{ "%.2f to %.2f" | format(x.low, x.high) }}</td>{% for level in ("near", "altered", "similar") %}<td class="n">{{ x.levels.get(level, 0) }}</td>{% endfor %}</tr>{% endfor %}</table>
{% if r.videos %}<table><caption>Edited videos found</caption><thead><tr><th scope="col">Edit</th><th class="n" scope="col">Found</th><th class="n" scope="col">95 % interval</th><th class="n" scope="col">Other videos</th></tr></thead>{% for name, x in r.videos.items() %}<tr><th scope="row">{{ name }}</th><td class="n">{{ x.found }} of {{ x.n }}</td><td class="n">{{ "%.2f to %.2f" | format(x.low, x.high) if x.n else "no video could be read" }}</td><td class="n">{{ x.wrong }}</td></tr>{% endfor %}</table>{% endif %}
<table><caption>False hits among distinct pictures, by level</caption><thead><tr><th scope="col">Level</th><th class="n" scope="col">Files asked</th><th class="n" scope="col">Wrong</th><th class="n" scope="col">Per million files</th><th class="n" scope="col">Upper 95 % bound</th></tr></thead>{% for level, x in r.false_hits.items() %}<tr><th scope="row">{{ level }}</th><td class="n">{{ x.files }}</td><td class="n">{{ x.wrong }}</td><td class="n">{{ x.per_million }}</td><td class="n">{{ x.upper_95 }}</td></tr>{% endfor %}</table>
<p>Nearest other picture, any query: {{ r.nearest_other_picture_bits }} bits.</p>
<table><caption>Hard negatives: different pictures of one template or series, each against the others</caption><thead><tr><th scope="col">Class</th><th class="n" scope="col">Pairs</th><th class="n" scope="col">near</th><th class="n" scope="col">altered</th><th class="n" scope="col">similar</th><th class="n" scope="col">Files wrong, per million</th><th class="n" scope="col">Upper 95 % bound</th></tr></thead>{% for name, x in r.hard_negatives.items() %}<tr><th scope="row">{{ name }}</th><td class="n">{{ x.pairs }}</td>{% for level in ("near", "altered", "similar") %}<td class="n">{{ x[level].wrong }}</td>{% endfor %}<td class="n">{{ x.files.per_million }}</td><td class="n">{{ x.files.upper_95 }}</td></tr>{% endfor %}</table>
<table><caption>Exactness: the matching core, canaries in every join, against plain comparison</caption><thead><tr><th scope="col">Radius</th><th class="n" scope="col">Pairs</th><th class="n" scope="col">Differences</th></tr></thead>{% for radius, x in r.exactness.items() %}<tr><th scope="row">{{ radius }} bits</th><td class="n">{{ x.pairs }}</td><td class="n">{{ x.differences }}</td></tr>{% endfor %}</table>
<p>Queries of a file by radius: {% for radius, n in r.queries_per_file.items() %}{{ n }} at {{ radius }}{{ ", " if not loop.last }}{% endfor %}. {{ r.cpu_ms_per_file }} ms of processor time a file, making the edit included.</p>
<h2>5. Limits</h2><ul>{% for limit in limits %}<li>{{ limit }}</li>{% endfor %}</ul>
<h2>6. Acceptance</h2><table>{% for a in r.acceptance %}<tr><th scope="row">{{ a.criterion }}</th><td>{{ "met" if a.met else "not met" }}: {{ a.measured }}</td></tr>{% endfor %}</table>
<p>Accepted for use by (name, role, date): ______________________________</p>
</body></html>
""")


def acceptance(result: dict[str, Any], kinds: dict[str, str]) -> list[dict[str, Any]]:
    """The criteria, whether each is met, and what was measured. `kinds` gives the class of each edit."""
    plain = [x for name, x in result["recall"].items() if kinds.get(name) in ("colour", "flip", "border")]
    hits, asked = sum(x["found"] for x in plain), sum(x["n"] for x in plain)
    least = share(hits, asked)["share"]
    differences = sum(x["differences"] for x in result["exactness"].values())
    strong = sum(result["false_hits"][level]["wrong"] for level in ("near", "altered"))
    return [
        {
            "criterion": f"At least {ACCEPT:.0%} of recompressed, recoloured, flipped and bordered copies are found",
            "met": least is not None and least >= ACCEPT,
            "measured": f"{hits} of {asked}" if asked else "no such edit was asked",
        },
        {
            "criterion": "No other distinct picture is called near or the same picture altered",
            "met": strong == 0,
            "measured": f"{strong} files",
        },
        {
            "criterion": "The matching core agrees with plain comparison in every pair",
            "met": differences == 0,
            "measured": f"{differences} differences",
        },
    ]


def html(result: dict[str, Any]) -> str:
    """The page of a result."""
    return str(
        Markup(  # noqa: S704 - rendered with autoescape above
            _PAGE.render(
                r=result,
                made=f"Made {result['made']} with version {result['version']}",
                requirement=REQUIREMENT,
                conditions=result["conditions"],
                limits=LIMITS,
            )
        )
    )
