"""Records as bytes, before they are encrypted: padded JSON, and safetensors for arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from client.vault.records import Clip, ClipArrays, Consent, GalleryEntry, StoredHead, User

PADDING: Final = 256
"""JSON is filled up with spaces to a multiple of so many bytes; lengths tell of labels."""

Arrays = Mapping[str, npt.NDArray[np.floating[Any]]]


def encode_json(value: object) -> bytes:
    """A JSON value as padded ASCII.

    Raises:
        TypeError, ValueError: it is no JSON value.
    """
    text = json.dumps(value, sort_keys=True).encode("ascii")
    return text + b" " * (-len(text) % PADDING)


def decode_json(content: bytes) -> Any:
    """Inverse of `encode_json`."""
    return json.loads(content)


def encode_arrays(arrays: Arrays) -> bytes:
    """Named arrays, float32 or float64 of any shape, little endian."""
    told = {name: np.array(value, order="C") for name, value in arrays.items()}
    for name, value in told.items():
        if value.dtype.kind != "f" or value.dtype.itemsize not in (4, 8):
            raise ValueError(f"array {name!r} is {value.dtype}, expected float32 or float64")
    return save({name: value.astype(value.dtype.newbyteorder("=")) for name, value in told.items()})


def decode_arrays(content: bytes) -> dict[str, npt.NDArray[np.floating[Any]]]:
    """Inverse of `encode_arrays`.

    Raises:
        ValueError: it is none of its results.
    """
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(f"not arrays: {error}") from error


def encode_user(user: User) -> bytes:
    """All of a user but the id."""
    told = asdict(user)
    del told["id"]
    return encode_json(told)


def decode_user(id: str, about: bytes) -> User:
    """Inverse of `encode_user`."""
    told = decode_json(about)
    return User(id=id, **{**told, "consent": Consent(**told["consent"])})


def encode_gallery(entry: GalleryEntry) -> bytes:
    """The embeddings, whose name is their spec."""
    return encode_arrays({entry.spec: np.asarray(entry.embeddings, dtype=np.float32)})


def decode_gallery(user: str, content: bytes) -> GalleryEntry:
    """Inverse of `encode_gallery`."""
    ((spec, embeddings),) = decode_arrays(content).items()
    return GalleryEntry(user=user, spec=spec, embeddings=embeddings.astype(np.float32))


def encode_clip(clip: Clip) -> dict[str, bytes]:
    """The sealed columns of a clip but its arrays."""
    return {
        "about": encode_json(
            {name: getattr(clip, name) for name in ("name", "added", "digest", "spec")}
        ),
        "answer": encode_answer(clip.answer, clip.guessed),
    }


def encode_answer(answer: Mapping[str, Any], guessed: int) -> bytes:
    """What the device said of a clip."""
    return encode_json({"answer": dict(answer), "guessed": int(guessed)})


def decode_clip(id: str, user: str, about: bytes, answer: bytes, history: bytes) -> Clip:
    """Inverse of `encode_clip`, with the newest label of `decode_history`."""
    labels = decode_json(history)
    return Clip(
        id=id,
        user=user,
        **decode_json(about),
        **decode_json(answer),
        label=labels[-1]["label"] if labels else None,
    )


def encode_clip_arrays(arrays: ClipArrays) -> bytes:
    """Features and own logits of a clip.

    Raises:
        ValueError: the features are not (frames, dimension) with at least one frame.
    """
    features = np.asarray(arrays.features, dtype=np.float32)
    if features.ndim != 2 or len(features) < 1:
        raise ValueError(f"features of a clip have shape {features.shape}, not (frames, dimension)")
    told = {"features": features}
    if arrays.own is not None:
        told["own"] = np.asarray(arrays.own, dtype=np.float32)
    return encode_arrays(told)


def decode_clip_arrays(content: bytes) -> ClipArrays:
    """Inverse of `encode_clip_arrays`."""
    told = decode_arrays(content)
    own = told.get("own")
    return ClipArrays(
        features=told["features"].astype(np.float32),
        own=None if own is None else own.astype(np.float32),
    )


def decode_head(about: bytes, arrays: bytes) -> StoredHead:
    """A head from its two columns."""
    return StoredHead(arrays=decode_arrays(arrays), about=decode_json(about))
