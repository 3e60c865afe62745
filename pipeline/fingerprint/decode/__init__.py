"""What a worker does with one file: recognise it, open it, decode it within limits, read its facts."""
