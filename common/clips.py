"""Clip features of one or several users, held ragged: all frames in one array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.errors import WorkError
from common.files import write_atomically

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClipSet:
    """Clips with their features, users and expressions.

    Attributes:
        names: a name per clip, unique.
        users: a user per clip.
        labels: (clips,) int64, index into `EXPRESSIONS`.
        frames: (all frames, dimension) float32, clip after clip.
        lengths: (clips,) int64, frames of each clip, each at least 1.
    """

    names: tuple[str, ...]
    users: tuple[str, ...]
    labels: Integers
    frames: Floats
    lengths: Integers

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.labels.ndim != 1 or self.lengths.ndim != 1:
            raise ValueError("labels and lengths are not one number per clip")
        if not len(self.users) == len(self.labels) == len(self.lengths) == count:
            raise ValueError("names, users, labels and lengths differ in number")
        if self.frames.ndim != 2 or int(self.lengths.sum()) != len(self.frames):
            raise ValueError("frames do not add up to the clips' lengths")
        if count and int(self.lengths.min()) < 1:
            raise ValueError("a clip has no frame")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dimension(self) -> int:
        """Length of a frame feature."""
        return int(self.frames.shape[1])

    def clip(self, index: int) -> Floats:
        """Features of one clip, (its frames, dimension)."""
        start = int(self.lengths[:index].sum())
        return self.frames[start : start + int(self.lengths[index])]

    def select(self, indices: Sequence[int] | Integers) -> ClipSet:
        """The named clips, in the order given."""
        chosen = [int(index) for index in indices]
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        rows = [self.frames[starts[i] : starts[i + 1]] for i in chosen]
        empty = np.zeros((0, self.dimension), dtype=np.float32)
        return ClipSet(
            tuple(self.names[i] for i in chosen),
            tuple(self.users[i] for i in chosen),
            self.labels[chosen],
            np.concatenate(rows) if rows else empty,
            self.lengths[chosen],
        )

    def of_user(self, user: str) -> ClipSet:
        """The clips of one user, in order."""
        return self.select([i for i, owner in enumerate(self.users) if owner == user])

    def user_names(self) -> tuple[str, ...]:
        """All users, sorted, each once."""
        return tuple(sorted(set(self.users)))


def make_clip_set(
    names: Iterable[str],
    users: Iterable[str],
    labels: Iterable[int],
    features: Sequence[npt.ArrayLike],
) -> ClipSet:
    """Build a `ClipSet` from one feature array per clip, (frames, dimension) or (dimension,)."""
    arrays = [np.atleast_2d(np.asarray(f, dtype=np.float32)) for f in features]
    frames = np.concatenate(arrays) if arrays else np.zeros((0, 0), dtype=np.float32)
    return ClipSet(
        tuple(names),
        tuple(users),
        np.asarray(list(labels), dtype=np.int64),
        frames,
        np.asarray([len(a) for a in arrays], dtype=np.int64),
    )


def save_clips(path: Path, clips: ClipSet) -> None:
    """Write clips to `path` (safetensors, mode 0600), wholly or not at all."""
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "frames": np.ascontiguousarray(clips.frames),
        "labels": np.ascontiguousarray(clips.labels),
        "lengths": np.ascontiguousarray(clips.lengths),
    }
    metadata = {"clips": json.dumps({"names": clips.names, "users": clips.users})}
    write_atomically(path, save(tensors, metadata))


def load_clips(path: Path) -> ClipSet:
    """Read what `save_clips` wrote.

    Raises:
        WorkError: the file is missing, cut short or not a clip file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text = json.loads((file.metadata() or {})["clips"])
            frames, labels, lengths = (
                file.get_tensor(name) for name in ("frames", "labels", "lengths")
            )
        return ClipSet(tuple(text["names"]), tuple(text["users"]), labels, frames, lengths)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WorkError(f"{path.name} is not a readable clip file: {error}") from error
