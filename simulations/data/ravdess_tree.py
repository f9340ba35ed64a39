"""Find the clips in a folder of RAVDESS as it is downloaded, unpacked or not.

Names say everything, folders nothing: `Actor_01/...mp4`, a flat folder, speech beside song,
archives unpacked into one another and archives not unpacked at all work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from common.errors import UsageError
from common.ravdess import AUDIO_ONLY, ClipName, parse_clip_name
from simulations.data.origins import Origin, Unlisted, list_files
from simulations.data.unusable import LeftOut as LeftOut

NO_RAVDESS_NAME: Final = "no_ravdess_name"
DUPLICATE: Final = "duplicate"
VIDEOS: Final = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
_SOUND: Final = ".wav"


class FoundClip(NamedTuple):
    """A clip to be used: its name (which sorts first) and where it is.

    `path` is the video file or the archive that holds it, under the names `members`.
    """

    name: ClipName
    path: Path
    members: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        """Where its bytes are."""
        return Origin(self.path, self.members)


@dataclass(frozen=True)
class RavdessTree:
    """What a folder holds.

    Attributes:
        root: the folder, or an archive.
        clips: audio-video and video-only clips sorted by name, each name once.
        left_out: videos whose name is no RAVDESS name or was there already; archives and
            folders that cannot be read; folders with a video's name.
        audio_only: clips of modality 03, skipped.
        ignored: other files, hidden ones among them.
    """

    root: Path
    clips: tuple[FoundClip, ...]
    left_out: tuple[LeftOut, ...]
    audio_only: int
    ignored: int


def find_clips(root: Path) -> RavdessTree:
    """Search `root`, all folders below it and all ZIP archives in them.

    Raises:
        UsageError: `root` is neither folder nor archive, or there is no clip in it.
    """
    check_root(root)
    tree = ravdess_clips(root, list_files(root, VIDEOS))
    if not tree.clips:
        raise UsageError(_nothing_found(tree))
    return tree


def check_root(root: Path) -> None:
    """Refuse what cannot hold clips.

    Raises:
        UsageError: `root` is neither a folder nor a ZIP archive.
    """
    if root.is_dir() or (root.is_file() and root.suffix.lower() == ".zip"):
        return
    found = "is a file" if root.exists() else "does not exist"
    raise UsageError(
        f"{root} {found}; give the folder with the videos (for RAVDESS the one into which it was "
        "downloaded or unpacked), or a .zip archive of them"
    )


def ravdess_clips(
    root: Path, files: Iterable[Origin | Unlisted], suffixes: Sequence[str] = VIDEOS
) -> RavdessTree:
    """Those of `files` that are RAVDESS clips and end in one of `suffixes`; there may be none."""
    clips: dict[ClipName, Origin] = {}
    left_out: list[LeftOut] = []
    audio_only = ignored = 0
    for origin in files:
        name = _name_of(origin, suffixes)
        if isinstance(origin, Unlisted):
            left_out.append(LeftOut(origin.origin.below(root), origin.reason, origin.detail))
        elif name is None:
            ignored += 1
        elif isinstance(name, str):
            left_out.append(LeftOut(origin.below(root), NO_RAVDESS_NAME, name))
        elif name.modality == AUDIO_ONLY:
            audio_only += 1
        elif name in clips:
            first = f"a clip of the same name is used already: {clips[name].below(root)}"
            left_out.append(LeftOut(origin.below(root), DUPLICATE, first))
        else:
            clips[name] = origin
    ordered = tuple(
        FoundClip(name, clips[name].path, clips[name].members) for name in sorted(clips)
    )
    return RavdessTree(root, ordered, tuple(left_out), audio_only, ignored)


def _name_of(origin: Origin | Unlisted, wanted: Sequence[str]) -> ClipName | str | None:
    """The clip's name; why a file of its kind has none; None for a file that is no clip."""
    if isinstance(origin, Unlisted):
        return None
    suffix = origin.name.suffix.lower()
    # macOS archives hold a hidden "._" twin of each file.
    if origin.name.name.startswith(".") or suffix not in (*wanted, _SOUND):
        return None
    try:
        name = parse_clip_name(origin.name.stem)
    except ValueError as error:
        return str(error) if suffix in wanted else None
    return None if suffix == _SOUND and name.modality != AUDIO_ONLY else name


def _nothing_found(tree: RavdessTree) -> str:
    misnamed = sum(left.reason == NO_RAVDESS_NAME for left in tree.left_out)
    unlisted = next((left for left in tree.left_out if left.reason != NO_RAVDESS_NAME), None)
    if unlisted:
        return f"{tree.root} holds no video that can be read; {unlisted.clip}: {unlisted.detail}"
    return (
        f"{tree.root} holds no RAVDESS video (such as 01-01-03-02-01-01-12.mp4): "
        f"{misnamed} videos with other names, {tree.audio_only} audio-only clips and "
        f"{tree.ignored} other files were found; give the folder with the Actor_XX folders"
    )
