"""The risk model: read, checked, explained, replayed on past cases and run in the shade; bands and when they are due."""
