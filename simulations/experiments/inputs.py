"""Features that an experiment runs on: one input per backbone, every clip, twins included."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from common.backbones.registry import DEFAULT_BACKBONE, load
from common.clips import ClipSet, make_clip_set
from common.errors import MienError, UsageError
from common.paths import cache_folder
from common.ravdess import ClipName
from simulations.actors.manifest import MANIFEST, RENDERER_VERSION
from simulations.actors.plan import ClipPlan
from simulations.actors.writer import write_actors
from simulations.data.features import extract_clips
from simulations.data.ravdess_tree import RavdessTree, find_clips
from simulations.data.table import read_table
from simulations.protocols import one_file_per_take
from simulations.watching import Watcher

MINI_PLAN = ClipPlan(intensities=(1,), frames=5)
MINI_SEED = 0


@dataclass(frozen=True, eq=False)
class Input:
    """All usable clips of a data set as one backbone sees them.

    Attributes:
        name: the backbone's id, or the table's name where it does not say what made it.
        clips: audio-video and video-only files of a take are two clips here.
        ravdess: their parsed names, or None.
        features: id of what made the features.
        description: of the data, for people.
        synthetic: whether the faces were drawn, not filmed.
        left_out: number of clips that could not be used.
    """

    name: str
    clips: ClipSet
    ravdess: tuple[ClipName, ...] | None
    features: str
    description: str
    synthetic: bool
    left_out: int
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def once(self) -> tuple[ClipSet, tuple[ClipName, ...] | None]:
        """Each take once, and the names of those clips."""
        kept, _ = one_file_per_take(self.clips, self.ravdess)
        names = tuple(self.ravdess[index] for index in kept) if self.ravdess else None
        return self.clips.select(kept), names

    def once_only(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` made of this input, or made before under the same key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def twins(self) -> int:
        """Number of clips whose take is there in another file, too, counted once per take."""
        return len(self.clips) - len(self.once[0])

    @cached_property
    def about(self) -> dict[str, Any]:
        """What a result says of its data; two inputs of equal clips and features are equal."""
        return {
            "name": self.name,
            "description": self.description,
            "features": self.features,
            "synthetic": self.synthetic,
            "clips": len(self.clips),
            "users": len(self.clips.user_names()),
            "second_files_of_a_take": self.twins,
            "left_out": self.left_out,
            "digest": digest(self.clips),
        }


def digest(clips: ClipSet) -> str:
    """SHA-256 over names, users, labels and features."""
    found = hashlib.sha256("\n".join((*clips.names, "", *clips.users)).encode())
    for array in (clips.labels, clips.lengths, clips.frames):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


@dataclass(frozen=True)
class Missing:
    """A backbone that the experiment should have and that is not here."""

    name: str
    reason: str


@dataclass(frozen=True)
class Offer:
    """An input that can be loaded: one at a time is held in memory."""

    name: str
    load: Callable[[], Input]


def tables(paths: Sequence[Path]) -> Iterator[Offer]:
    """One input per feature table.

    Raises:
        UsageError: two tables go by the same name, or (when loaded) one can't be used.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        name = path.stem
        if name in seen:
            raise UsageError(f"{path} and {seen[name]} go by the same name {name!r}; rename one")
        seen[name] = path
        yield Offer(name, partial(_table, path))


def _table(path: Path) -> Input:
    table = read_table(path)
    made_by = table.features.partition("/")[0]
    name = path.stem if made_by in ("table", "openface-au") else made_by
    return Input(name, table.clips, table.ravdess, table.features, path.name, False, 0)


def videos(
    root: Path, backbones: Sequence[str], *, every: int, workers: int, watch: Watcher
) -> tuple[list[Offer], list[Missing]]:
    """One input per backbone whose weights are here, from a folder of RAVDESS videos.

    Raises:
        UsageError: no such folder, or no clip in it.
    """
    tree = find_clips(root)
    offers, missing = [], []
    for backbone in backbones:
        reason = why_not(backbone)
        if reason:
            missing.append(Missing(backbone, reason))
        else:
            make = partial(_videos, tree, backbone, every, workers, watch)
            offers.append(Offer(backbone, make))
    return offers, missing


def why_not(backbone: str) -> str:
    """Why a backbone can't be used here, one sentence; empty if it can."""
    if backbone == DEFAULT_BACKBONE:
        return ""
    try:
        load(backbone)
    except MienError as error:
        return str(error)
    return ""


def _videos(tree: RavdessTree, backbone: str, every: int, workers: int, watch: Watcher) -> Input:
    table = extract_clips(
        tree,
        backbone=backbone,
        cache=cache_folder() / "features",
        workers=workers,
        every=every,
        progress=lambda done, total: watch(f"{backbone}: features from video", done, total),
    )
    clips = make_clip_set(
        [str(clip) for clip in table.clips],
        [f"actor-{clip.actor:02d}" for clip in table.clips],
        [clip.label for clip in table.clips],
        table.features,
    )
    synthetic = drawn_by_mien(tree)
    actors = len(clips.user_names())
    description = f"{actors} synthetic actors" if synthetic else tree.root.resolve().name
    return Input(
        backbone, clips, table.clips, table.spec, description, synthetic, len(table.left_out)
    )


def drawn_by_mien(tree: RavdessTree) -> bool:
    """Whether any of the clips is synthetic: Mien's manifest lies beside or above them."""
    folders = {tree.root, tree.root.parent}
    for clip in tree.clips:
        folders |= {each for each in clip.path.parents if each.is_relative_to(tree.root)}
    return any((folder / MANIFEST).is_file() for folder in folders)


def mini_actors(actors: int, *, workers: int, watch: Watcher) -> Path:
    """Folder of a few synthetic actors with both modalities of each take, drawn unless there."""
    name = f"mini-actors-{actors}-seed-{MINI_SEED}-renderer-{RENDERER_VERSION}"
    folder = cache_folder() / "synthetic-actors" / name
    write_actors(
        folder,
        actors=actors,
        seed=MINI_SEED,
        plan=MINI_PLAN,
        twins=True,
        workers=workers,
        progress=lambda done, total: watch("synthetic actors drawn", done, total),
    )
    return folder
