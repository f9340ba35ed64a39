"""Many devices on one machine: actors as clients, experiments, reports."""
