"""What waits is told without reading all of it.

Flags that wait have a table of what their lists are ordered and hidden by, and kept counts; the database follows every change of
flags and cases by triggers, whoever makes it. The index of cases in a compartment has what is counted of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.sql import Sql, compose
from pipeline.store.types import Moment

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_BANDS = "CASE c.band WHEN 'very_high' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END"
_SCOPE = """
CASE WHEN f.compartment IS NULL OR f.compartment = c.compartment THEN coalesce(c.compartment, '')
    WHEN c.compartment IS NULL THEN f.compartment
    WHEN c.compartment{binary} < f.compartment THEN c.compartment || '&' || f.compartment
    ELSE f.compartment || '&' || c.compartment END
"""
_BINARY = ' COLLATE "C"'
_JOINED = {
    False: "JOIN cases c ON c.case_id = f.case_id",
    True: "CROSS JOIN LATERAL (SELECT * FROM cases WHERE cases.case_id = f.case_id LIMIT 1) c",
}
"""A flag's case on SQLite and (True) on PostgreSQL: looked up for each flag, however few rows it takes the table to have."""
_PUT = """
INSERT INTO waiting_flags (flag_id, case_id, role, post, scope, band_order, due_at, score_order)
SELECT f.flag_id, f.case_id, f.role, f.post, {scope}, {band}, f.due_at, -c.score
FROM flags f {joined} WHERE f.waiting AND {flags}
"""
_TAKE = "DELETE FROM waiting_flags WHERE {waiting}"
_TALLY = """
INSERT INTO flag_tallies (role, post, audience, cases, flags)
SELECT role, post, audience, {sign} * count(*), 0 FROM (
    SELECT role, post, {gathered} AS audience
    FROM (SELECT DISTINCT case_id, role, post, scope FROM waiting_flags WHERE {waiting} ORDER BY scope) AS each_scope
    GROUP BY case_id, role, post
) AS each_case GROUP BY role, post, audience
UNION ALL
SELECT role, post, scope, 0, {sign} * count(*) FROM waiting_flags WHERE {waiting} GROUP BY role, post, scope
"""
"""What cases are counted for, before ({sign} -1) and after (1) they have changed: a case once for each recipient, its flags each."""

_SQLITE = "CREATE TRIGGER waiting_flags_{name} AFTER {event} {condition} BEGIN {body}; END"
_SQLITE_FLAG = "case_id, role, post, compartment, due_at, waiting ON flags"
_SQLITE_TRIGGERS = (
    ("flag_insert", "INSERT ON flags", "WHEN NEW.waiting", "NEW"),
    ("flag_update", f"UPDATE OF {_SQLITE_FLAG}", "WHEN NEW.waiting OR OLD.waiting", "NEW"),
    ("flag_move", f"UPDATE OF {_SQLITE_FLAG}", "WHEN OLD.waiting AND OLD.case_id <> NEW.case_id", "OLD"),
    ("flag_delete", "DELETE ON flags", "WHEN OLD.waiting", "OLD"),
    ("case_insert", "INSERT ON cases", "WHEN EXISTS (SELECT 1 FROM flags WHERE case_id = NEW.case_id AND waiting)", "NEW"),
    ("case_hide", "UPDATE OF compartment ON cases", "WHEN OLD.compartment IS NOT NEW.compartment", "NEW"),
    ("case_delete", "DELETE ON cases", "WHEN EXISTS (SELECT 1 FROM waiting_flags WHERE case_id = OLD.case_id)", "OLD"),
)  # fmt: skip
"""Name, event, condition, and of which row the case is settled."""
_SQLITE_ORDER = """
CREATE TRIGGER waiting_flags_case_order AFTER UPDATE OF band, score ON cases
WHEN OLD.band <> NEW.band OR OLD.score <> NEW.score
BEGIN
    UPDATE waiting_flags SET (band_order, score_order) = (SELECT {band}, -c.score FROM cases c WHERE c.case_id = NEW.case_id)
    WHERE case_id = NEW.case_id;
END
"""

