"""What the pages of one case show, found at once in an index of the lake's rows."""
