"""Device-level differential privacy: what is clipped, what noise is added, and what that is worth.

Neighbours are two runs of which one has zeros in place of all updates of one device: the promise is
for all clips of all users of a device together, over all rounds. That the device took part is not
hidden; what it had to tell is.
"""
