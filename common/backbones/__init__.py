"""Frozen networks that turn a face crop into a frame feature."""
