"""More never lowers: random cases in a lake, a random addition, and the engine over both.

The one thing that can lower a case is an answer: a no, and the finding that a file is known after all, which answers
"is it new?". So matches are added to files that match already.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as options
from hypothesis import strategies as st

from pipeline.assess.evidence.case_file import Bulk
from pipeline.assess.features import FEATURES
from pipeline.assess.links.linking import current
from pipeline.assess.models.model import Model
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, fact, fingerprint, match, media, referral

MODEL = Model.load(Settings())
FACTS = sorted({n for f in FEATURES.values() for n in f.facts})
CATEGORIES = ("NON_PERTINENT", "C", "B", "A")
GRADES = ("INDICATIVE", "DISPUTED", "TRUSTED")
FILES = ("a", "b", "c")
Rows = dict[str, list[dict[str, Any]]]


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """A case of one referral: some facts, three files, matches of some of them."""
    stated = draw(st.dictionaries(st.sampled_from(FACTS), st.sampled_from(["yes", "no", "unknown"]), max_size=6))
    marks = st.lists(st.sampled_from(["viral", "infant", "x"]), max_size=2, unique=True)
    known = draw(
        st.dictionaries(
            st.sampled_from(FILES), st.tuples(st.sampled_from(CATEGORIES), st.sampled_from(GRADES)), max_size=3
        )
    )
    tri = st.sampled_from(["yes", "no", "unknown"])
    return {
        "referrals": [referral("R", priority=draw(st.sampled_from([None, "E", "3", "2"])))],
        "facts": [fact("R", name, value) for name, value in stated.items()],
        "media_files": [media("R", f, annotations=draw(marks)) for f in FILES],
        "fingerprints": [fingerprint(f) for f in FILES],
        "matches": [
            match(f, 1, grade=grade, category=category, victim_identified=draw(tri), distributed=draw(tri))
            for f, (category, grade) in known.items()
        ],
    }


def a_yes(given: Rows, draw: Any) -> None:
    name = draw(st.sampled_from(FACTS))
    given["facts"] = [f for f in given["facts"] if f["name"] != name] + [fact("R", name)]


def a_referral(given: Rows, draw: Any) -> None:
    """A supplement that states a fact, brings a file again and a new one, and a priority."""
    given["referrals"].append(referral("S", supplements="R", priority=draw(st.sampled_from([None, "1", "E"]))))
    given["facts"].append(fact("S", draw(st.sampled_from(FACTS))))
    given["media_files"] += [media("S", "a", annotations=draw(st.sampled_from([[], ["viral"]]))), media("S", "z")]
    given["fingerprints"].append(fingerprint("z"))


def a_graver_opinion(given: Rows, draw: Any) -> None:
    """The same source says a graver category."""
    for row in given["matches"]:
        at = CATEGORIES.index(row["category"])
        row["category"] = draw(st.sampled_from(CATEGORIES[at:]))


def another_source(given: Rows, draw: Any) -> None:
    """A second source has an opinion too: the gravest category is shown; where they differ it is disputed, else what was
    trusted stays so; of the other facts "no" and "yes" together are disputed."""
    for row in given["matches"]:
        theirs = draw(st.sampled_from(CATEGORIES[1:]))
        if theirs != row["category"]:
            row["grade"], row["category"] = "DISPUTED", max(theirs, row["category"], key=CATEGORIES.index)
        elif row["grade"] == "INDICATIVE":
            row["grade"] = "TRUSTED"
        for name in ("victim_identified", "distributed"):
            said = draw(st.sampled_from(["yes", "no", "unknown"]))
            if said != "unknown" and row[name] not in (said, "disputed"):
                row[name] = said if row[name] == "unknown" else "disputed"


def a_match(given: Rows, draw: Any) -> None:
    """A file that matches one known media item matches another one too."""
    for row in list(given["matches"]):
        given["matches"].append(
            match(_name(row), 2, grade=draw(st.sampled_from(GRADES)), category=draw(st.sampled_from(CATEGORIES[1:])))
        )


def _name(row: dict[str, Any]) -> str:
    return next(f for f in FILES if match(f)["sha256"] == row["sha256"])


ADDITIONS = (a_yes, a_referral, a_graver_opinion, another_source, a_match)


def place(settings: Settings, given: Rows) -> tuple[int, float]:
    lake = commit(settings, "only", **{name: listed for name, listed in given.items() if listed})
    [case] = Bulk(settings, MODEL, Lake(settings.lake_dir) if lake is None else lake, current(lake)).cases()
    return MODEL.score(case)


@options(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(rows(), st.data())
def test_an_addition_never_lowers_score_or_band(given_rows: Rows, data: st.DataObject) -> None:
    import tempfile
    from pathlib import Path

    addition = data.draw(st.sampled_from(ADDITIONS))
    more = copy.deepcopy(given_rows)
    addition(more, data.draw)
    with tempfile.TemporaryDirectory() as folder:
        before = place(Settings(home=Path(folder) / "before"), given_rows)
        after = place(Settings(home=Path(folder) / "after"), more)
    assert after[1] >= before[1] and after[0] >= before[0], addition.__name__
