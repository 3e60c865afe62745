"""Media files to digests and perceptual hashes, in isolated workers."""
