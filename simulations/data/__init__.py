"""Data sets on disk: where their clips are and what features they give."""
