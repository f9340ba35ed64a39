"""One attack per file; each has an `ATTACK`."""
