"""What a match's page says of its worth: detail of both sides, measured false hits with bench and date, known videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import policy
from pipeline.console.casepage import explain
from pipeline.settings import Settings

RESULTS = Path(__file__).parents[4] / "bench" / "results" / "recall.json"


def match(**columns: Any) -> dict[str, Any]:
    base = {"level": "near", "threshold": 31, "low_information": False, "known_quality": None, "mostly_flat": None}
    return {**base, **columns}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "enough in the picture; of the known picture not known"),
        ({"known_quality": 80}, "enough in the picture; enough in the known picture"),
        ({"low_information": True, "known_quality": 12}, "too little on one side: not evidence of anything by itself"),
        ({"threshold": 0}, "plays no part: the bytes are equal"),
    ],
)
def test_detail_is_said_of_both_sides_or_said_to_be_unknown(columns: dict[str, Any], words: str) -> None:
    assert explain.detail(match(**columns)) == words


def test_each_level_carries_its_measured_rate_with_bench_and_date(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    rules = policy.load(settings, "matching").data["levels"]["measured"]
    for level in ("near", "altered", "similar"):
        said = explain.measured(settings, match(level=level))["measured"]
        assert (
            f"{rules['wrong'][level]:,} of {rules['files']:,} " in said
            and rules["on"] in said
            and rules["bench"] in said
        )
    assert explain.measured(settings, match(level="exact", threshold=0)) == {"measured": "", "template": ""}
    assert "of one template" in explain.measured(settings, match(mostly_flat=True))["template"]


def test_the_rates_that_are_shown_are_those_of_the_committed_bench(tmp_path: Path) -> None:
    result = json.loads(RESULTS.read_text())
    shown = policy.load(Settings(home=tmp_path), "matching").data["levels"]["measured"]
    templates = [x for name, x in result["hard_negatives"].items() if name.startswith("template: ")]
    assert (shown["on"], shown["files"]) == (result["made"], result["false_hits"]["query_files"])
    assert shown["wrong"] == result["false_hits"]["files_wrong_by_level"]
    assert shown["template_pairs"] == sum(x["pairs"] for x in templates)
    for level, wrong in shown["template_wrong"].items():
        assert wrong == sum(x[level]["wrong"] for x in templates)


def test_a_match_of_which_a_large_part_was_guessed_says_so(settings: Settings) -> None:
    assert "guessed" in explain.meaning(settings, match(kind="refined", distance=58, threshold=71))
    assert "guessed" not in explain.meaning(settings, match(kind="refined", distance=40, threshold=43))
    assert "guessed" not in explain.meaning(settings, match(kind="near", distance=30))
