CREATE TABLE kept.keys (
    digest UINTEGER, kind VARCHAR, value VARCHAR, referral_id VARCHAR, source VARCHAR, row_id VARCHAR, subject_id VARCHAR,
    role VARCHAR, port INTEGER, seen_at TIMESTAMPTZ, ambiguous BOOLEAN, proxy VARCHAR
);
CREATE TABLE kept.special AS SELECT DISTINCT written, value FROM special_mailboxes;
CREATE TABLE kept.ids (case_id VARCHAR, referral_id VARCHAR);
CREATE TABLE kept.state (made_by VARCHAR, through BIGINT, keys BIGINT);
