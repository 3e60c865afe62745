CREATE TABLE kept.keys AS
    SELECT hash(kind, value) AS digest, kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
    FROM ({old}) WHERE kind <> 'mailbox';
CREATE TABLE kept.special AS SELECT DISTINCT written, value FROM special_mailboxes;
CREATE TABLE kept.ids (case_id VARCHAR, referral_id VARCHAR);
CREATE TABLE kept.state (made_by VARCHAR, through BIGINT, keys BIGINT);
