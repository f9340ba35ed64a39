"""The user's avatar on this device: where its pictures come from, and whether it shows the user.

Nothing here talks to a network, and nothing of it is ever part of an update.
"""
