"""The audit as a page."""
