CREATE OR REPLACE TEMP TABLE special_mailboxes AS SELECT DISTINCT written, value FROM ({rows});
