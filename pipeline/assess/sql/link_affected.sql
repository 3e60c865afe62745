-- Keys of what is new.
CREATE OR REPLACE TEMP TABLE affected AS SELECT *, true AS new FROM ({new});
