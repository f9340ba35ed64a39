"""The daemon: watches inboxes, keeps the key, starts workers on demand, takes part in the fleet.

Only `worker` loads models or torch; everything else stays small while nothing happens.
"""
