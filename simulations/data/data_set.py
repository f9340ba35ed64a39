"""A data set of videos, whatever its layout: clips with users and expressions.

Two layouts are understood: RAVDESS's names, and folders `USER/EXPRESSION/` with files of any name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from common.errors import UsageError
from common.expressions import EXPRESSIONS, expression_index
from simulations.data.origins import Origin, Unlisted, list_files
from simulations.data.ravdess_tree import (
    DUPLICATE,
    VIDEOS,
    LeftOut,
    RavdessTree,
    check_root,
    ravdess_clips,
)

UNKNOWN_EXPRESSION: Final = "unknown_expression"
NO_USER_FOLDER: Final = "no_user_folder"
TABLES: Final = (".csv",)


class DataClip(NamedTuple):
    """A clip: a name that is its alone (which sorts first), its user, expression and file."""

    name: str
    user: str
    label: int
    origin: Origin


@dataclass(frozen=True)
class DataSet:
    """What a folder or archive holds.

    Attributes:
        root: the folder or archive.
        clips: sorted by name, each name once.
        left_out: clips that cannot be used, archives and folders that cannot be read.
        skipped: number of files that are no clips, by kind.
    """

    root: Path
    clips: tuple[DataClip, ...]
    left_out: tuple[LeftOut, ...]
    skipped: Mapping[str, int]


def find_videos(root: Path) -> DataSet:
    """Videos below `root`, by RAVDESS's names if there is one, else by folders.

    Raises:
        UsageError: `root` is neither folder nor archive, or no clip of either layout is in it.
    """
    return _find(root, VIDEOS)


def find_tables(root: Path) -> DataSet:
    """CSV files below `root`, one per clip, found like videos.

    Raises:
        UsageError: as `find_videos`.
    """
    return _find(root, TABLES)


def _find(root: Path, suffixes: Sequence[str]) -> DataSet:
    check_root(root)
    files = tuple(list_files(root, suffixes))
    tree = ravdess_clips(root, files, suffixes)
    if tree.clips:
        return of_ravdess(tree)
    plain = plain_clips(root, files, suffixes)
    if not plain.clips:
        raise UsageError(_nothing_found(plain, suffixes[0]))
    return plain


def of_ravdess(tree: RavdessTree) -> DataSet:
    """The same clips; users are `actor-NN`."""
    clips = (
        DataClip(str(each.name), f"actor-{each.name.actor:02d}", each.name.label, each.origin)
        for each in tree.clips
    )
    skipped = {"audio only": tree.audio_only, "other files": tree.ignored}
    return DataSet(tree.root, tuple(clips), tree.left_out, skipped)


def plain_clips(root: Path, files: Iterable[Origin | Unlisted], suffixes: Sequence[str]) -> DataSet:
    """Clips by the two folders they are in: `.../USER/EXPRESSION/any name`.

    A clip's name is its path below `root`; expressions are those of `EXPRESSIONS`, in any case.
    """
    clips: dict[str, DataClip] = {}
    left_out: list[LeftOut] = []
    others = 0
    for file in files:
        if isinstance(file, Unlisted):
            left_out.append(LeftOut(file.origin.below(root), file.reason, file.detail))
        elif file.name.name.startswith(".") or file.name.suffix.lower() not in suffixes:
            others += 1
        else:
            found = _plain_clip(root, file)
            if isinstance(found, DataClip) and found.name in clips:
                found = LeftOut(found.name, DUPLICATE, "a clip of the same name is used already")
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                clips[found.name] = found
    ordered = tuple(clips[name] for name in sorted(clips))
    return DataSet(root, ordered, tuple(left_out), {"other files": others})


def _plain_clip(root: Path, file: Origin) -> DataClip | LeftOut:
    name = file.below(root)
    folders = PurePosixPath(name).parts[:-1]
    if len(folders) < 2:
        return LeftOut(name, NO_USER_FOLDER, "it is not in folders USER/EXPRESSION; move it there")
    user, expression = folders[-2:]
    try:
        label = expression_index(expression.strip().lower())
    except KeyError:
        known = ", ".join(EXPRESSIONS)
        detail = f"its folder {expression[:40]!r} is none of {known}"
        return LeftOut(name, UNKNOWN_EXPRESSION, detail)
    return DataClip(name, user, label, file)


def _nothing_found(data: DataSet, suffix: str) -> str:
    example = next(iter(data.left_out), None)
    why = f" (such as {example.clip}: {example.detail})" if example else ""
    return (
        f"{data.root} holds no clip: no file has a RAVDESS name (such as "
        f"01-01-03-02-01-01-12{suffix}) and none is in folders USER/EXPRESSION; "
        f"{len(data.left_out)} files were left out{why}, {data.skipped['other files']} others "
        "are of other kinds"
    )
