"""A public projection before the head of a simulation: every clip passes it, nobody learns it anew.

What is learnt from clips (`pca`, `lda`) is learnt from users who then are in no device and in no
test: they stand for a public data set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from common.clips import ClipSet
from common.errors import UsageError
from common.heads.projection import (
    Floats,
    Projection,
    discriminant_projection,
    load_projection,
    principal_projection,
    random_projection,
)

if TYPE_CHECKING:
    from simulations.settings import SimulationSettings
    from simulations.sources import Source

NONE: Final = "none"
LOGITS: Final = "logits"
RANDOM: Final = "random"
FILE: Final = "file"
LEARNT: Final = ("pca", "lda")
FEWEST_LEFT: Final = 2
_WITH_WIDTH: Final = re.compile(rf"({'|'.join((RANDOM, *LEARNT))}):([0-9]{{1,4}})")
_RANGE: Final = re.compile(r"([0-9]{1,6})-([0-9]{1,6})")
_NUMBERED: Final = re.compile(r"(?:actor-)?0*([0-9]{1,6})")


def projected(settings: SimulationSettings, source: Source) -> Source:
    """The source behind the projection that the settings name, without its public users.

    Raises:
        UsageError: there is no such projection, or it does not suit the features or users.
        WorkError: the backbone's weights, whose logits are wanted, are missing.
    """
    kind, width = named(settings.projection)
    noised = settings.noise_multiplier > 0
    if (kind in LEARNT or noised) != bool(settings.public_users):
        raise UsageError(
            f"projection is {settings.projection!r}, noise-multiplier "
            f"{settings.noise_multiplier:g} and public-users {settings.public_users!r}: pca, lda "
            "and the reference of a noised run are learnt from public users, and nothing else is; "
            "name both or neither"
        )
    if kind == NONE and not settings.public_users:
        return source
    public, others = _parted(settings, source)
    if kind == NONE:
        return replace(others, public=public)
    learnt_from = public if kind in LEARNT else None
    made = _made(settings, kind, width, source.features, learnt_from, source.clips)
    told = {
        "kind": kind,
        "from": source.clips.dimension,
        "to": made.width,
        "sha256": made.sha256,
        "public_users": list(public.user_names()) if public else [],
        "public_clips": len(public) if public else 0,
    }
    return replace(
        others,
        clips=made.of_clips(others.clips),
        features=made.projected_features,
        projection=told,
        public=made.of_clips(public) if public else None,
    )


def named(text: str) -> tuple[str, int]:
    """Kind and width (0 where it is not said) of a projection by its name; else it is a file.

    >>> named("lda:7"), named("logits"), named("public.safetensors")
    (('lda', 7), ('logits', 0), ('file', 0))
    """
    if text in (NONE, LOGITS):
        return text, 0
    found = _WITH_WIDTH.fullmatch(text)
    return (found[1], int(found[2])) if found else (FILE, 0)


def _made(
    settings: SimulationSettings,
    kind: str,
    width: int,
    features: str,
    public: ClipSet | None,
    clips: ClipSet,
) -> Projection:
    if public is not None:
        return learnt(kind, features, public, width)
    if kind == RANDOM:
        return random_projection(features, clips.dimension, width, settings.seed)
    if kind == LOGITS:
        from common.backbones.classifier import logits_projection

        return logits_projection(features)
    return _from_file(Path(settings.projection), features)


def learnt(kind: str, features: str, public: ClipSet, width: int) -> Projection:
    """A projection from public clips: of each the mean of its frames counts.

    Args:
        kind: one of `LEARNT`.
        features: id of the clips' features.
        public: clips of nobody whose device will use the projection.
        width: of the projection.

    Raises:
        UsageError: the clips are too few, or too few expressions are among them.
    """
    rows = descriptors(public)
    if kind == "lda":
        return discriminant_projection(features, rows, public.labels, width)
    return principal_projection(features, rows, width)


def descriptors(clips: ClipSet) -> Floats:
    """(clips, dimension) means over each clip's frames."""
    starts = np.cumsum(clips.lengths) - clips.lengths
    sums = np.add.reduceat(clips.frames.astype(np.float64), starts, axis=0)
    return np.asarray(sums / clips.lengths[:, None], dtype=np.float32)


def _from_file(path: Path, features: str) -> Projection:
    if not path.is_file():
        raise UsageError(
            f"projection is {str(path)!r}, expected none, logits, random:W, pca:W, lda:W (W up to "
            "32), or a file that `mien privacy projection` wrote"
        )
    made = load_projection(path)
    if made.features != features:
        raise UsageError(
            f"{path}: projects features {made.features!r}, and these are {features!r}; make one "
            "from a public table of the same features"
        )
    return made


def _parted(settings: SimulationSettings, source: Source) -> tuple[ClipSet | None, Source]:
    """The public users' clips, and the source without them."""
    if not settings.public_users:
        return None, source
    if settings.identify:
        raise UsageError(
            "public-users can't be taken out where faces are identified; leave identify out"
        )
    clips = source.clips
    public = chosen_users(settings.public_users, clips.user_names())
    inside = [index for index, user in enumerate(clips.users) if user in public]
    kept = [index for index, user in enumerate(clips.users) if user not in public]
    if len(clips.user_names()) - len(public) < FEWEST_LEFT:
        raise UsageError(
            f"public-users are {len(public)} of {len(clips.user_names())} users; at least "
            f"{FEWEST_LEFT} others are needed to be devices"
        )
    ravdess = tuple(source.ravdess[index] for index in kept) if source.ravdess else None
    return clips.select(inside), replace(source, clips=clips.select(kept), ravdess=ravdess)


def chosen_users(text: str, users: Sequence[str]) -> frozenset[str]:
    """Users named by a list of names, actors' numbers and ranges of these.

    >>> sorted(chosen_users("1-2,Ada", ("actor-01", "actor-02", "actor-03", "Ada")))
    ['Ada', 'actor-01', 'actor-02']

    Raises:
        UsageError: a part of the text names nobody.
    """
    numbers = {int(found[1]): user for user in users if (found := _NUMBERED.fullmatch(user))}
    chosen: set[str] = set()
    for part in (each.strip() for each in text.split(",")):
        wanted = _RANGE.fullmatch(part)
        first, last = (int(wanted[1]), int(wanted[2])) if wanted else (0, -1)
        named_here = {user for number, user in numbers.items() if first <= number <= last}
        if part in users:
            named_here = {part}
        elif part.isdecimal() and int(part) in numbers:
            named_here = {numbers[int(part)]}
        if not named_here:
            raise UsageError(
                f"public-users names {part!r}, and no user is called so; users are "
                f"{', '.join(users[:5])}{' …' if len(users) > 5 else ''}"
            )
        chosen |= named_here
    return frozenset(chosen)


def in_words(told: dict[str, Any] | None) -> str:
    """What stands before the head, in a sentence; empty for nothing."""
    if not told:
        return ""
    origin = {
        LOGITS: "the backbone's own classifier",
        RANDOM: "a public seed",
        FILE: "a file",
    }.get(told["kind"], "")
    users = told["public_users"]
    if users:
        origin = (
            f"{told['public_clips']} clips of {len(users)} public users ({', '.join(users)}), who "
            "are no devices and test nothing"
        )
    return (
        f"A frozen public projection of {told['from']} features to {told['to']} numbers stands "
        f"before the head, made from {origin}."
    )
