-- Keys of what is new, and of everything else every row with one of those keys.
CREATE OR REPLACE TEMP TABLE fresh AS {new};
CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT kind, value FROM fresh;
CREATE OR REPLACE TEMP TABLE affected AS
    SELECT *, true AS new FROM fresh
    UNION ALL
    SELECT k.*, false AS new FROM ({old}) k SEMI JOIN touched USING (kind, value);
