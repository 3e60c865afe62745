-- Keys of what is new: all, and those that can link by the policy.
CREATE OR REPLACE TEMP TABLE new_keys AS {new};
CREATE OR REPLACE TEMP TABLE affected AS SELECT *, true AS new FROM ({wanted});
