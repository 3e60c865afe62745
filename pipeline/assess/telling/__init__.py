"""Who has to be told of a case: flags that hold whatever the score, and the authorities by place."""
