"""What universal and personal heads read in drawn pictures: Mien's own heads on histograms.

A domain's model is a projection and a universal logistic head, both of the training actors alone.
Detectors that read features get what the backbone gives, the histograms themselves, less what is
usual for the person.
Training actors' own pictures are read by heads that have not seen them (in turn, a part of the
actors is left out), so that detectors are trained on readings as they will be of strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from client.avatar.detectors.interface import CLASSES, Pair, Seen
from client.personalisation import DEFAULT_METHOD, METHODS
from client.personalisation.interface import Fitting, get_acquainted
from common.clips import ClipSet, make_clip_set
from common.heads.specification import HeadSpecification
from common.heads.standardise import power
from common.heads.universal import UniversalHead
from common.randomness import generator
from simulations.avatars.gradients import Projection, within_people
from simulations.avatars.people import DOMAINS, Album, Fold, World
from simulations.avatars.pictures import AVATAR, FACE
from simulations.pooled import pooled_head

DIMENSION: Final = 96
L2: Final = 0.01
PARTS: Final = 2
"""Of the training actors, each read by heads of the others."""
FEATURES: Final = "synthetic-gradients/1"
MOVEMENTS: Final = "synthetic-gradients-moved/1"
"""Of the features that detectors read, see `movements`."""
Rows = npt.NDArray[np.float32]
Posteriors = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Model:
    """One domain's: projection (figures, DIMENSION), and the universal head on it."""

    projection: Projection
    head: UniversalHead


@dataclass(frozen=True, eq=False)
class Reading:
    """What one domain's pictures in pairs look like, in the pairs' order.

    Attributes:
        features: (pictures, figures), see `movements`.
        universal: (pictures, 8).
        own: (pictures, 8) by the personal head of each picture's actor.
    """

    features: Rows
    universal: Posteriors
    own: Posteriors


def clips_of(model: Projection, album: Album, chosen: npt.NDArray[np.bool_]) -> ClipSet:
    """Pictures as clips of one frame."""
    rows, places = model(album.rows[chosen]), np.flatnonzero(chosen)
    return make_clip_set(
        [f"picture-{place}" for place in places],
        [f"actor-{actor:02d}" for actor in album.actors[chosen]],
        album.labels[chosen],
        list(rows),
    )


def movements(rows: Rows, own: Rows) -> Rows:
    """(pictures, figures) how far histograms are from the mean of a person's own ones.

    Spreads are left as they are: a few pictures tell a mean well, but not how far each figure goes.

    Args:
        rows: (pictures, figures).
        own: (own pictures, figures), whose labels are not looked at.
    """
    return np.asarray(power(rows) - power(own).mean(axis=0), np.float32)


def train_model(album: Album, actors: Sequence[int], *, seed: int) -> Model:
    """A domain's model of all pictures of some actors."""
    chosen = album.of(actors)
    projection = within_people(album.rows[chosen], album.actors[chosen].tolist(), DIMENSION)
    specification = HeadSpecification(
        kind="logistic", dimension=DIMENSION, features=FEATURES, scatter=True
    )
    clips = clips_of(projection, album, chosen)
    return Model(projection, pooled_head(specification, clips, l2=L2, seed=seed))


def read_actor(model: Model, album: Album, actor: int) -> Reading:
    """One actor's pictures in pairs.

    The universal head reads them as on a device: it knows mean and spread of the own pictures, but
    no label. Features are off the same pictures' mean.
    The personal head is the device's own method on the own pictures, whose labels were confirmed
    (faces) or are known since the device drew them (avatars).
    """
    own = clips_of(model.projection, album, album.of([actor]) & album.own)
    user = get_acquainted(model.head, own)
    seen = user.view(clips_of(model.projection, album, album.paired(actor)))
    personal = METHODS[DEFAULT_METHOD](user.view(own), own.labels, Fitting(user=str(actor)))
    return Reading(
        movements(album.rows[album.paired(actor)], album.rows[album.of([actor]) & album.own]),
        softmax(seen.universal, axis=1),
        softmax(personal.logits(seen), axis=1),
    )


@dataclass(frozen=True, eq=False)
class Domain:
    """One domain's part of a fold.

    Attributes:
        model: of the training actors.
        read: everybody's pictures in pairs, by actor.
        practice: pictures that detectors learn from, of training actors and of strangers' manners.
        labels: (pictures,) of `practice`.
    """

    model: Model
    read: dict[int, Reading]
    practice: tuple[Seen, ...]
    labels: npt.NDArray[np.int64]


def read_domain(album: Album, fold: Fold, *, seed: int) -> Domain:
    """Everybody's readings of one domain; see the module."""
    model = train_model(album, fold.training, seed=seed)
    found = {a: read_actor(model, album, a) for a in (*fold.validation, *fold.test)}
    for part in range(PARTS):
        unseen = fold.training[part::PARTS]
        others = [actor for actor in fold.training if actor not in unseen]
        partial = train_model(album, others, seed=seed)
        found |= {actor: read_actor(partial, album, actor) for actor in unseen}
    practice, labels = _practice(model, album, fold.training)
    return Domain(model, found, practice, labels)


