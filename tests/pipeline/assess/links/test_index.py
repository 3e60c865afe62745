"""The kept index of link keys: with it, without it and made anew, the links of every night are the same."""

from __future__ import annotations

import dataclasses
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.assess import database
from pipeline.assess.links.index import KeyIndex
from pipeline.assess.links.linking import link
from pipeline.assess.links.stored import latest
from pipeline.errors import BusyError
from pipeline.lake import Lake
from pipeline.lake.erasing import Wanted
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, identifier, media, referral, start, subject

MAILS = ("ann.lee@gmail.com", "annlee@gmail.com", "ann.lee+x@gmail.com", "bob@b.example", "annlee@googlemail.com")
PLACES = (
    "14 High Street, Chelmsford, CM1 1AA",
    "14 High St, Chelmsford",
    "Flat 2, 14 High Street, Chelmsford, CM1 1AA",
)


def rows_of(night: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """A night's referrals with values of every kind whose key is made from how it is written."""
    rng = random.Random(seed * 100 + night)
    names = [f"R{night}{i}" for i in range(3)]
    found: list[dict[str, Any]] = []
    for name in names:
        values = (("email", rng.choice(MAILS), {}), ("address", rng.choice(PLACES), {}),
                  ("username", f"user-{rng.randrange(3)}", {"service": rng.choice(["Instagram", "instagram.com", None])}),
                  ("user_id", f"Id-{rng.randrange(3)}", {"service": rng.choice(["youtube", "kik"])}))  # fmt: skip
        for kind, value, more in values:
            found.append(identifier(name, kind, value, **more) | {"identifier_id": f"i-{name}-{kind}"})
        # of a person of this night or of the one before, as a later report about the same person may say
        whose = f"s-R{max(0, night - rng.randrange(2))}{rng.randrange(3)}-0"
        found.append(
            identifier(name, "phone", f"+44163296000{rng.randrange(2)}", subject_id=whose)
            | {"identifier_id": f"i-{name}-phone"}
        )
    people = [
        subject(
            n,
            role=rng.choice(["suspect", "reporter"]),
            name=rng.choice(["Jon Smith", "John Smith", "SMITH, Jonathan"]),
            date_of_birth="1980-02-03",
        )
        for n in names
    ]
    extends = {names[0]: "R00"} if night and rng.random() < 0.5 else {}
    return {
        "referrals": [referral(n, supplements=extends.get(n)) for n in names], "identifiers": found, "subjects": people,
        "media_files": [media(n, f"file-{rng.randrange(3)}") | {"file_id": f"f-{n}"} for n in names],
    }  # fmt: skip


def links(settings: Settings) -> list[dict[str, Any]]:
    return latest(Lake(settings.lake_dir)).to_pylist()


def path_of(settings: Settings) -> Path:
    return KeyIndex(settings, "").path


def kept_keys(settings: Settings) -> list[tuple[Any, ...]]:
    """Every key of the index, once."""
    con = duckdb.connect(str(path_of(settings)), read_only=True)
    try:
        return con.sql(
            "SELECT DISTINCT kind, value, referral_id, source, row_id, role FROM keys ORDER BY ALL"
        ).fetchall()
    finally:
        con.close()


def lost(settings: Settings) -> None:
    path_of(settings).unlink()


def damaged(settings: Settings) -> None:
    path = path_of(settings)
    data = bytearray(path.read_bytes())
    data[4096 : len(data)] = bytes(len(data) - 4096)
    path.write_bytes(bytes(data))


def behind(settings: Settings) -> None:
    """As a night that was killed after it had published its links has left it."""
    con = duckdb.connect(str(path_of(settings)))
    con.execute("DELETE FROM keys WHERE referral_id LIKE 'R1%'")
    con.execute("UPDATE state SET through = through - 1, keys = (SELECT count(*) FROM keys)")
    con.close()


def fewer(settings: Settings) -> None:
    """Keys that vanished without a trace."""
    con = duckdb.connect(str(path_of(settings)))
    con.execute("DELETE FROM keys WHERE referral_id LIKE 'R1%'")
    con.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[dict[str, Any]], list[tuple[Any, ...]]]]:
    """Links and kept keys after each of four nights whose index nothing happens to."""
    settings = Settings(home=tmp_path_factory.mktemp("undisturbed") / "home", threads=2)
    found = []
    for night in range(4):
        commit(settings, f"n{night}", **rows_of(night, 7))
        link(settings, start(settings, night), Lake(settings.lake_dir))
        found.append((links(settings), kept_keys(settings)))
    return found


@pytest.mark.parametrize("harm", [lost, damaged, behind, fewer])
def test_what_happens_to_the_index_changes_no_link(
    settings: Settings, harm: Callable[[Settings], None], undisturbed: list[Any]
) -> None:
    """Night by night with the index harmed in between, from the third night on."""
    for night in range(4):
        if night > 1:
            harm(settings)
        commit(settings, f"n{night}", **rows_of(night, 7))
        link(settings, start(settings, night), Lake(settings.lake_dir))
        assert (links(settings), kept_keys(settings)) == undisturbed[night]
    assert {row["kind"] for row in links(settings)} >= {"mailbox", "address", "user_id", "username", "phone"}
    assert {row[5] for row in kept_keys(settings) if row[0] == "phone"} == {"suspect", "reporter"}


@pytest.mark.parametrize("seed", range(3))
def test_keys_that_are_kept_are_those_made_anew(settings: Settings, seed: int) -> None:
    for night in range(3):
        commit(settings, f"n{night}", **rows_of(night, seed))
        link(settings, start(settings, night), Lake(settings.lake_dir))
    kept = kept_keys(settings)
    lost(settings)
    link(settings, start(settings, 3), Lake(settings.lake_dir))
    assert kept_keys(settings) == kept
    assert len({row[0] for row in kept}) > 6


def test_another_policy_or_an_erasure_makes_it_anew(settings: Settings, tmp_path: Path) -> None:
    lake = Lake(settings.lake_dir)
    commit(settings, "n0", **rows_of(0, 1))
    link(settings, start(settings, 0), lake)
    lake.erase(Wanted(["R00"]), "erasing")
    link(settings, start(settings, 1), lake)
    assert not [
        row
        for row in kept_keys(settings)
        if row[2] == "R00" and row[0] in {"email", "person", "address"} and "erased" not in row[1]
    ]
    folder = tmp_path / "policy"
    shutil.copytree(settings.policy, folder)
    text = (folder / "linking.yaml").read_text()
    (folder / "linking.yaml").write_text(text + "\n# changed\n")
    changed = dataclasses.replace(settings, policy=folder)
    before = kept_keys(settings)
    link(changed, start(changed, 2), lake)
    assert kept_keys(changed) == before


def test_while_one_process_writes_it_another_says_so(settings: Settings) -> None:
    commit(settings, "n0", **rows_of(0, 1))
    lake = Lake(settings.lake_dir)
    link(settings, start(settings, 0), lake)
    holding = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", holding, str(path_of(settings))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with database.connection(settings, {}) as con, pytest.raises(BusyError):
            KeyIndex(settings, "").attach(con, lake, 1, writing=True)
        other.stdin.close()
