"""Ids of rows."""

from __future__ import annotations

from pipeline.ingest.writing.context import numbered_ids, stable_id


def test_numbered_ids_differ_and_do_not_depend_on_how_many_follow() -> None:
    own = stable_id("referral", "OTHER", "1")
    many = numbered_ids(own, "fact", 300)
    assert len(set(many)) == 300
    assert {len(i) for i in many} == {32}
    assert all(numbered_ids(own, "fact", n) == many[:n] for n in (0, 1, 8, 9, 299))
    assert not set(many) & set(numbered_ids(own, "narrative", 300))
    assert not set(many) & set(numbered_ids(stable_id("referral", "OTHER", "2"), "fact", 300))
