"""What the auditor knows and a server does not: whose clips are on which device.

The folder `run-truth` beside a recorded `run` has `clips.safetensors` (every clip that a device
trained on, and of people who took no part), `devices.json` (the users of each device, in the
devices' order) and perhaps `held-back.safetensors` (other clips that no device trained on).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.clips import ClipSet, load_clips, make_clip_set, save_clips
from common.errors import UsageError, WorkError
from common.files import private_folder, write_atomically
from common.ravdess import parse_clip_name
from server.audit.transcript import truth_folder


@dataclass(frozen=True)
class Candidates:
    """Clips whose membership is known.

    Attributes:
        clips: all of them.
        owners: pseudonym of the device that a clip's user has, for each clip; empty for a user
            without one.
        trained: (clips,) whether that device trained on the clip, if it took part.
        trait: what `traits` tell of, in a word or two.
        traits: whether a device's people have the trait, by pseudonym, where that is known.
    """

    clips: ClipSet
    owners: tuple[str, ...]
    trained: npt.NDArray[np.bool_]
    trait: str = ""
    traits: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.clips) == len(self.owners) == len(self.trained):
            raise ValueError("clips, owners and trained differ in number")

    @cached_property
    def owner_of(self) -> npt.NDArray[np.str_]:
        """`owners` as an array."""
        return np.array(self.owners, dtype=np.str_)


def pseudonym_of(device: int) -> str:
    """The pseudonym of device 0, 1, ... of a simulation: also the name of its folder.

    >>> pseudonym_of(7)
    '00007'
    """
    return f"{device:05d}"


def save_truth(
    folder: Path, clips: ClipSet, devices: Sequence[Sequence[str]], held_back: ClipSet | None = None
) -> None:
    """Keep what is known of a recorded run, in a folder beside it (mode 0700).

    Args:
        folder: of the record.
        clips: all that devices trained on.
        devices: users of each device, in the devices' order.
        held_back: clips of the same users that no device trained on.
    """
    truth = private_folder(truth_folder(folder))
    save_clips(truth / "clips.safetensors", clips)
    write_atomically(truth / "devices.json", json.dumps([list(d) for d in devices]).encode())
    if held_back is not None:
        save_clips(truth / "held-back.safetensors", held_back)


def load_truth(folder: Path, more: Path | None = None) -> Candidates | None:
    """What `save_truth` kept; None where there is none.

    Args:
        folder: of the record.
        more: another clip file of clips that no device trained on.

    Raises:
        WorkError: a file is missing or damaged.
        UsageError: the clips that are held back have another dimension or a name twice.
    """
    truth = truth_folder(folder)
    if not truth.exists():
        return None
    clips = load_clips(truth / "clips.safetensors")
    pseudonyms = _devices(truth / "devices.json")
    sets, trained = [clips], [True] * len(clips)
    for path in (truth / "held-back.safetensors", more):
        if path is not None and (path.exists() or path == more):
            sets.append(load_clips(path))
            trained += [False] * len(sets[-1])
    together = _joined(sets)
    owners = tuple(pseudonyms.get(user, "") for user in together.users)
    traits = women(together.names, owners)
    return Candidates(
        together, owners, np.array(trained, dtype=np.bool_), "woman" if traits else "", traits
    )


def women(names: Sequence[str], owners: Sequence[str]) -> dict[str, bool]:
    """Whether the actor of a device is a woman (even numbers), by RAVDESS's clip names."""
    found: dict[str, bool] = {}
    try:
        for name, owner in zip(names, owners, strict=True):
            if owner:
                found[owner] = parse_clip_name(name).actor % 2 == 0
    except ValueError:
        return {}
    return found


def _devices(path: Path) -> dict[str, str]:
    try:
        devices = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(user): pseudonym_of(number)
            for number, users in enumerate(devices)
            for user in users
        }
    except (OSError, ValueError, TypeError) as error:
        raise WorkError(f"{path.name} does not say whose devices these are: {error}") from error


def _joined(sets: Sequence[ClipSet]) -> ClipSet:
    if len({clips.dimension for clips in sets if len(clips)}) > 1:
        raise UsageError("candidates have another dimension than the run's clips; extract them so")
    names = [name for clips in sets for name in clips.names]
    if len(set(names)) < len(names):
        raise UsageError("a candidate has the name of another clip of the run; rename or drop it")
    return make_clip_set(
        names,
        [user for clips in sets for user in clips.users],
        [int(label) for clips in sets for label in clips.labels],
        [clips.clip(i) for clips in sets for i in range(len(clips))],
    )
