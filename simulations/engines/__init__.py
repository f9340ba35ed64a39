"""Ways to run the same server and device apps on one machine."""
