"""A device with a vault in a made-up fleet, and releases for its features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.device.place import write_device
from client.membership import Membership, keep_membership
from client.vault.keys import KeyFile, make_key_file
from client.vault.vault import Vault, create_vault, unlock
from common.backbones.records import MINI_XCEPTION, feature_spec
from common.expressions import EXPRESSIONS
from common.heads.specification import HeadSpecification
from common.releases import Draft, sign_release
from common.releases.signing import read_manifest

KEY = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\4" * 32)
FLEET = "fleet-a"
FEATURES = feature_spec(MINI_XCEPTION)
SPECIFICATION = HeadSpecification(
    kind="logistic", dimension=MINI_XCEPTION.dimension, features=FEATURES
)


def make_device(root: Path) -> Path:
    """A device's folder with a key file beside it."""
    make_key_file(root / "key")
    create_vault(root / "device", KeyFile(root / "key")).close()
    key = {"source": "file", "path": str(root / "key")}
    write_device(root / "device", {"key": key, "backbone": MINI_XCEPTION.id, "inboxes": []})
    return root / "device"


def opened(folder: Path) -> Vault:
    return Vault(folder, unlock(folder, KeyFile(folder.parent / "key")))


def hexed(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def member(**changes: Any) -> Membership:
    made = Membership(fleet=FLEET, device="kitchen", operator_key="0" * 64, key=hexed(KEY), floor=1)
    return dataclasses.replace(made, **changes)


def enrol(vault: Vault, **changes: Any) -> None:
    keep_membership(vault, member(**changes))


def draft(value: float, specification: HeadSpecification = SPECIFICATION, **changes: Any) -> Draft:
    arrays = {
        name: np.full(shape, value, np.float32)
        for name, shape in specification.all_shapes().items()
    }
    made = Draft(
        fleet=FLEET,
        specification=specification,
        arrays=arrays,
        round=int(value),
        created="2026-01-31T12:00:00Z",
        expressions=EXPRESSIONS,
    )
    return dataclasses.replace(made, **changes)


def chain(count: int, start: float = 0.0) -> list[bytes]:
    """Releases 1 to `count`; all numbers of release n are `start + n`."""
    made: list[bytes] = []
    parent = None
    for sequence in range(1, count + 1):
        made.append(sign_release(draft(start + sequence), parent, KEY))
        parent = read_manifest(made[-1], KEY.public_key())
    return made
