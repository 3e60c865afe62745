-- Keys of every identifier and person, new and old.
{new}
UNION ALL
SELECT * FROM ({old}) WHERE source IN ('identifiers', 'subjects')
