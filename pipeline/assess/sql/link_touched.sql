-- Of everything else every row that has a key of what is new.
CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT kind, value FROM affected;
INSERT INTO affected SELECT k.*, false FROM ({old}) k SEMI JOIN touched USING (kind, value);
