"""Whose face it is: embeddings of a clip against those of enrolled users.

Two clips are as far apart as the median distance over all pairs of their embeddings.  A pair is
what the published thresholds are about, so they keep their meaning; the median lets neither one
blurred frame nor one lucky one decide.  A user is as far as the nearest of the clips that the user
was enrolled with, because a person looks different with and without glasses.  The nearest user
counts if the distance is below the identity network's published threshold: nothing here is tuned on
the few faces at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from client.recognition.answer import Likeness
from client.vault.records import GalleryEntry
from common.errors import UsageError
from common.identity.network import Embeddings, distances, identity_spec
from common.identity.records import IdentityRecord


class Match(NamedTuple):
    """The user's id, None for a guest, and how near the nearest user is."""

    user: str | None
    likeness: Likeness


def published_threshold(record: IdentityRecord) -> float:
    """The distance below which two faces are one person's.

    Raises:
        UsageError: nobody published one.
    """
    if record.threshold is None:
        raise UsageError(
            f"identity is {record.id!r}, which has no published threshold to recognise users by; "
            "choose dlib-resnet or facenet"
        )
    return record.threshold


def clip_distance(record: IdentityRecord, one: Embeddings, other: Embeddings) -> float:
    """Median distance over all pairs of two clips' embeddings, at least one each."""
    return float(np.median(distances(record, one, other)))


def match(record: IdentityRecord, embeddings: Embeddings, gallery: Sequence[GalleryEntry]) -> Match:
    """The enrolled user whom a clip's embeddings show, if any.

    Args:
        record: of the identity network that made `embeddings`.
        embeddings: (n, dimension), at least one.
        gallery: of all users; entries of another network are not compared.
    """
    spec, threshold = identity_spec(record), published_threshold(record)
    near = [
        (clip_distance(record, embeddings, entry.embeddings), entry.user)
        for entry in gallery
        if entry.spec == spec and len(entry.embeddings)
    ]
    distance, user = min(near, default=(None, None))
    known = user if distance is not None and distance < threshold else None
    likeness = Likeness(
        distance=distance, threshold=threshold, source=record.threshold_source, network=spec
    )
    return Match(known, likeness)
