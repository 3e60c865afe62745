"""Duplicate, supplement or new: against a slow obvious twin, for any order of arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.ingest.identity import Arrival, Held, Identified, decide, in_order, sender


def arrival(package: str, reference: str | None = "1", prior: tuple[str, ...] = (), **more: object) -> Arrival:
    columns: dict[str, object] = {"source": "UCOL", "report_sha256": f"report-{package}", "media": frozenset()}
    columns.update(more)
    return Arrival(package_id=package, reference=reference, prior=prior, **columns)  # type: ignore[arg-type]


def test_new_duplicate_supplement() -> None:
    held = Held()
    first = decide(arrival("p1"), held)
    assert first.state == "accepted"
    assert decide(arrival("p1"), held) == Identified("duplicate", first.referral_id)
    again = decide(arrival("p2"), held)
    assert (again.state, again.supplements) == ("supplement", first.referral_id)
    assert again.referral_id != first.referral_id
    same_report = decide(arrival("p3", report_sha256="report-p1"), held)
    assert same_report == Identified("duplicate", first.referral_id)
    more = decide(arrival("p4", report_sha256="report-p1", media=frozenset({b"x"})), held)
    assert more.state == "supplement"
    assert decide(arrival("p5", report_sha256="report-p1", media=frozenset({b"x"})), held).state == "duplicate"


def test_other_sources_do_not_share_references() -> None:
    held = Held()
    decide(arrival("p1"), held)
    assert decide(arrival("p2", source="OCAG"), held).state == "accepted"
    assert decide(arrival("p3", "9", ("1",), source="OTHER"), held).state == "accepted"


def test_the_nca_names_its_reports_across_its_two_forms() -> None:
    held = Held()
    first = decide(arrival("p1", source="NCA_NCMEC"), held)
    later = decide(arrival("p2", "D-1", ("1",), source="NCA_DRB"), held)
    assert (later.state, later.supplements) == ("supplement", first.referral_id)
    assert decide(arrival("p3", "1", source="NCA_DRB"), held).state == "accepted"


def test_two_groups_with_one_number_are_two_referrals() -> None:
    held = Held()
    first = decide(arrival("p1", source="OCAG", sender="group a"), held)
    other = decide(arrival("p2", source="OCAG", sender="group b"), held)
    assert (other.state, other.supplements) == ("accepted", None)
    assert other.referral_id != first.referral_id
    assert decide(arrival("p3", source="OCAG", sender="group b"), held).supplements == other.referral_id
    assert decide(arrival("p4", source="OCAG", sender="group a"), held).supplements == first.referral_id
    assert decide(arrival("p5", "2", ("1",), source="OCAG", sender="group b"), held).supplements == other.referral_id
    assert decide(arrival("p6", source="OCAG"), held).supplements == first.referral_id


def test_who_sent_it_is_read_where_a_source_has_many_senders() -> None:
    assert sender("OCAG", {"ocag": {"group": {"name": " Sample  Group "}}}) == "sample group"
    assert sender("OTHER", {"taken": {"organisation": "Sample Force"}}) == "sample force"
    assert sender("OTHER", None) is None
    assert sender("UCOL", {"taken": {"organisation": "Sample Force"}}) is None


def test_without_a_reference_the_report_itself_is_the_identity() -> None:
    held = Held()
    first = decide(arrival("p1", None, report_sha256="r"), held)
    assert decide(arrival("p2", None, report_sha256="r"), held) == Identified("duplicate", first.referral_id)
    assert decide(arrival("p3", None, report_sha256="s"), held).state == "accepted"


def test_chains_end_at_the_first_referral() -> None:
    held = Held()
    first = decide(arrival("p1", "1"), held)
    decide(arrival("p2", "2", ("1",)), held)
    assert decide(arrival("p3", "3", ("2",)), held).supplements == first.referral_id


ARRIVALS = st.lists(
    st.builds(
        lambda n, reference, prior, report, media: arrival(
            f"p{n}-{reference}-{sorted(prior)}-{report}-{sorted(media)}",
            reference,
            tuple(p for p in prior if p != reference),
            report_sha256=report,
            media=frozenset(media),
        ),
        st.integers(0, 2),
        st.sampled_from(["1", "2", "3", None]),
        st.sets(st.sampled_from("123"), max_size=2),
        st.sampled_from("rs"),
        st.sets(st.sampled_from([b"a", b"b"]), max_size=2),
    ),
    max_size=8,
)


def naive(arrivals: list[Arrival]) -> list[tuple[str, str | None]]:
    """State and first referral, by going through everything that came before each time."""
    rows: list[tuple[Arrival, str, str]] = []  # arrival, state, name of the first referral
    for a in arrivals:
        same = [first for b, _, first in rows if b.package_id == a.package_id]
        if same:
            rows.append((a, "duplicate", same[0]))
            continue
        of_reference = [
            first
            for b, state, first in rows
            if state != "duplicate"
            and b.reference == a.reference
            and (a.reference or b.report_sha256 == a.report_sha256)
        ]
        if of_reference:
            first = of_reference[0]
            group = [b for b, state, root in rows if root == first and state != "duplicate"]
            held = {m for b in group for m in b.media}
            known = any(b.report_sha256 == a.report_sha256 for b in group)
            rows.append((a, "duplicate" if known and a.media <= held else "supplement", first))
            continue
        named = [
            first for p in sorted(set(a.prior)) for b, state, first in rows if state != "duplicate" and b.reference == p
        ]
        rows.append((a, "supplement", named[0]) if named else (a, "accepted", a.package_id))
    return [(state, first) for _, state, first in rows]


@hypothesis_settings(max_examples=500)
@given(ARRIVALS)
def test_decisions_are_those_of_the_obvious_twin(arrivals: list[Arrival]) -> None:
    held = Held()
    decisions = [decide(a, held) for a in arrivals]
    expected = naive(arrivals)
    assert [d.state for d in decisions] == [state for state, _ in expected]
    names: dict[str, str | None] = {}
    for decision, (state, first) in zip(decisions, expected, strict=True):
        root = held.roots[decision.supplements or decision.referral_id]
        assert names.setdefault(root, first) == first, state
    rows = [d.referral_id for d in decisions if d.state != "duplicate"]
    assert len(rows) == len(set(rows))


@given(ARRIVALS)
def test_order_puts_what_is_named_first_and_loses_nothing(arrivals: list[Arrival]) -> None:
    keyed = {f"{n:02d}": a for n, a in enumerate(arrivals)}
    order = in_order(keyed.items())
    assert sorted(order) == sorted(keyed)
    assert in_order(reversed(list(keyed.items()))) == order
    named = {p for a in arrivals for p in a.prior}
    for place, key in enumerate(order):
        if keyed[key].reference in named and not keyed[key].prior:
            later = [keyed[k] for k in order[:place]]
            assert not any(keyed[key].reference in a.prior for a in later)
