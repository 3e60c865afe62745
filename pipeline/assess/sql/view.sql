CREATE VIEW {view} AS SELECT * FROM empty_{view} UNION ALL BY NAME SELECT * FROM rows_{view}
