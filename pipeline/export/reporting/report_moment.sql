-- One row: the moment that all reporting tables describe.
SELECT 'moment' AS owner, false AS hidden, $as_of AS as_of
