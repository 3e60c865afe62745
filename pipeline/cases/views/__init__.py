"""How cases are shown: the queue, one case, the supervision lists."""
