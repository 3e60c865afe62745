"""From one decoded picture to its perceptual hashes, its query variants and the refinement of a candidate."""