def _practice(
    model: Model, album: Album, actors: Sequence[int]
) -> tuple[tuple[Seen, ...], npt.NDArray[np.int64]]:
    """Training actors' pictures in every manner, each manner read as a person of its own."""
    seen: list[Seen] = []
    labels: list[npt.NDArray[np.int64]] = []
    for actor in actors:
        for manner in np.unique(album.manners[album.actors == actor]).tolist():
            mine = (album.actors == actor) & (album.manners == manner)
            clips = clips_of(model.projection, album, mine)
            view = get_acquainted(model.head, clips).view(clips)
            rows = movements(album.rows[mine], album.rows[mine])
            read = softmax(view.universal, axis=1)
            seen += [Seen(row, posterior) for row, posterior in zip(rows, read, strict=True)]
            labels.append(clips.labels)
    return tuple(seen), np.concatenate(labels)


@dataclass(frozen=True, eq=False)
class Crowd:
    """Pairs of some actors.

    Attributes:
        pairs: as detectors see them.
        mismatch: (pairs,).
        actors: (pairs,); 0 where a pair is of two people.
        shown: (pairs, 2) what face and avatar show.
    """

    pairs: tuple[Pair, ...]
    mismatch: npt.NDArray[np.bool_]
    actors: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Parts:
    """A fold's pairs.

    Attributes:
        training: of training actors, with own readings: what `personal` learns from.
        practice: of training actors' and strangers' manners, a face with anybody's avatar: what
            detectors without own readings learn from.
        validation, test: the pairs that were planned, each picture in one of them.
    """

    training: Crowd
    practice: Crowd
    validation: Crowd
    test: Crowd


def crowds(world: World, fold: Fold, *, seed: int, again: int = 3, rounds: int = 12) -> Parts:
    """The pairs of a fold.

    Args:
        world: everybody.
        fold: who does what.
        seed: of random choices.
        again: of training actors' pairs beside those planned, each face with so many more of the
            actor's avatars of each kind.
        rounds: pairs that each practice face is in, half of them mismatches.
    """
    domains = {name: read_domain(world.albums[name], fold, seed=seed) for name in DOMAINS}
    read = {name: domain.read for name, domain in domains.items()}
    return Parts(
        _joined([_crowd(world, read, actor, seed, again) for actor in fold.training]),
        _practised(domains[FACE], domains[AVATAR], rounds, seed),
        _joined([_crowd(world, read, actor, seed, 0) for actor in fold.validation]),
        _joined([_crowd(world, read, actor, seed, 0) for actor in fold.test]),
    )


def _practised(faces: Domain, avatars: Domain, rounds: int, seed: int) -> Crowd:
    """Faces with avatars of anybody: expressions are told apart, not people."""
    random = generator(seed, "practice")
    by_label = [np.flatnonzero(avatars.labels == label) for label in range(CLASSES)]
    pairs, shown = [], []
    for turn in range(rounds):
        for place, label in enumerate(faces.labels.tolist()):
            other = (label + int(random.integers(1, CLASSES))) % CLASSES if turn % 2 else label
            chosen = by_label[other][int(random.integers(len(by_label[other])))]
            pairs.append(Pair(faces.practice[place], avatars.practice[chosen]))
            shown.append((label, other))
    both = np.array(shown, dtype=np.int64)
    return Crowd(tuple(pairs), both[:, 0] != both[:, 1], np.zeros(len(pairs), np.int64), both)


def _crowd(
    world: World, read: dict[str, dict[int, Reading]], actor: int, seed: int, again: int
) -> Crowd:
    labels = []
    for domain in DOMAINS:
        album = world.albums[domain]
        labels.append(album.labels[album.paired(actor)])
    rows = _combined(labels[0], labels[1], again, seed, actor)
    shown = np.stack([labels[0][rows[:, 0]], labels[1][rows[:, 1]]], axis=1)
    pairs = tuple(_pair(read[FACE][actor], read[AVATAR][actor], i, j) for i, j in rows.tolist())
    return Crowd(pairs, shown[:, 0] != shown[:, 1], np.full(len(pairs), actor), shown)


def _combined(
    faces: npt.NDArray[np.int64],
    avatars: npt.NDArray[np.int64],
    again: int,
    seed: int,
    actor: int,
) -> npt.NDArray[np.int64]:
    """(pairs, 2) places of faces and avatars: those planned, then others."""
    random = generator(seed, "pairs again", client=actor)
    rows = [(place, place) for place in range(len(faces))]
    for place in range(len(faces)):
        for candidates in (
            np.flatnonzero(avatars == faces[place]),
            np.flatnonzero(avatars != faces[place]),
        ):
            chosen = random.permutation(candidates)[:again].tolist()
            rows += [(place, other) for other in chosen]
    return np.array(rows, dtype=np.int64)


def _pair(face: Reading, avatar: Reading, i: int, j: int) -> Pair:
    return Pair(
        Seen(face.features[i], face.universal[i]),
        Seen(avatar.features[j], avatar.universal[j]),
        face.own[i],
        avatar.own[j],
    )


def _joined(parts: Sequence[Crowd]) -> Crowd:
    return Crowd(
        tuple(pair for part in parts for pair in part.pairs),
        np.concatenate([part.mismatch for part in parts]),
        np.concatenate([part.actors for part in parts]),
        np.concatenate([part.shown for part in parts]),
    )
