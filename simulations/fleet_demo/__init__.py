"""A whole fleet on this computer for two minutes: server, devices, rounds, releases, checks."""
