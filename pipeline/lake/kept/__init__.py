"""What is kept beside the lake so that a night reads little of it: each file follows from the lake alone, is checked before use, and can be
thrown away at any time."""
