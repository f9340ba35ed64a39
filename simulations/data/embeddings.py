"""Face embeddings of clips, a few each, cached beside the features and under keys of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from common.backbones.engines.choice import AUTO, chosen_engine
from common.identity.network import Embeddings, FramedFace, IdentityNetwork, identity_spec
from common.identity.records import DLIB_RESNET, IdentityRecord, identity_record
from common.video import Image
from common.video.decode import ClipError, Reason, pictures
from common.video.extract import ClipFeatures
from common.video.picture import Picture
from common.video.subject import SubjectChooser
from common.video.tracking import EveryFrame, FaceFinder
from simulations.data.cache import StoredClip
from simulations.data.data_set import of_ravdess
from simulations.data.extraction import Progress, Reader, extract_all
from simulations.data.ravdess_tree import RavdessTree
from simulations.data.unusable import LeftOut

EMBEDDINGS: Final = 3
"""Faces embedded per clip: the fewest of which the median can overrule a bad one."""
_MOST_LOOKED_AT: Final = 2 * EMBEDDINGS
_VERSION: Final = 1
"""Raised when other faces of a clip would be taken."""


class IdentityTools(NamedTuple):
    """What embedding needs; made once per process."""

    network: IdentityNetwork
    finder: FaceFinder


@dataclass(frozen=True, eq=False)
class FaceEmbeddings:
    """Embeddings of a tree's clips.

    Attributes:
        record: of the network.
        by_clip: by the clip's name (its faces, dimension) float32, at least one row each.
        left_out: clips without any, by name and reason.
        embedded: clips embedded now; the others came from the cache.
    """

    record: IdentityRecord
    by_clip: Mapping[str, Embeddings]
    left_out: tuple[LeftOut, ...] = ()
    embedded: int = 0


ToolMaker = Callable[[str], IdentityTools]
"""Makes identity network and face finder from the network's id."""


def open_identity(identity: str) -> IdentityTools:
    """The identity network of that id on one thread, and MTCNN.

    Raises:
        UsageError: there is no such network, or what it needs is not installed.
        WorkError: its weights are missing or wrong.
    """
    # Imported here so that a run that finds all in the cache starts without them.
    from common.identity.registry import load_identity
    from common.video.mtcnn.detector import FastMtcnn

    return IdentityTools(load_identity(identity), EveryFrame(FastMtcnn()))


@dataclass(frozen=True)
class FaceEmbedder:
    """`Extractor` whose rows are embeddings of a few faces in place of features of all frames.

    Attributes:
        identity: id of the network.
        make_tools: importable.

    Raises:
        UsageError: there is no such network (when `spec` is asked for).
    """

    identity: str
    make_tools: ToolMaker = open_identity
    every: int = 1
    max_frames: int | None = None

    @property
    def spec(self) -> str:
        """Of the network, and of which faces are embedded."""
        return embeddings_spec(identity_record(self.identity))

    @property
    def made_with(self) -> dict[str, str]:
        """dlib's version, or engine and weights, that the network would run with here."""
        record = identity_record(self.identity)
        if record is DLIB_RESNET:
            return {"dlib-bin": version("dlib-bin")}
        from common.weights.store import chosen_weights, default_store

        weights = chosen_weights(record.files, (".pt",), default_store()).expected
        return {"engine": chosen_engine(AUTO), "weights": weights}

    def open(self) -> Reader:
        """Load identity network and face finder."""
        tools = self.make_tools(self.identity)
        return partial(_embed, tools, self.spec)


def embeddings_spec(record: IdentityRecord) -> str:
    """What made a clip's embeddings: network, number of faces, and how these are chosen.

    >>> embeddings_spec(DLIB_RESNET)
    'dlib-resnet/1 of 3 faces/1'
    """
    return f"{identity_spec(record)} of {EMBEDDINGS} faces/{_VERSION}"


def embed_clips(
    tree: RavdessTree,
    *,
    identity: str,
    cache: Path,
    workers: int = 1,
    progress: Progress | None = None,
    make_tools: ToolMaker = open_identity,
) -> FaceEmbeddings:
    """Embeddings of the subject's face in a few frames of each clip, spread over its length.

    Args:
        tree: the clips.
        identity: id of the network.
        cache: folder of the cache, made where missing; the features' may be the same.
        workers: processes, at least 1; with 1 the work is done in this process.
        progress: called after each clip with (clips done, clips in all).
        make_tools: importable where workers > 1.

    Raises:
        UsageError: there is no such network, or fewer than one worker.
        WorkError: no clip could be used, or worker processes cannot run.
    """
    extractor = FaceEmbedder(identity, make_tools)
    found = extract_all(
        of_ravdess(tree), extractor, cache=cache, workers=workers, progress=progress
    )
    by_clip = {clip.name: found.features(done).clip.features for clip, done in found.done}
    before = len(found.data.left_out)  # those the tree had left out already
    return FaceEmbeddings(
        identity_record(identity), by_clip, found.left_out[before:], found.extracted
    )


def only(tree: RavdessTree, names: Iterable[str]) -> RavdessTree:
    """The tree with the named clips only."""
    wanted = frozenset(names)
    clips = tuple(clip for clip in tree.clips if str(clip.name) in wanted)
    return dataclasses.replace(tree, clips=clips)


def _embed(tools: IdentityTools, spec: str, path: Path) -> StoredClip:
    looked_at = spread(pictures(path), _MOST_LOOKED_AT)
    sights = evenly(_subject(tools.finder, looked_at), EMBEDDINGS)
    if not sights:
        raise ClipError(Reason.NO_FACE, path)
    embeddings = tools.network.embed([sight.framed for sight in sights])
    several = sum(sight.several for sight in sights)
    clip = ClipFeatures(embeddings, len(looked_at), len(sights), several, spec)
    return StoredClip(clip, np.asarray([sight.frame for sight in sights], dtype=np.int32))


class _Sight(NamedTuple):
    frame: int
    track: int
    several: bool
    framed: FramedFace


def _subject(finder: FaceFinder, looked_at: Sequence[Picture]) -> list[_Sight]:
    """The subject's face where it is seen, in order."""
    images: list[Image] = [picture.image() for picture in looked_at]
    chooser, sights = SubjectChooser(), []
    for picture, image, faces in zip(looked_at, images, finder.follow().faces(images), strict=True):
        chosen = chooser.choose(image, faces)
        if chosen is not None:
            framed = FramedFace(image, chosen.face)
            sights.append(_Sight(picture.index, chosen.track, len(faces) > 1, framed))
    kept = chooser.kept_tracks()
    return [sight for sight in sights if sight.track in kept]


def spread(source: Iterable[Picture], most: int) -> list[Picture]:
    """Evenly spread pictures over a source of any length, above half of `most` if there are.

    Holds no more than `most`, an even number, and one at a time.
    """
    kept: list[Picture] = []
    step = 1
    for number, picture in enumerate(source):
        if number % step == 0:
            kept.append(picture)
        if len(kept) > most:
            kept, step = kept[::2], 2 * step
    return kept


def evenly(sights: Sequence[_Sight], count: int) -> list[_Sight]:
    """At most `count` of them: the middles of as many equal parts."""
    if len(sights) <= count:
        return list(sights)
    return [sights[(2 * part + 1) * len(sights) // (2 * count)] for part in range(count)]