_POSTGRESQL_SETTLE = """
CREATE FUNCTION settle_waiting_flags(touched varchar[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS
$$ BEGIN
    PERFORM 1 FROM cases WHERE case_id = ANY (touched) ORDER BY case_id FOR UPDATE;
    {before}; {take}; {put}; {after};
END $$
"""
"""For many cases at once. Their rows are locked first, so that no two settle the same case at the same time. By indexes only: a
plan that was made while the tables were small is kept, and would walk all of them while a publish fills them."""
_POSTGRESQL_FLAGS = """
CREATE FUNCTION note_waiting_flags() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS
$$ DECLARE touched varchar[]; BEGIN
    IF TG_OP <> 'DELETE' THEN
        touched := (SELECT array_agg(DISTINCT case_id) FROM fresh WHERE waiting);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        touched := touched || (SELECT array_agg(DISTINCT case_id) FROM gone WHERE waiting);
    END IF;
    IF touched IS NOT NULL THEN PERFORM settle_waiting_flags(touched); END IF;
    RETURN NULL;
END $$
"""
_POSTGRESQL_CASES = """
CREATE FUNCTION note_waiting_cases() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS
$$ DECLARE changed varchar[]; touched varchar[]; BEGIN
    IF TG_OP = 'INSERT' THEN
        changed := (SELECT array_agg(case_id) FROM fresh);
        touched := (SELECT array_agg(DISTINCT f.case_id) FROM flags f WHERE f.case_id = ANY (changed) AND f.waiting);
    ELSIF TG_OP = 'DELETE' THEN
        changed := (SELECT array_agg(case_id) FROM gone);
        touched := (SELECT array_agg(DISTINCT w.case_id) FROM waiting_flags w WHERE w.case_id = ANY (changed));
    ELSE
        changed := (SELECT array_agg(case_id) FROM fresh);
        UPDATE waiting_flags w
        SET (band_order, score_order) = (SELECT {band}, -c.score FROM cases c WHERE c.case_id = w.case_id)
        WHERE w.case_id = ANY (changed) AND NOT
            (SELECT w.band_order = {band} AND w.score_order = -c.score FROM cases c WHERE c.case_id = w.case_id);
        touched := (SELECT array_agg(DISTINCT w.case_id) FROM waiting_flags w
            WHERE w.case_id = ANY (changed) AND w.scope <> (SELECT {scope} FROM flags f {joined} WHERE f.flag_id = w.flag_id));
    END IF;
    IF touched IS NOT NULL THEN PERFORM settle_waiting_flags(touched); END IF;
    RETURN NULL;
END $$
"""
_POSTGRESQL = """
CREATE TRIGGER waiting_flags_{verb} AFTER {verb} ON {table} REFERENCING {rows}
FOR EACH STATEMENT EXECUTE FUNCTION {function}()
"""
_ROWS = {
    "INSERT": "NEW TABLE AS fresh",
    "UPDATE": "OLD TABLE AS gone NEW TABLE AS fresh",
    "DELETE": "OLD TABLE AS gone",
}


def upgrade() -> None:
    _tables()
    postgresql = op.get_bind().dialect.name == "postgresql"
    everything = compose("TRUE")
    op.execute(_put(everything, postgresql=postgresql))
    op.execute(_tally(1, everything, postgresql=postgresql))
    op.drop_index("ix_flags_waiting", "flags")
    restricted = sa.text("compartment IS NOT NULL")
    op.drop_index("ix_cases_compartment", "cases")
    op.create_index(
        "ix_cases_compartment", "cases", ["compartment", "is_open", "band_order", "due_at"],
        sqlite_where=restricted, postgresql_where=restricted,
    )  # fmt: skip
    for statement in _on_postgresql() if postgresql else _on_sqlite():
        op.execute(statement)


def _tables() -> None:
    op.create_table(
        "waiting_flags",
        sa.Column("flag_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("role", sa.String(200), nullable=False),
        sa.Column("post", sa.String(200), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("band_order", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("score_order", sa.Double(), nullable=False),
    )
    for name, columns in (
        ("case", ["case_id"]),
        ("order", ["scope", "band_order", "due_at", "score_order", "case_id", "flag_id"]),
        ("recipient", ["role", "post", "scope", "due_at"]),
        ("due", ["due_at"]),
    ):
        op.create_index(f"ix_waiting_flags_{name}", "waiting_flags", columns)
    op.create_table(
        "flag_tallies",
        sa.Column("tally_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("role", sa.String(200), nullable=False),
        sa.Column("post", sa.String(200), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
    )


def _put(flags: Sql, *, postgresql: bool) -> Sql:
    binary = compose(_BINARY) if postgresql else compose("")
    scope, joined = compose(_SCOPE, binary=binary), compose(_JOINED[postgresql])
    return compose(_PUT, scope=scope, band=compose(_BANDS), joined=joined, flags=flags)


def _tally(sign: int, waiting: Sql, *, postgresql: bool) -> Sql:
    gathered = "string_agg(scope, '|' ORDER BY scope)" if postgresql else "group_concat(scope, '|')"
    return compose(_TALLY, sign=sign, gathered=compose(gathered), waiting=waiting)


def _settled(of_flag: Sql, of_waiting: Sql, *, postgresql: bool) -> dict[str, Sql]:
    """The steps that make what is kept of some cases anew: not counted any more, taken out, put in, counted."""
    return {
        "before": _tally(-1, of_waiting, postgresql=postgresql),
        "take": compose(_TAKE, waiting=of_waiting),
        "put": _put(of_flag, postgresql=postgresql),
        "after": _tally(1, of_waiting, postgresql=postgresql),
    }


def _on_sqlite() -> list[str]:
    found = []
    for name, event, condition, row in _SQLITE_TRIGGERS:
        steps = _settled(
            compose("f.case_id = {row}.case_id", row=compose(row)),
            compose("case_id = {row}.case_id", row=compose(row)),
            postgresql=False,
        )
        body = compose("{before}; {take}; {put}; {after}", **steps)
        found.append(_SQLITE.format(name=name, event=event, condition=condition, body=body))
    return [*found, _SQLITE_ORDER.format(band=_BANDS)]


def _on_postgresql() -> list[str]:
    steps = _settled(compose("f.case_id = ANY (touched)"), compose("case_id = ANY (touched)"), postgresql=True)
    scope = compose(_SCOPE, binary=compose(_BINARY))
    cases = _POSTGRESQL_CASES.format(band=_BANDS, scope=scope, joined=_JOINED[True])
    found = [_POSTGRESQL_SETTLE.format(**steps), _POSTGRESQL_FLAGS, cases]
    for table, function in (("flags", "note_waiting_flags"), ("cases", "note_waiting_cases")):
        for verb, rows in _ROWS.items():
            found.append(_POSTGRESQL.format(verb=verb, table=table, rows=rows, function=function))
    return found
