"""More never lowers: random cases in a lake, a random addition, and the engine over both.

The one thing that can lower a case is a no. A file that is found known after its case came in is no exception: the case
keeps what the file said when it came in, and what is found is added.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as options
from hypothesis import strategies as st

from pipeline.assess.evidence.case_file import Bulk
from pipeline.assess.features import FEATURES
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import Model
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, content, fact, fingerprint, match, media, referral

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
    marks = st.lists(
        st.sampled_from(["viral", "infant", "liveStreaming", "self_generated", "x"]), max_size=2, unique=True
    )
    known = draw(
        st.dictionaries(
            st.sampled_from(FILES), st.tuples(st.sampled_from(CATEGORIES), st.sampled_from(GRADES)), max_size=3
        )
    )
    tri = st.sampled_from(["yes", "no", "unknown"])
    states = draw(st.tuples(*[st.sampled_from(["hashed", "partial", "rejected"]) for _ in FILES]))
    sent = draw(st.tuples(*[st.sampled_from(["present", "present", "missing", "unreadable"]) for _ in FILES]))
    exif = draw(st.sampled_from([None, {"make": "synthetic"}]))
    return {
        "referrals": [referral("R", run_id="first", priority=draw(st.sampled_from([None, "E", "3", "2"])))],
        "facts": [fact("R", name, value) for name, value in stated.items()],
        "media_files": [media("R", f, state, annotations=draw(marks)) for f, state in zip(FILES, sent, strict=True)],
        "fingerprints": [fingerprint(f, s, exif=exif) for f, s in zip(FILES, states, strict=True)],
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
    given["referrals"].append(
        referral("S", run_id="first", supplements="R", priority=draw(st.sampled_from([None, "1", "E"])))
    )
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
    """A file, whether it was known, unknown, not sent or never read, is found to be a known item, or near to one."""
    chosen = draw(
        st.lists(st.sampled_from(given["media_files"]), min_size=1, max_size=3, unique_by=lambda f: f["file_id"])
    )
    given["later"] = [
        match(
            file["file_id"],
            draw(st.sampled_from([2, 3])),
            draw(st.sampled_from(["exact", "claimed", "near"])),
            draw(st.sampled_from(GRADES)),
            category=draw(st.sampled_from(CATEGORIES[1:])),
            release=2,
            level=draw(st.sampled_from(["near", "similar"])),
            run_id="second",
            sha256=file["sha256"] or content(file["file_id"]),
        )
        for file in chosen
    ]


ADDITIONS = (a_yes, a_referral, a_graver_opinion, another_source, a_match)


def place(settings: Settings, given: Rows) -> tuple[int, float]:
    lake = commit(settings, "first", **{name: listed for name, listed in given.items() if listed and name != "later"})
    if given.get("later"):
        lake = commit(settings, "second", "retro", matches=given["later"])
    [case] = Bulk(settings, MODEL, Lake(settings.lake_dir) if lake is None else lake, current(lake)).cases()
    return MODEL.score(case)


@options(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
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
