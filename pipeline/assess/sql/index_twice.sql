SELECT case_id FROM kept.ids SEMI JOIN new_ids USING (case_id) GROUP BY case_id HAVING count(*) > 1
