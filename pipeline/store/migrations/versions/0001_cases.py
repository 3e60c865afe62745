"""Cases and the work on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.store import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assessments",
        sa.Column("assessment_id", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("assessed_at", types.Moment(timezone=True), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("band", sa.String(length=200), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("band_if_known", sa.String(length=200), nullable=False),
        sa.Column("clock_start", types.Moment(timezone=True), nullable=False),
        sa.Column("due_at", types.Moment(timezone=True), nullable=False),
        sa.Column("reasons", types.JsonText(), nullable=False),
        sa.Column("unknowns", types.JsonText(), nullable=False),
        sa.Column("flags", types.JsonText(), nullable=False),
        sa.Column("notifications", types.JsonText(), nullable=False),
        sa.Column("summary", types.JsonText(), nullable=False),
        sa.Column("inputs_sha256", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("assessment_id"),
    )
    op.create_index(("ix_assessments_case_id"), "assessments", ["case_id"], unique=False)
    op.create_table(
        "case_referrals",
        sa.Column("referral_id", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )
    op.create_index(("ix_case_referrals_case_id"), "case_referrals", ["case_id"], unique=False)
    op.create_table(
        "cases",
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("referral_id", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=200), nullable=True),
        sa.Column("force_code", sa.String(length=200), nullable=True),
        sa.Column("compartment", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=200), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=200), nullable=True),
        sa.Column("band", sa.String(length=200), nullable=False),
        sa.Column("band_order", sa.Integer(), nullable=False),
        sa.Column("model_band", sa.String(length=200), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("score_order", sa.Double(), nullable=False),
        sa.Column("person_band", sa.String(length=200), nullable=True),
        sa.Column("person_model_band", sa.String(length=200), nullable=True),
        sa.Column("assessment_id", sa.String(length=200), nullable=False),
        sa.Column("clock_start", types.Moment(timezone=True), nullable=False),
        sa.Column("due_at", types.Moment(timezone=True), nullable=False),
        sa.Column("oldest_at", types.Moment(timezone=True), nullable=True),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("text_only", sa.Boolean(), nullable=False),
        sa.Column("unknown_files", sa.Integer(), nullable=False),
        sa.Column("matched_exact", sa.Integer(), nullable=False),
        sa.Column("matched_near", sa.Integer(), nullable=False),
        sa.Column("top_reasons", types.JsonText(), nullable=False),
        sa.Column("change_id", sa.Integer(), nullable=False),
        sa.Column("opened_at", types.Moment(timezone=True), nullable=False),
        sa.Column("opened_run", sa.String(length=200), nullable=False),
        sa.Column("changed_at", types.Moment(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column("claimed_at", types.Moment(timezone=True), nullable=True),
        sa.Column("claim_expires_at", types.Moment(timezone=True), nullable=True),
        sa.Column("team_id", sa.String(length=200), nullable=True),
        sa.Column("first_action_at", types.Moment(timezone=True), nullable=True),
        sa.Column("closed_at", types.Moment(timezone=True), nullable=True),
        sa.Column("closed_band", sa.String(length=200), nullable=True),
        sa.Column("reopened_at", types.Moment(timezone=True), nullable=True),
        sa.Column("reopen_reason", sa.Text(), nullable=True),
        sa.Column("kirat_level", sa.String(length=200), nullable=True),
        sa.Column("lowering_pending", sa.Boolean(), nullable=False),
        sa.Column("second_look", sa.Boolean(), nullable=False),
        sa.Column("retention_review_at", types.Moment(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("case_id"),
        sa.UniqueConstraint("referral_id"),
    )
    op.create_index(
        "ix_cases_compartment",
        "cases",
        ["compartment"],
        unique=False,
        sqlite_where=sa.text("compartment IS NOT NULL"),
        postgresql_where=sa.text("compartment IS NOT NULL"),
    )
    op.create_index("ix_cases_holder", "cases", ["holder"], unique=False)
    op.create_index(
        "ix_cases_queue",
        "cases",
        [
            "is_open",
            "band_order",
            "due_at",
            "compartment",
            "score_order",
            "case_id",
            "state",
            "holder",
            "claim_expires_at",
            "source",
            "provider",
            "force_code",
            "team_id",
            "flagged",
            "text_only",
            "unknown_files",
            "matched_exact",
            "matched_near",
            "lowering_pending",
            "second_look",
            "change_id",
            "reopened_at",
            "opened_at",
        ],
        unique=False,
    )
    op.create_index("ix_cases_retention", "cases", ["retention_review_at"], unique=False)
    op.create_table(
        "changes",
        sa.Column("change_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=True),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("compartment", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("change_id"),
    )
    op.create_index(("ix_changes_case_id"), "changes", ["case_id"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("reason_code", sa.String(length=200), nullable=False),
        sa.Column("outcome", sa.String(length=200), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("state_before", sa.String(length=200), nullable=False),
        sa.Column("state_after", sa.String(length=200), nullable=False),
        sa.Column("band_before", sa.String(length=200), nullable=False),
        sa.Column("band_after", sa.String(length=200), nullable=False),
        sa.Column("assessment_id", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("decision_id"),
    )
    op.create_index(("ix_decisions_by"), "decisions", ["by"], unique=False)
    op.create_index(("ix_decisions_case_id"), "decisions", ["case_id"], unique=False)
    op.create_table(
        "information_requests",
        sa.Column("request_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("asked_at", types.Moment(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String(length=200), nullable=False),
        sa.Column("asked_of", sa.String(length=200), nullable=False),
        sa.Column("reason_code", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state_before", sa.String(length=200), nullable=False),
        sa.Column("answered_at", types.Moment(timezone=True), nullable=True),
        sa.Column("answered_by", sa.String(length=200), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index(("ix_information_requests_case_id"), "information_requests", ["case_id"], unique=False)
    op.create_table(
        "kirat",
        sa.Column("kirat_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("level", sa.String(length=200), nullable=False),
        sa.Column("tool_version", sa.String(length=200), nullable=False),
        sa.Column("assessor", sa.String(length=200), nullable=False),
        sa.Column("assessed_on", sa.Date(), nullable=False),
        sa.Column("entered_at", types.Moment(timezone=True), nullable=False),
        sa.Column("entered_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("kirat_id"),
    )
    op.create_index(("ix_kirat_case_id"), "kirat", ["case_id"], unique=False)
    op.create_table(
        "links",
        sa.Column("link_id", sa.String(length=200), nullable=False),
        sa.Column("left_referral", sa.String(length=200), nullable=False),
        sa.Column("right_referral", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("strength", sa.String(length=200), nullable=False),
        sa.Column("compartment", sa.String(length=200), nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("evidence", types.JsonText(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("found_at", types.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("link_id"),
    )
    op.create_index(
        "ix_links_compartment",
        "links",
        ["compartment"],
        unique=False,
        sqlite_where=sa.text("compartment IS NOT NULL"),
        postgresql_where=sa.text("compartment IS NOT NULL"),
    )
    op.create_index(("ix_links_left_referral"), "links", ["left_referral"], unique=False)
    op.create_index(("ix_links_right_referral"), "links", ["right_referral"], unique=False)
    op.create_table(
        "lowerings",
        sa.Column("lowering_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("assessment_id", sa.String(length=200), nullable=False),
        sa.Column("from_band", sa.String(length=200), nullable=False),
        sa.Column("to_band", sa.String(length=200), nullable=False),
        sa.Column("proposed_at", types.Moment(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.String(length=200), nullable=False),
        sa.Column("reason_code", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=200), nullable=False),
        sa.Column("decided_at", types.Moment(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("lowering_id"),
    )
    op.create_index(("ix_lowerings_case_id"), "lowerings", ["case_id"], unique=False)
    op.create_index(("ix_lowerings_status"), "lowerings", ["status"], unique=False)
    op.create_table(
        "notes",
        sa.Column("note_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("note_id"),
    )
    op.create_index(("ix_notes_case_id"), "notes", ["case_id"], unique=False)
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("listed_at", types.Moment(timezone=True), nullable=False),
        sa.Column("made_at", types.Moment(timezone=True), nullable=True),
        sa.Column("made_by", sa.String(length=200), nullable=True),
        sa.Column("recipient", sa.String(length=200), nullable=True),
        sa.Column("reason_code", sa.String(length=200), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("notification_id"),
    )
    op.create_index(("ix_notifications_case_id"), "notifications", ["case_id"], unique=False)
    op.create_table(
        "publishes",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.Column("counts", types.JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(("ix_publishes_run_id"), "publishes", ["run_id"], unique=False)
    op.create_table(
        "retention",
        sa.Column("retention_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason_code", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("next_review_at", types.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("retention_id"),
    )
    op.create_index(("ix_retention_case_id"), "retention", ["case_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("review_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("rank", sa.String(length=200), nullable=False),
        sa.Column("due_at", types.Moment(timezone=True), nullable=False),
        sa.Column("done_at", types.Moment(timezone=True), nullable=True),
        sa.Column("done_by", sa.String(length=200), nullable=True),
        sa.Column("reason_code", sa.String(length=200), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("review_id"),
    )
    op.create_index(("ix_reviews_case_id"), "reviews", ["case_id"], unique=False)
    op.create_index(("ix_reviews_due_at"), "reviews", ["due_at"], unique=False)
    op.create_table(
        "second_looks",
        sa.Column("second_look_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("opened_at", types.Moment(timezone=True), nullable=False),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("done_at", types.Moment(timezone=True), nullable=True),
        sa.Column("done_by", sa.String(length=200), nullable=True),
        sa.Column("reason_code", sa.String(length=200), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("second_look_id"),
    )
    op.create_index(("ix_second_looks_case_id"), "second_looks", ["case_id"], unique=False)
    op.create_index(("ix_second_looks_done_at"), "second_looks", ["done_at"], unique=False)
    op.create_table(
        "seen",
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("change_id", sa.Integer(), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "case_id"),
    )
    op.create_table(
        "tombstones",
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("referrals", types.JsonText(), nullable=False),
        sa.Column("compartment", sa.String(length=200), nullable=True),
        sa.Column("erased_at", types.Moment(timezone=True), nullable=False),
        sa.Column("erased_by", sa.String(length=200), nullable=False),
        sa.Column("reason_code", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=200), nullable=False),
        sa.Column("at", types.Moment(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("to_force", sa.String(length=200), nullable=False),
        sa.Column("recipient", sa.String(length=200), nullable=False),
        sa.Column("reason_code", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("transfer_id"),
    )
    op.create_index(("ix_transfers_case_id"), "transfers", ["case_id"], unique=False)


def downgrade() -> None:
    for table in (
        "assessments",
        "case_referrals",
        "cases",
        "changes",
        "decisions",
        "information_requests",
        "kirat",
        "links",
        "lowerings",
        "notes",
        "notifications",
        "publishes",
        "retention",
        "reviews",
        "second_looks",
        "seen",
        "tombstones",
        "transfers",
    ):
        op.drop_table(table)
