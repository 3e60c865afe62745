CREATE VIEW roles AS
    SELECT subject_id, role FROM old_subjects UNION ALL SELECT subject_id, role FROM new_subjects
