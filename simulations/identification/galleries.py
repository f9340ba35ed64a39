"""Who shares a device, whose clips make the gallery, and whom a clip is taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from client.evaluation import draw_own_clips
from client.recognition.likeness import clip_distance, published_threshold
from simulations.data.embeddings import FaceEmbeddings

Gallery = Mapping[str, Sequence[str]]
"""By user the clips that the user is enrolled with, at least one each."""


def shared_devices(users: Sequence[str], per_device: int) -> tuple[tuple[str, ...], ...]:
    """Users in groups of `per_device`, in their order; 0 puts all on one device.

    >>> shared_devices(("ann", "bob", "eve"), 2)
    (('ann', 'bob'), ('eve',))
    """
    size = per_device or len(users)
    return tuple(tuple(users[start : start + size]) for start in range(0, len(users), size))


@dataclass(frozen=True)
class Enrolment:
    """What a user can be enrolled with.

    Attributes:
        user: the name.
        clips: names of the adaptation clips.
        labels: their expressions, (clips,).
        seed: of draws of own clips.
    """

    user: str
    clips: tuple[str, ...]
    labels: tuple[int, ...]
    seed: int

    def gallery_clips(self, own_clips: int, draw: int) -> tuple[str, ...]:
        """The clips that the user labelled, by the draw that also makes the personal head."""
        labels = np.array(self.labels, dtype=np.int64)
        rows = draw_own_clips(labels, own_clips, seed=self.seed, draw=draw, user=self.user)
        return tuple(self.clips[row] for row in rows)


@dataclass(frozen=True, eq=False)
class Likenesses:
    """Whom clips are taken for, by the device's rule; each distance is computed once.

    Attributes:
        faces: embeddings of all clips that show a face.
    """

    faces: FaceEmbeddings
    _known: dict[tuple[str, str], float] = field(default_factory=dict)

    def enrolled(self, enrolments: Sequence[Enrolment], own_clips: int, draw: int) -> Gallery:
        """The gallery of a device.

        A user none of whose drawn clips has an embedding is enrolled with the first other
        adaptation clip that has one, and not at all where none has.
        """
        gallery = {}
        for enrolment in enrolments:
            drawn = self._with_face(enrolment.gallery_clips(own_clips, draw))
            names = drawn or self._with_face(enrolment.clips)[:1]
            if names:
                gallery[enrolment.user] = names
        return gallery

    def nearest(self, clip: str, gallery: Gallery) -> str | None:
        """The user whom a clip is taken for; None for nobody, and where no face is embedded.

        As `client.recognition.likeness.match` finds it, which says why.
        """
        if clip not in self.faces.by_clip or not gallery:
            return None
        distance, user = min(
            (min(self._distance(clip, name) for name in names), user)
            for user, names in gallery.items()
        )
        return user if distance < published_threshold(self.faces.record) else None

    def _with_face(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.faces.by_clip)

    def _distance(self, one: str, other: str) -> float:
        if (one, other) not in self._known:
            faces = self.faces.by_clip
            found = clip_distance(self.faces.record, faces[one], faces[other])
            self._known[one, other] = found
        return self._known[one, other]
