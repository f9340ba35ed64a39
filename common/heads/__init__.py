"""Heads: the small trainable classifiers on top of frame features."""
