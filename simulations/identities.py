"""Identities of simulated devices for secure sums: everybody's folder lists everybody's."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.secure_aggregation.identity import keep_known
from common.paths import simulated_device


def give_identities(root: Path, devices: int) -> None:
    """New keys for the devices under a simulation's root, which know each other by them."""
    keys = [Ed25519PrivateKey.generate() for _ in range(devices)]
    known = [key.public_key().public_bytes_raw() for key in keys]
    for index, key in enumerate(keys):
        keep_known(simulated_device(root, index), key, known)
