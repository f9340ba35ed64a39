"""Small vaults with made-up people, and every private value in them as it could stand on a disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from client.vault.keys import Argon2Cost
from client.vault.records import Clip, ClipArrays, Consent, GalleryEntry, StoredHead, User
from client.vault.vault import VAULT_FILE, Passphrase, Vault, create_vault, new_id

CHEAP = Argon2Cost(iterations=1, lanes=1, memory_kib=8)
SECRET = Passphrase("made-up passphrase")
OTHER_SECRET = Passphrase("another made-up passphrase")
FEATURES = "made-up/1/5"
IDENTITY = "identity/1"
ENDINGS = ("", "-wal", "-shm", "-journal")


def new_vault(folder: Path) -> Vault:
    return create_vault(folder, SECRET, cost=CHEAP)


def a_user(name: str = "Ada", *, federate: bool = True, version: int = 1) -> User:
    consent = Consent(version=version, given="2026-01-02T03:04:05+00:00", federate=federate)
    return User(id=new_id(), name=name, enrolled="2026-01-02T03:04:05+00:00", consent=consent)


def a_gallery(user: User, seed: int = 0, spec: str = IDENTITY) -> GalleryEntry:
    return GalleryEntry(user=user.id, spec=spec, embeddings=floats(seed, 3, 16))


def a_clip(user: User, number: int = 0, *, label: int | None = None, spec: str = FEATURES) -> Clip:
    return Clip(
        id=new_id(),
        user=user.id,
        name=f"clip-{number}.mp4",
        added="2026-01-02T03:04:05+00:00",
        digest=f"{number:064x}",
        spec=spec,
        answer={"expression": "happy", "probabilities": {"happy": 0.75}, "user": user.name},
        guessed=3,
        label=label,
    )


def some_arrays(seed: int = 0, frames: int = 4, dimension: int = 5) -> ClipArrays:
    return ClipArrays(features=floats(seed, frames, dimension), own=floats(seed + 1, 8))


def a_head(seed: int = 0) -> StoredHead:
    return StoredHead(
        arrays={"weight": floats(seed, 8, 5), "scale": np.array(0.5)}, about={"round": 3}
    )


def floats(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def filled(vault: Vault, *names: str, clips: int = 3) -> list[User]:
    """Users with everything that a user can have."""
    users = [a_user(name) for name in names or ("Ada", "Ben")]
    for number, user in enumerate(users):
        vault.save_user(user)
        vault.add_gallery(a_gallery(user, number))
        for take in range(clips):
            clip = a_clip(user, 100 * number + take, label=take)
            vault.add_clip(clip, some_arrays(100 * number + take))
        vault.save_personal(user.id, a_head(number))
        vault.set_setting("since", number, user=user.id)
    return users


def same_head(one: StoredHead | None, other: StoredHead) -> bool:
    return (
        one is not None
        and one.about == other.about
        and set(one.arrays) == set(other.arrays)
        and all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    )


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file under a folder; no vault in it may be open in this process."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def vault_bytes(folder: Path) -> bytes:
    """The vault's files; it must not be open in this process."""
    paths = [folder / f"{VAULT_FILE}{ending}" for ending in ENDINGS]
    return b"".join(path.read_bytes() for path in paths if path.exists())


def text_forms(text: str) -> list[bytes]:
    return [
        text.encode(),
        text.encode("utf-16-le"),
        json.dumps(text)[1:-1].encode(),
        text.encode().hex().encode(),
    ]


def number_forms(value: float) -> list[bytes]:
    return [np.array(value, dtype=kind).tobytes() for kind in ("<f4", ">f4", "<f8", ">f8")] + [
        repr(value).encode()
    ]
