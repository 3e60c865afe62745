-- Of everything else every row that has a key of {among}.
INSERT INTO affected SELECT k.*, false FROM ({old}) k SEMI JOIN {among} USING (kind, value);
