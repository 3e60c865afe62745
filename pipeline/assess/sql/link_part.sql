SELECT a, b, kind, value, n, at_least FROM shared SEMI JOIN (FROM parts WHERE part = {part}) USING (a, b) ORDER BY a, b, kind, value
