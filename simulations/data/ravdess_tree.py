"""Find the clips in a folder of RAVDESS as it is downloaded and unpacked.

Names say everything, folders nothing: `Actor_01/...mp4`, a flat folder, speech beside song and
archives unpacked into one another all work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from common.errors import UsageError
from common.ravdess import AUDIO_ONLY, ClipName, parse_clip_name

NO_RAVDESS_NAME: Final = "no_ravdess_name"
DUPLICATE: Final = "duplicate"
_VIDEO: Final = ".mp4"
_SOUND: Final = ".wav"


class LeftOut(NamedTuple):
    """A clip that is not used.

    `clip` is its path below the tree's root, `reason` a short stable name, `detail` a sentence.
    """

    clip: str
    reason: str
    detail: str


class FoundClip(NamedTuple):
    """A clip to be used: its name (which sorts first) and its file."""

    name: ClipName
    path: Path


@dataclass(frozen=True)
class RavdessTree:
    """What a folder holds.

    Attributes:
        root: the folder.
        clips: audio-video and video-only clips sorted by name, each name once.
        left_out: MP4 files whose name is no RAVDESS name or was there already.
        audio_only: clips of modality 03, skipped.
        ignored: other files, hidden ones among them.
    """

    root: Path
    clips: tuple[FoundClip, ...]
    left_out: tuple[LeftOut, ...]
    audio_only: int
    ignored: int


def find_clips(root: Path) -> RavdessTree:
    """Search `root` and all folders below it.

    Raises:
        UsageError: `root` is no folder, or there is no clip in it.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise UsageError(f"{root} {found}; give the folder into which RAVDESS was unpacked")
    clips: dict[ClipName, Path] = {}
    left_out: list[LeftOut] = []
    audio_only = ignored = 0
    for path in sorted(path for path in root.rglob("*") if not path.is_dir()):
        name = _name_of(path)
        if name is None:
            ignored += 1
        elif isinstance(name, str):
            left_out.append(LeftOut(_below(root, path), NO_RAVDESS_NAME, name))
        elif name.modality == AUDIO_ONLY:
            audio_only += 1
        elif name in clips:
            left_out.append(LeftOut(_below(root, path), DUPLICATE, _same_as(root, clips[name])))
        else:
            clips[name] = path
    if not clips:
        raise UsageError(_nothing_found(root, len(left_out), audio_only, ignored))
    ordered = tuple(FoundClip(name, clips[name]) for name in sorted(clips))
    return RavdessTree(root, ordered, tuple(left_out), audio_only, ignored)


def _name_of(path: Path) -> ClipName | str | None:
    """The clip's name; why an MP4 file has none; None for a file that is no clip."""
    suffix = path.suffix.lower()
    # macOS archives hold a hidden "._" twin of each file.
    if path.name.startswith(".") or suffix not in (_VIDEO, _SOUND):
        return None
    try:
        name = parse_clip_name(path.stem)
    except ValueError as error:
        return str(error) if suffix == _VIDEO else None
    return None if suffix == _SOUND and name.modality != AUDIO_ONLY else name


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _same_as(root: Path, path: Path) -> str:
    return f"a clip of the same name is used already: {_below(root, path)}"


def _nothing_found(root: Path, misnamed: int, audio_only: int, ignored: int) -> str:
    return (
        f"{root} holds no RAVDESS video (such as 01-01-03-02-01-01-12.mp4): "
        f"{misnamed} MP4 files with other names, {audio_only} audio-only clips and "
        f"{ignored} other files were found; give the folder with the Actor_XX folders"
    )
