"""Synthetic users whose clips have RAVDESS's shape: expressions, two repetitions, one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.clips import ClipSet, make_clip_set
from common.ravdess import AUDIO_VIDEO, ClipName

DIMENSION = 5


def ravdess_names(
    actors: Sequence[int], *, expressions: int = 4, modalities: Sequence[int] = (AUDIO_VIDEO,)
) -> list[ClipName]:
    return [
        ClipName(modality, 1, expression, 1, statement, repetition, actor)
        for actor in actors
        for expression in range(1, expressions + 1)
        for statement in (1, 2)
        for repetition in (1, 2)
        for modality in modalities
    ]


def clips_named(names: Sequence[ClipName], *, seed: int = 0, noise: float = 0.7) -> ClipSet:
    """Features: a point per expression, an offset per actor, and noise."""
    random = np.random.default_rng(seed)
    points = 2 * random.normal(size=(8, DIMENSION))
    offsets = {actor: random.normal(size=DIMENSION) for actor in sorted({n.actor for n in names})}
    features = [
        points[name.label] + offsets[name.actor] + noise * random.normal(size=DIMENSION)
        for name in names
    ]
    return make_clip_set(
        [str(name) for name in names],
        [f"actor-{name.actor:02d}" for name in names],
        [name.label for name in names],
        features,
    )


def own_clips(users: str, *, each: int = 4, expressions: int = 3, seed: int = 0) -> ClipSet:
    """Clips of users without RAVDESS names; a user per letter."""
    random = np.random.default_rng(seed)
    rows = [(user, label, n) for user in users for label in range(expressions) for n in range(each)]
    return make_clip_set(
        [f"{user}/{label}/{n}" for user, label, n in rows],
        [user for user, _, _ in rows],
        [label for _, label, _ in rows],
        [random.normal(size=DIMENSION) + label for _, label, _ in rows],
    )
