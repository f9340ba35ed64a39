"""What the vault holds, as plain values. Importing this loads neither torch nor OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
CONSENT_VERSION = 1
"""Raised when the text that users agree to says something else."""


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What a user agreed to.

    Attributes:
        version: of the text, see `CONSENT_VERSION`.
        given: ISO 8601 time in UTC.
        federate: whether the user's corrected clips may help to improve the universal head.
    """

    version: int
    given: str
    federate: bool


@dataclass(frozen=True, kw_only=True)
class User:
    """An enrolled user.

    Attributes:
        id: random, 32 hexadecimal digits; the name stands only in encrypted values.
        name: as the user wants to be called, unique on the device.
        enrolled: ISO 8601 time in UTC.
        consent: what the user agreed to.
    """

    id: str
    name: str
    enrolled: str
    consent: Consent


@dataclass(frozen=True, kw_only=True, eq=False)
class GalleryEntry:
    """Embeddings of a user's face from one clip.

    Attributes:
        user: id.
        spec: of the identity network; embeddings of different specs are never compared.
        embeddings: (faces, dimension) float32.
    """

    user: str
    spec: str
    embeddings: Floats


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A known user's clip, without its features. Guests' clips are never stored.

    Attributes:
        id: random, 32 hexadecimal digits.
        user: id.
        name: of the file or recording.
        added: ISO 8601 time in UTC.
        digest: hexadecimal SHA-256 of the file's content, so that it is not taken twice.
        spec: of the features, see `common.backbones.registry.feature_spec`.
        answer: `client.recognition.answer.Answer.to_json`.
        label: index into `EXPRESSIONS` that the user confirmed or corrected to; None before that.
        guessed: index that the device had answered.
    """

    id: str
    user: str
    name: str
    added: str
    digest: str
    spec: str
    answer: Mapping[str, Any]
    guessed: int
    label: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipArrays:
    """What a clip's recognition left.

    Attributes:
        features: (frames, dimension) float32, at least one row.
        own: (8,) float32 logits of `EXPRESSIONS` by the backbone's own classifier; None where it
            has none.
    """

    features: Floats
    own: Floats | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredHead:
    """Arrays with what is known of them: a user's personal head or the device's universal head.

    Attributes:
        arrays: by name, float32 or float64.
        about: JSON values: specification, round, reason, how it was measured, ...
    """

    arrays: Mapping[str, npt.NDArray[np.floating[Any]]]
    about: Mapping[str, Any] = field(default_factory=dict)
