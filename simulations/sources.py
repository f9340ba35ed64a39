"""Where a simulation's clips come from: a feature table, videos, or synthetic actors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.clips import ClipSet, make_clip_set
from common.errors import UsageError
from common.paths import cache_folder
from common.ravdess import ClipName, Take
from simulations.actors.manifest import MANIFEST, RENDERER_VERSION
from simulations.actors.writer import write_actors
from simulations.data.embeddings import FaceEmbeddings, embed_clips, only
from simulations.data.features import extract_clips
from simulations.data.ravdess_tree import FoundClip, RavdessTree, find_clips
from simulations.data.table import read_table
from simulations.projecting import projected
from simulations.protocols import one_file_per_take
from simulations.settings import SimulationSettings
from simulations.watching import Watcher


@dataclass(frozen=True)
class Source:
    """Clips to simulate with, each take once.

    Attributes:
        clips: features, users and expressions.
        ravdess: the parsed names clip by clip, or None.
        features: id of what made the features.
        description: for people.
        synthetic: whether the faces were drawn, not filmed.
        left_out: (clip, reason) of clips that could have been used.
        skipped: number of files that are no clips, by kind.
        faces: embeddings of the clips, where users are to be identified.
        projection: what stands before the head, see `simulations.projecting`; None for nothing.
        public: clips of users who stand for a public data set: no devices, in no test.
    """

    clips: ClipSet
    ravdess: tuple[ClipName, ...] | None
    features: str
    description: str
    synthetic: bool
    left_out: tuple[tuple[str, str], ...]
    skipped: Mapping[str, int]
    faces: FaceEmbeddings | None = None
    projection: Mapping[str, Any] | None = None
    public: ClipSet | None = None


def load_source(settings: SimulationSettings, *, workers: int, watch: Watcher) -> Source:
    """The clips that the settings name: `features`, else `data`, else synthetic actors.

    Behind the public projection that they name, and without the users whom it was learnt from.

    Raises:
        UsageError: both are named, or what is named can't be used; says what to do.
        WorkError: no clip of a folder could be used.
    """
    return projected(settings, _raw_source(settings, workers=workers, watch=watch))


def _raw_source(settings: SimulationSettings, *, workers: int, watch: Watcher) -> Source:
    if settings.features and settings.data:
        raise UsageError("both --features and --data are given; give one of them")
    if settings.features and settings.identify:
        raise UsageError("identify needs faces, and a table of features has none; give --data")
    if settings.features:
        return load_table_source(Path(settings.features))
    folder = Path(settings.data) if settings.data else None
    folder = folder or synthetic_actors(settings, workers=workers, watch=watch)
    identity = settings.identity if settings.identify else None
    return load_video_source(folder, workers=workers, watch=watch, identity=identity)


def load_table_source(path: Path) -> Source:
    """Clips from a feature table.

    Raises:
        UsageError: see `simulations.data.table.read_table`.
    """
    table = read_table(path)
    kept, left_out = one_file_per_take(table.clips, table.ravdess)
    names = tuple(table.ravdess[i] for i in kept) if table.ravdess else None
    clips = table.clips.select(kept)
    return Source(clips, names, table.features, path.name, False, left_out, {})


def load_video_source(
    root: Path, *, workers: int, watch: Watcher, identity: str | None = None
) -> Source:
    """Clip features of a RAVDESS tree, extracted or taken from the cache.

    With an identity network's id, embeddings of the clips' faces too.

    A folder that Mien drew itself says so in its manifest, and then so does the source.

    Raises:
        UsageError: no such folder, or no clip in it.
        WorkError: no clip could be used.
    """
    tree, twins = _one_modality(find_clips(root))
    table = extract_clips(
        tree,
        cache=cache_folder() / "features",
        workers=workers,
        progress=lambda done, total: watch("features from video", done, total),
    )
    clips = make_clip_set(
        [str(clip) for clip in table.clips],
        [f"actor-{clip.actor:02d}" for clip in table.clips],
        [clip.label for clip in table.clips],
        table.features,
    )
    _check_variety(root, clips)
    faces = None
    if identity is not None:
        faces = embed_clips(
            only(tree, clips.names),
            identity=identity,
            cache=cache_folder() / "features",
            workers=workers,
            progress=lambda done, total: watch("face embeddings", done, total),
        )
    synthetic = _is_synthetic(root, tree)
    return Source(
        clips,
        table.clips,
        table.spec,
        f"{len(clips.user_names())} synthetic actors" if synthetic else root.resolve().name,
        synthetic,
        tuple((left.clip, f"{left.reason}: {left.detail}") for left in table.left_out) + twins,
        {"audio only": tree.audio_only, "other files": tree.ignored},
        faces,
    )


def _check_variety(root: Path, clips: ClipSet) -> None:
    if len(clips.user_names()) < 2:
        raise UsageError(
            f"{root}: has usable clips of {clips.user_names()[0]} only; a universal head is tested "
            "on users it was not trained on, so add at least one more actor's folder"
        )
    if len(set(clips.labels.tolist())) < 2:
        raise UsageError(f"{root}: has usable clips of one expression only; add others")


def _is_synthetic(root: Path, tree: RavdessTree) -> bool:
    """Whether Mien drew any of the clips: its manifest lies beside or above them."""
    folders = {root, root.parent}
    for clip in tree.clips:
        folders |= {folder for folder in clip.path.parents if folder.is_relative_to(root)}
    return any((folder / MANIFEST).is_file() for folder in folders)


def _one_modality(tree: RavdessTree) -> tuple[RavdessTree, tuple[tuple[str, str], ...]]:
    """The tree with each take once: its audio-video file if there is one, else the video-only."""
    kept: dict[Take, FoundClip] = {}
    twins = []
    for clip in sorted(tree.clips, key=lambda clip: clip.name):
        first = kept.setdefault(clip.name.take, clip)
        if first is not clip:
            twins.append((str(clip.name), f"same take as {first.name}"))
    clips = tuple(clip for clip in tree.clips if kept[clip.name.take] is clip)
    return dataclasses.replace(tree, clips=clips), tuple(twins)


def synthetic_actors(settings: SimulationSettings, *, workers: int, watch: Watcher) -> Path:
    """Folder of the synthetic actors that the settings ask for, drawn unless they are there."""
    name = f"seed-{settings.seed}-actors-{settings.actors}-renderer-{RENDERER_VERSION}"
    folder = cache_folder() / "synthetic-actors" / name
    write_actors(
        folder,
        actors=settings.actors,
        seed=settings.seed,
        workers=workers,
        progress=lambda done, total: watch("synthetic actors drawn", done, total),
    )
    return folder
