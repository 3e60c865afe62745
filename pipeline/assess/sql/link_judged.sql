SELECT DISTINCT a, b FROM counted JOIN numbered USING (pair)
