"""Synthetic actors: drawn people who perform the eight expressions, as video files.

Everything made here is synthetic; it stands in for RAVDESS where no recordings may be used.
"""
