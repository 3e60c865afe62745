"""The kept index of link keys: every value by which a referral of an earlier night can be found, in a DuckDB file.

    HOME/cache/linking/keys.duckdb

It is derived and can be thrown away: it is then made anew from the lake, with the same keys. It is made anew too when it does not hold
the keys up to exactly the commit that was linked last, by the same policy and version, and after an erasure, since values of persons
stand in it. DuckDB checks every block that it reads, and the number of keys is held against what was written.

Keys are made from their own rows alone, but for those of mailboxes: a plain address has one as soon as another way of writing it
is met. They are made from the kept addresses when they are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline import __version__, files, logs, sql
from pipeline.assess import database
from pipeline.assess.evidence.case_file import case_id
from pipeline.assess.links import keys
from pipeline.errors import BusyError, IntegrityError
from pipeline.lake import Lake, erasing
from pipeline.settings import Settings

STAGE = "linking"


class KeyIndex:
    """The index of one installation, attached to a connection as `kept`."""

    def __init__(self, settings: Settings, policy_digest: str) -> None:
        self.path = settings.home / "cache" / "linking" / "keys.duckdb"
        texts = [
            __version__,
            duckdb.__version__,
            policy_digest,
            database.macros(),
            keys.new(),
            keys.old(),
            database.sql("index_make"),
            database.sql("index_add"),
        ]
        self.made_by = hashlib.sha256("\0".join(texts).encode()).hexdigest()

    def attach(self, con: duckdb.DuckDBPyConnection, lake: Lake, through: int, *, writing: bool) -> bool:
        """Attach the index if it has the keys up to commit `through`; otherwise whatever there is stays detached.

        Raises BusyError when another process is writing it.
        """
        if not self.path.is_file():
            return False
        try:
            self._attach(con, self.path, writing=writing)
            state = con.sql("FROM kept.state").fetchall()
            [[counted]] = con.sql("SELECT count(*) FROM kept.keys").fetchall()
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                raise BusyError("Another process is linking at this moment.", "Run the stage again.") from error
            logs.get(STAGE).warning(
                "the index of link keys cannot be read and is made anew", error=type(error).__name__
            )
            state, counted = [], 0
        if state == [(self.made_by, through, counted)] and not lake.commits(erasing.STAGE, after=through):
            return True
        with contextlib.suppress(duckdb.Error):  # it is not attached where it could not be opened
            con.execute("DETACH kept")
        return False

    def make(self, con: duckdb.DuckDBPyConnection, through: int, referrals: Iterable[str], *, writing: bool) -> None:
        """Make it anew from the views and tables of `keys.views`, `naming` and `similar`, and attach it.

        It takes its name when it is whole: processes that make it at once do the same work, and one of them wins.
        """
        files.make_folder(self.path.parent)
        draft = self.path.with_name(f"{files.TEMPORARY}{os.getpid()}-{self.path.name}")
        draft.unlink(missing_ok=True)
        try:
            self._attach(con, draft, writing=True)
            con.execute(database.sql("index_make"))
            if through:  # before the first linking there is nothing old, and only planning the statement takes 0.1 s
                con.execute(database.sql("index_old", old=keys.old()))
            self._note(con, through, referrals)
            con.execute("DETACH kept")
            self.forget()
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)
        self._attach(con, self.path, writing=writing)

    def add(self, con: duckdb.DuckDBPyConnection, through: int, referrals: Iterable[str]) -> None:
        """Add the keys of the table `new_keys` and the mailboxes of `special_found`: after the links up to `through` are
        published. Killed before, the index is behind and is made anew."""
        con.execute("BEGIN")
        con.execute(database.sql("index_add"))
        self._note(con, through, referrals)
        con.execute("COMMIT")

    def forget(self) -> bool:
        """Remove it; whether there was one."""
        found = self.path.is_file()
        for path in (self.path, self.path.with_name(f"{self.path.name}.wal")):
            path.unlink(missing_ok=True)
        return found

    def _attach(self, con: duckdb.DuckDBPyConnection, path: Path, *, writing: bool) -> None:
        con.execute(sql.compose("ATTACH {path} AS kept {how}", path=sql.literal(str(path)), how=_HOW[writing]))

    def _note(self, con: duckdb.DuckDBPyConnection, through: int, referrals: Iterable[str]) -> None:
        """Keep how far it goes, and the case ids of new referrals. Raises IntegrityError when one is that of another."""
        con.execute("DELETE FROM kept.state")
        con.execute("INSERT INTO kept.state SELECT ?, ?, count(*) FROM kept.keys", [self.made_by, through])
        listed = sorted(set(referrals))
        con.register("new_ids", pa.table({"case_id": [case_id(r) for r in listed], "referral_id": listed}, schema=_IDS))
        con.execute(database.sql("index_ids"))
        if con.sql(database.sql("index_twice")).fetchall():
            raise IntegrityError("Two referrals lead to the same case id.", "Report this with both referral ids.")


_HOW = {True: sql.Sql(""), False: sql.Sql("(READ_ONLY)")}
_IDS = pa.schema([("case_id", pa.string()), ("referral_id", pa.string())])
