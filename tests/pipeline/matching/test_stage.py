"""The match stage on synthetic nights: every kind of match, its evidence, and nothing twice."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline import contract as night
from pipeline import records
from pipeline.errors import UsageError
from pipeline.fingerprint.hashes import packed
from pipeline.lake import Lake
from pipeline.matching import flood, retro, stage
from pipeline.settings import Settings
from tests.pipeline.matching.synthetic_night import (
    content,
    fingerprint,
    fingerprinted,
    flipped,
    frame,
    known,
    media,
    publish,
    start,
    variant,
)


def matched(settings: Settings, unit: str) -> list[dict[str, object]]:
    report = stage.run(settings, start(settings), unit)
    assert report.balanced
    rows: list[dict[str, object]] = Lake(settings.lake_dir).read("matches").to_pylist()
    return rows


@pytest.fixture
def release(settings: Settings) -> list[object]:
    items = [known(i) for i in range(40)]
    publish(settings, "first", items)
    return list(items)


class TestKinds:
    def test_a_known_digest_is_exact_and_is_not_asked_further(self, settings: Settings, release: list) -> None:
        unit = fingerprinted(
            settings,
            "a",
            [fingerprint(1, md5=release[3].md5, pdq=release[7].pdq)],
            [variant(1, "mirror", release[8].pdq)],
        )
        (row,) = matched(settings, unit)
        assert (row["kind"], row["algorithm"], row["distance"], row["sha256"]) == ("exact", "md5", 0, content(1))
        assert row["category"] == "A" and row["grade"] == "INDICATIVE" and row["sources"] == ["demo"]
        assert row["victim_identified"] == "no" and row["release"] == 1 and row["query_hash"] == row["known_hash"]

    @pytest.mark.parametrize("bits", [0, 1, 15, 30, 31, 32, 47])
    def test_near_up_to_the_radius_and_not_beyond(self, settings: Settings, release: list, bits: int) -> None:
        unit = fingerprinted(settings, "a", [fingerprint(1, pdq=flipped(release[5].pdq, bits, bits))])
        rows = matched(settings, unit)
        (row,) = rows
        if bits > 31:  # further away only a candidate, which cannot be looked at closer: the media is not in place
            assert (row["kind"], row["level"], row["distance"]) == ("unrefined", "similar", bits)
            return
        assert row["level"] == "near"
        assert (row["kind"], row["algorithm"], row["distance"], row["threshold"]) == ("near", "pdq", bits, 31)
        assert bytes.fromhex(str(row["known_hash"])) == release[5].pdq and row["quality"] == 100

    def test_a_variant_says_which_and_is_not_a_plain_match(self, settings: Settings, release: list) -> None:
        far, close = flipped(release[5].pdq, 30), flipped(release[5].pdq, 12, 1)
        unit = fingerprinted(
            settings, "a", [fingerprint(1)], [variant(1, "padded all 5", far), variant(1, "mirror", close)]
        )
        (row,) = matched(settings, unit)
        assert (row["kind"], row["variant"], row["distance"]) == ("variant", "mirror", 12)

    def test_a_variant_of_low_quality_is_not_asked(self, settings: Settings, release: list) -> None:
        unit = fingerprinted(settings, "a", [fingerprint(1)], [variant(1, "mirror", release[5].pdq, quality=10)])
        assert matched(settings, unit) == []

    def test_a_candidate_beyond_the_wide_radius_is_nothing_unless_its_firm_bits_confirm_it(
        self, settings: Settings, release: list
    ) -> None:
        prints = [fingerprint(1), fingerprint(2)]
        guesses = [
            variant(n, "opened from 16.9 to 1.1", flipped(release[n].pdq, bits)) for n, bits in ((1, 48), (2, 47))
        ]
        found = matched(settings, fingerprinted(settings, "a", prints, guesses))
        assert [(r["sha256"], r["kind"], r["distance"]) for r in found] == [(content(2), "unrefined", 47)]

    def test_a_wide_candidate_whose_media_is_gone_stays_an_unrefined_lead(
        self, settings: Settings, release: list
    ) -> None:
        unit = fingerprinted(settings, "a", [fingerprint(1)], [variant(1, "turned 3", flipped(release[5].pdq, 40))])
        (row,) = matched(settings, unit)
        assert (row["kind"], row["coarse_distance"], row["threshold"]) == ("unrefined", 40, 47)

    def test_low_information_belongs_to_the_hash_that_matched(self, settings: Settings, release: list) -> None:
        flat = [
            fingerprint(1, pdq=release[2].pdq, low_information=True, pdq_quality=3),
            fingerprint(2, low_information=True),
        ]
        unit = fingerprinted(settings, "a", flat, [variant(2, "padded left 25 %", flipped(release[5].pdq, 40))])
        whole, part = sorted(matched(settings, unit), key=lambda row: str(row["kind"]))
        assert whole["low_information"] is True and whole["kind"] == "near" and whole["known_quality"] is None
        assert part["low_information"] is False and part["kind"] == "unrefined" and part["quality"] == 100

    def test_a_picture_that_is_mostly_text_is_marked_in_its_matches(self, settings: Settings, release: list) -> None:
        unit = fingerprinted(settings, "a", [fingerprint(1, pdq=release[2].pdq, mostly_flat=True)])
        (row,) = matched(settings, unit)
        assert row["mostly_flat"] is True

    def test_frames_of_a_video_are_judged_together(self, settings: Settings, release: list) -> None:
        frames = [
            frame(1, i, flipped(release[4].pdq, i, i) if 2 <= i < 6 else random.Random(i).randbytes(32))
            for i in range(10)
        ]
        unit = fingerprinted(
            settings, "a", [fingerprint(1, pdq=None, phash256=None, media_type="video/mp4")], None, frames
        )
        (row,) = matched(settings, unit)
        assert (row["kind"], row["frames_matched"], row["frame_share"]) == ("video", 4, 0.4)
        assert (row["first_seconds"], row["last_seconds"], row["distance"]) == (2.0, 5.0, 2)

    def test_a_stated_digest_or_hash_of_media_that_was_not_sent_counts_as_claimed(
        self, settings: Settings, release: list
    ) -> None:
        rows = [
            media("F-1", claimed_md5=release[0].md5),
            media("F-2", claimed_pdq=flipped(release[1].pdq, 9)),
            media("F-3"),
        ]
        Lake(settings.lake_dir).commit("ingest", "k", {"media_files": records.build("media_files", rows)}, run_id="n")
        found = {r["file_id"]: r for r in matched(settings, "claimed-k")}
        assert set(found) == {"F-1", "F-2"}
        assert {r["kind"] for r in found.values()} == {"claimed"}
        assert (found["F-1"]["algorithm"], found["F-2"]["algorithm"], found["F-2"]["distance"]) == ("md5", "pdq", 9)

    def test_against_the_obvious_comparison(self, settings: Settings, release: list) -> None:
        chance = random.Random(4)
        prints = [
            fingerprint(i, pdq=flipped(chance.choice(release).pdq, chance.choice([0, 8, 20, 30, 31, 32, 40, 60]), i))
            for i in range(300)
        ]
        unit = fingerprinted(settings, "a", prints)
        rows = [row for row in matched(settings, unit) if row["kind"] == "near"]
        found = {(r["sha256"], r["known_hash"], r["distance"]) for r in rows}
        expected = set()
        for row in prints:
            for item in release:
                distance = (int.from_bytes(row["pdq"]) ^ int.from_bytes(item.pdq)).bit_count()
                if distance <= 31:
                    expected.add((row["sha256"], item.pdq.hex(), distance))
        assert found == expected and len(expected) > 100


class TestUnits:
    def test_without_a_release_nothing_is_planned_and_a_run_says_so(self, settings: Settings) -> None:
        unit = fingerprinted(settings, "a", [fingerprint(1)])
        assert stage.plan(settings, start(settings)) == []
        with pytest.raises(UsageError, match="no known-hash release"):
            stage.run(settings, start(settings), unit)

    def test_a_unit_is_matched_once(self, settings: Settings, release: list) -> None:
        unit = fingerprinted(settings, "a", [fingerprint(1, pdq=release[1].pdq)])
        assert stage.plan(settings, start(settings)) == [unit]
        matched(settings, unit)
        assert stage.plan(settings, start(settings)) == []
        again = stage.run(settings, start(settings), unit)
        assert (again.read, Lake(settings.lake_dir).read("matches").num_rows) == (0, 1)


class TestRetro:
    def test_a_new_release_finds_the_past_and_only_once(self, settings: Settings, release: list) -> None:
        late = [known(i, victim="true") for i in range(100, 103)]
        prints = [
            fingerprint(1, md5=late[0].md5),
            fingerprint(2, pdq=flipped(late[1].pdq, 20)),
            fingerprint(3, pdq=release[0].pdq),
            fingerprint(4),
        ]
        matched(
            settings, fingerprinted(settings, "a", prints, [variant(4, "padded left 25 %", flipped(late[2].pdq, 40))])
        )
        rows = [media("F-1", claimed_md5=late[0].md5)]
        Lake(settings.lake_dir).commit("ingest", "k", {"media_files": records.build("media_files", rows)}, run_id="n")
        matched(settings, "claimed-k")
        number = publish(settings, "second", late, run="later")
        tonight = start(settings, "later")
        report = retro.run(settings, tonight)
        new = [r for r in Lake(settings.lake_dir).read("matches").to_pylist() if r["release"] == number]
        assert {(r["sha256"], r["kind"]) for r in new if r["file_id"] is None} == {
            (content(1), "exact"),
            (content(2), "near"),
            (content(4), "unrefined"),
        }
        assert [r["file_id"] for r in new if r["kind"] == "claimed"] == ["F-1"]
        assert all(r["victim_identified"] == "yes" for r in new)
        assert (report.read, report.kept, report.counts["new_matches"]) == (2, 2, 4)
        again = retro.run(settings, tonight)
        assert (again.read, Lake(settings.lake_dir).read("matches").num_rows) == (0, 5)

    def test_units_are_matched_in_batches_with_the_same_result(
        self, settings: Settings, release: list, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late = known(100)
        for name in "abc":
            prints = [fingerprint(ord(name) * 10 + i, pdq=flipped(late.pdq, i)) for i in range(3)]
            matched(settings, fingerprinted(settings, name, prints))
        publish(settings, "second", [late], run="later")
        monkeypatch.setattr(retro, "BATCH", 6)
        units = [f"content-{name}" for name in "abc"]
        assert list(retro.batches(Lake(settings.lake_dir), units)) == [units[:2], units[2:]]
        report = retro.run(settings, start(settings, "later"))
        assert (report.read, report.counts["new_matches"]) == (3, 9)
        assert len(Lake(settings.lake_dir).commits("retro")) == 2

    def test_what_was_regraded_is_stated_anew(self, settings: Settings, release: list) -> None:
        matched(
            settings,
            fingerprinted(settings, "a", [fingerprint(1, md5=release[0].md5), fingerprint(2, md5=release[1].md5)]),
        )
        changed = known(0, category=3, victim="true")
        publish(settings, "second", [changed], run="later")
        retro.run(settings, start(settings, "later"))
        lake = Lake(settings.lake_dir)
        current = {r["sha256"]: r for r in flood.latest(lake).to_pylist()}
        assert (current[content(1)]["category"], current[content(1)]["victim_identified"]) == ("C", "yes")
        assert current[content(1)]["release"] == 2 and current[content(2)]["release"] == 1
        assert lake.read("matches").num_rows == 3

    def test_a_unit_matched_after_the_release_is_not_behind(self, settings: Settings, release: list) -> None:
        publish(settings, "second", [known(200)], run="later")
        matched(settings, fingerprinted(settings, "a", [fingerprint(1)]))
        assert retro.coverage(Lake(settings.lake_dir)) == {"content-a": 2}
        assert retro.run(settings, start(settings, "later")).read == 0


class TestFlood:
    def test_a_picture_that_matches_too_much_is_set_aside_until_a_person_decides(
        self, settings: Settings, release: list
    ) -> None:
        flooded = [fingerprint(i, pdq=flipped(release[0].pdq, 10, i)) for i in range(60)]
        others = [fingerprint(100, pdq=release[1].pdq), fingerprint(101, md5=release[0].md5)]
        matched(settings, fingerprinted(settings, "a", flooded + others))
        report = flood.run(settings, start(settings))
        assert report.rejected == {"flooded": 1}
        lake = Lake(settings.lake_dir)
        (row,) = lake.read("floods").to_pylist()
        assert (row["files"], row["night_files"]) == (60, 62)
        kept = flood.counted(lake, lake.read("matches")).to_pylist()
        assert {r["sha256"] for r in kept} == {content(100), content(101)}
        flood.release_flood(settings, row["media_key"], "a.person", "a plain frame, checked", night.load(settings, "n"))
        assert flood.counted(lake, lake.read("matches")).num_rows == 62

    def test_a_new_known_hash_that_floods_the_past_is_set_aside(self, settings: Settings, release: list) -> None:
        noisy = known(300)
        past = [fingerprint(i, pdq=flipped(noisy.pdq, 10, i)) for i in range(60)]
        matched(settings, fingerprinted(settings, "a", [*past, fingerprint(70, pdq=release[1].pdq)]))
        publish(settings, "second", [noisy], run="later")
        tonight = start(settings, "later")
        assert retro.run(settings, tonight).counts["new_matches"] == 60
        assert flood.run(settings, tonight).rejected == {"flooded": 1}
        lake = Lake(settings.lake_dir)
        (row,) = lake.read("floods").to_pylist()
        assert (row["files"], row["night_files"], row["release"]) == (60, 61, 2)
        more = known(301)
        prints = [fingerprint(1000 + i, pdq=flipped(more.pdq, 10, i)) for i in range(60)]
        publish(settings, "third", [more], run="later")
        fingerprinted(settings, "b", prints, run="later")
        stage.run(settings, tonight, "content-b")
        assert flood.run(settings, tonight).rejected == {"flooded": 2}
        assert lake.read("floods").num_rows == 2, "the first is not listed again"
        assert flood.run(settings, tonight).rejected == {"flooded": 2}
        assert lake.read("floods").num_rows == 2
        assert {r["sha256"] for r in flood.counted(lake, lake.read("matches")).to_pylist()} == {content(70)}

    def test_an_ordinary_night_has_none(self, settings: Settings, release: list) -> None:
        matched(
            settings,
            fingerprinted(settings, "a", [fingerprint(i, pdq=flipped(release[0].pdq, 4, i)) for i in range(10)]),
        )
        assert flood.run(settings, start(settings)).rejected == {}
        assert Lake(settings.lake_dir).read("floods").num_rows == 0


def test_a_mirrored_video_is_found_by_its_frames_alone(settings: Settings, release: list) -> None:
    rows = [release[5].pdq, release[6].pdq]
    mirrored = packed.flipped_codes(np.frombuffer(b"".join(rows), np.uint8).reshape(2, 32), "mirrored")
    frames = [frame(1, n, code.tobytes()) for n, code in enumerate(mirrored)]
    unit = fingerprinted(settings, "a", [fingerprint(1, pdq=None, phash256=None)], frames=frames)
    found = matched(settings, unit)
    assert {(r["kind"], r["variant"], r["distance"]) for r in found} == {("video", "mirrored", 0)} and len(found) == 2
    assert {(r["level"], r["frames_matched"]) for r in found} == {("altered", 1)}
