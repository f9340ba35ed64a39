"""Small releases and chains of them; all values are made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.heads.specification import HeadSpecification
from common.releases import Adopted, Draft, Manifest, PrivacySpent, sign_release
from common.releases.signing import read_manifest

LABELS = ("calm", "happy")
SPECIFICATION = HeadSpecification(
    kind="logistic", dimension=2, features="made-up/1", classes=len(LABELS)
)
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
FLEET = "fleet-a"


def hexed(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def arrays_of(
    value: float, specification: HeadSpecification = SPECIFICATION
) -> dict[str, npt.NDArray[np.float32]]:
    return {
        name: np.full(shape, value, np.float32)
        for name, shape in specification.all_shapes().items()
    }


def draft(value: float = 1.0, **changes: object) -> Draft:
    made = Draft(
        fleet=FLEET,
        specification=SPECIFICATION,
        arrays=arrays_of(value),
        round=3,
        created="2026-01-31T12:00:00Z",
        expressions=LABELS,
        metrics={"uar": 0.5},
        privacy=PrivacySpent(2.0, 1e-5),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def adopted(**changes: object) -> Adopted:
    state = Adopted(fleet=FLEET, key=hexed(KEY), specification=SPECIFICATION, expressions=LABELS)
    return replace(state, **changes)  # type: ignore[arg-type]


def manifest_of(content: bytes, key: Ed25519PrivateKey = KEY) -> Manifest:
    return read_manifest(content, key.public_key())


def chain(
    count: int, changes: Mapping[int, Mapping[str, object]] | None = None, start: float = 1.0
) -> list[bytes]:
    """Releases 1 to `count`; `changes` by sequence number, of their drafts."""
    made: list[bytes] = []
    parent = None
    for sequence in range(1, count + 1):
        given = dict((changes or {}).get(sequence, {}))
        made.append(sign_release(draft(start + sequence, **given), parent, KEY))
        parent = manifest_of(made[-1])
    return made
