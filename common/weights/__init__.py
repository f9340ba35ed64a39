"""Genuine weight files: which there are, where they are kept, and how to read them safely."""
