"""Frozen networks that turn a face into a vector that is near for the same person."""
