-- Rows of the kept index among which all are that have, or make, a key of {among}: by the digest of kind and value, which is compared
-- without reading the values of all nights. Which rows have such a digest is found first, and what is found is put down before
-- anything else is asked of it: a scan that compares and takes at once reads every column of every row.
CREATE OR REPLACE TEMP TABLE near_rows AS SELECT k.rowid AS place FROM kept.keys k SEMI JOIN (
    SELECT key_digest(kind, value) AS digest FROM {among}
    UNION ALL
    SELECT key_digest('email', unnest([written, value]))
    FROM special_mailboxes SEMI JOIN (SELECT value FROM {among} WHERE kind = 'mailbox') USING (value)
) USING (digest);
CREATE OR REPLACE TEMP TABLE near_kept AS SELECT * FROM kept.keys WHERE rowid IN (SELECT place FROM near_rows);
