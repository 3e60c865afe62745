SELECT k.* FROM ({keys}) k JOIN kinds USING (kind)
WHERE length(split_part(value, chr(31), -1)) >= least AND (role IS NULL OR role NOT IN (SELECT role FROM ignored))
